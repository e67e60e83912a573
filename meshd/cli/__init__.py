"""The command line, one module per verb; a verb's module is imported only when that verb is called."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any, Final

import click

from meshd import __version__
from meshd.cli.exits import USAGE, WORLD_FAILED, WorldFailedError

VERBS: Final = {
    "capture": "redirect this host's connections to its sidecar, or no longer",
    "convert": "RouteRules and their like become today's kinds",
    "demo": "the whole thing at work on this machine, in under a minute",
    "endpoints": "whom the proxies call, from where they know it, and how it goes",
    "envoy": "install, find and start the Envoy that meshd runs",
    "install-units": "systemd's units, for an installation without a package",
    "reload": "make the daemon read its configuration again, and wait for the verdict",
    "render": "what a host's proxies would run",
    "run": "the daemon, in the foreground",
    "schema": "the JSON Schema of the mesh's objects, for editors",
    "status": "what the daemon of this host serves, and what is wrong",
    "sync": "fetch now, and wait for what becomes of it",
    "validate": "all problems of files, or of a whole repository",
    "wait": "wait until a revision is active on this host",
}


class Verbs(click.Group):
    """Knows every verb's name and line without importing it."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return sorted(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"meshd.cli.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from meshd.problems import nearest  # noqa: PLC0415  (who spells well does not wait for it)

            said = " ".join(filter(None, [error.message, nearest(args[0], VERBS)]))
            raise click.UsageError(said, error.ctx) from error

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # here, because click makes it exit code 1
            return _quiet_pipe()

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(sorted(VERBS.items()))


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="meshd")
def meshd() -> None:
    """Istio's routing API for plain Linux hosts, by git push.

    Exit codes: 0 yes or done; 1 the answer is no; 2 usage; 3 the world failed; 130 Ctrl-C.
    """


def main() -> None:
    """The console script: runs a verb and turns what comes of it into the exit codes of the contract."""
    try:
        sys.exit(meshd.main(prog_name="meshd", standalone_mode=False) or 0)
    except click.exceptions.Abort:
        sys.exit(130)
    except KeyboardInterrupt:
        sys.exit(130)
    except WorldFailedError as error:
        error.show()
        sys.exit(WORLD_FAILED)
    except click.ClickException as error:
        error.show()
        sys.exit(USAGE)
    except Exception as error:  # noqa: BLE001  (the contract: an uncaught error is exit 3, never a traceback)
        _uncaught(error)
        sys.exit(WORLD_FAILED)


def _quiet_pipe() -> int:
    """`meshd render | head` is no failure; what is left to flush goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _uncaught(error: Any) -> None:  # noqa: ANN401
    if os.environ.get("MESHD_TRACEBACK"):
        raise error
    click.echo(f"meshd: {type(error).__name__}: {error}", err=True)
    click.echo("This is a fault in meshd; MESHD_TRACEBACK=1 shows where.", err=True)
