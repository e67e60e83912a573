"""`meshd demo`: the whole thing at work on this machine."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from meshd.cli.exits import WorldFailedError

_INTERRUPTED = 130


@click.command(name="demo", short_help="the whole thing at work on this machine")
@click.option("--keep", is_flag=True, help="Leave it running at the end, to play with, until Ctrl-C.")
@click.option(
    "--envoy",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Which Envoy to run.  [default: as `envoy.binary: auto` finds it]",
)
@click.pass_context
def command(context: click.Context, envoy: Path | None, *, keep: bool) -> None:
    """The whole thing at work on this machine, in under a minute.

    Starts a repository, a few backends, meshd and a real Envoy on loopback; pushes commits, and shows what each
    did to the traffic. Needs git and openssl, but neither root nor a network. Nothing is left behind.
    """
    from meshd.demo.commands import DemoError  # noqa: PLC0415  (everything heavy is behind these lines)
    from meshd.demo.signals import until_told  # noqa: PLC0415
    from meshd.demo.story import tell  # noqa: PLC0415

    try:
        asyncio.run(until_told(tell(envoy.resolve() if envoy else None, keep=keep)))
    except asyncio.CancelledError:
        context.exit(_INTERRUPTED)
    except DemoError as error:
        raise WorldFailedError(str(error), error.hint) from error
