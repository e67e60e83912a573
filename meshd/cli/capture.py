"""`meshd capture`: the kernel's table that redirects this host's connections to its sidecar."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final, NoReturn

import click

from meshd.capture import nft
from meshd.capture.error import CaptureError, NotServedError
from meshd.capture.knock import Loaded, loaded
from meshd.capture.listening import require_sidecar
from meshd.capture.served import Served, read, served_file
from meshd.capture.table import NAME, Table
from meshd.capture.wanted import wanted_table
from meshd.cli.asking import json_option, say_json
from meshd.cli.configured import config_option, configured, configured_or_kept
from meshd.cli.exits import NO, USAGE, WorldFailedError
from meshd.config import AgentConfig
from meshd.deliver.files import replace_durably

_POLL: Final = 0.1
_LOADED: Final = {
    "same": "loaded now: this table",
    "other": "loaded now: another table of meshd's; `meshd capture apply` replaces it",
    "none": "loaded now: none",
}


@click.group(name="capture", short_help="redirect this host's connections to its sidecar, or no longer")
def command() -> None:
    """Redirect this host's connections to its sidecar, or no longer.

    With `capture: nftables` in the agent's configuration; what is redirected stands there below `nftables`.
    """


@command.command()
@config_option
@json_option
@click.option("--exit-code", "judges", is_flag=True, help="Exit with 1 unless what is loaded is what would be loaded.")
@click.pass_context
def show(context: click.Context, config_path: Path, output: str, judges: bool) -> None:  # noqa: FBT001
    """Print the table that `apply` would load, and on stderr what is loaded now.

    Changes nothing, and needs no privileges.
    """
    config = configured(context, config_path)
    try:
        served, remark = _served_or_usual(config)
        table = _table(context, config, served)
        now = loaded(table)
    except CaptureError as error:
        _fail(error)
    if output == "json":
        say_json(_as_json(table, now, remark))
    else:
        click.echo(table.text if table else "", nl=False)
        click.echo("\n".join(filter(None, (remark, _LOADED[now]))), err=True)
    context.exit(NO if judges and now != ("same" if table else "none") else 0)


@command.command()
@config_option
@click.option("--wait", "seconds", type=click.FloatRange(0, 3600), default=0, help="How long to wait for the sidecar.")
@click.option(
    "--kept",
    type=click.Path(path_type=Path),
    help="Keep a copy of the configuration there, and go by it when the configuration has errors.",
)
@click.pass_context
def apply(context: click.Context, config_path: Path, seconds: float, kept: Path | None) -> None:
    """Load the table, in place of the one before it; with `capture: none`, or without a sidecar, remove it.

    Exits 1, and changes nothing, when no sidecar takes what would be redirected. Needs CAP_NET_ADMIN.
    """
    config = configured_or_kept(context, config_path, kept) if kept else configured(context, config_path)
    try:
        table, why_not = _awaited(context, config, seconds)
        if table is None:
            nft.remove()
        else:
            nft.load(table)
        _keep(config, kept)
    except NotServedError as error:
        click.echo(f"meshd: {error}; {error.hint}", err=True)
        context.exit(NO)
    except CaptureError as error:
        _fail(error)
    click.echo(_loaded_now(table) if table else f"no table {NAME}: {why_not}")


@command.command()
def remove() -> None:
    """Remove the table, so that nothing is redirected. Needs CAP_NET_ADMIN, and no configuration."""
    try:
        nft.remove()
    except CaptureError as error:
        _fail(error)
    click.echo(f"no table {NAME}: nothing is redirected")


def _awaited(context: click.Context, config: AgentConfig, seconds: float) -> tuple[Table | None, str]:
    """The table, once the sidecar takes what it redirects; None, and why, where there is nothing to redirect."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            served, why_not = _served(config)
            table = _table(context, config, served)
            if table is not None:
                require_sidecar(table.redirections)
        except NotServedError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(_POLL)
        else:
            return table, why_not


def _served(config: AgentConfig) -> tuple[Served | None, str]:
    """None, and why, where nothing is to be redirected."""
    if config.capture == "none":
        return None, "the configuration says capture: none"
    served = read(served_file(Path(config.state_directory)))
    return served, "" if served else "this host has no sidecar"


def _served_or_usual(config: AgentConfig) -> tuple[Served | None, str]:
    try:
        return _served(config)
    except NotServedError:
        return Served(), "meshd has served no revision on this host yet: shown with the usual ports"


def _table(context: click.Context, config: AgentConfig, served: Served | None) -> Table | None:
    """Ends the program with exit code 2 when the configuration names who is not known here."""
    if served is None:
        return None
    table, problems = wanted_table(config, served)
    for problem in problems:
        click.echo(str(problem), err=True)
    return table or context.exit(USAGE)


def _loaded_now(table: Table) -> str:
    into = table.redirections
    return f"table {NAME} is loaded: to {into.outbound_port} what is opened here, to {into.inbound_port} what comes in"


def _keep(config: AgentConfig, kept: Path | None) -> None:
    """A copy that cannot be written is no reason to take the table away again."""
    used = Path(config.origin.file)
    if kept is None or used == kept:
        return
    try:
        replace_durably(kept, used.read_bytes())
    except OSError as error:
        click.echo(f"meshd: no copy of the configuration in {kept}: {error.strerror}", err=True)


def _as_json(table: Table | None, now: Loaded, remark: str) -> dict[str, object]:
    return {
        "table": table.text if table else None,
        "loaded": now,
        "proxyListenPort": table.redirections.outbound_port if table else None,
        "proxyInboundPort": table.redirections.inbound_port if table else None,
        "remark": remark,
    }


def _fail(error: CaptureError) -> NoReturn:
    raise WorldFailedError(str(error), error.hint) from error
