"""`meshd reload`: the daemon reads its configuration again; what the unit's ExecReload runs."""

from __future__ import annotations

from pathlib import Path

import click

from meshd.cli.asking import asked, json_option, socket_option, timeout_option
from meshd.cli.sync import verdict


@click.command(name="reload", short_help="make the daemon read its configuration again")
@socket_option
@json_option
@timeout_option(120.0, " for the verdict")
@click.pass_context
def command(context: click.Context, socket_path: Path, output: str, timeout: float) -> None:
    """Make the daemon read its configuration again, and wait for the verdict.

    A configuration with an error changes nothing: its problems are printed and the exit code is 1. So it is when the
    newest revision is rejected because of the new configuration.
    """
    verdict(context, asked(socket_path, "reload", output, timeout=timeout), output)
