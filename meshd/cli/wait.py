"""`meshd wait REV`: return when a revision is active on this host."""

from __future__ import annotations

from pathlib import Path

import click

from meshd.cli.asking import asked, json_option, socket_option
from meshd.cli.sync import verdict


@click.command(name="wait", short_help="wait until a revision is active on this host")
@click.argument("rev")
@socket_option
@json_option
@click.option("--timeout", type=float, default=60.0, show_default=True, help="Seconds to wait.")
@click.pass_context
def command(context: click.Context, rev: str, socket_path: Path, output: str, timeout: float) -> None:
    """Wait until revision REV (a commit id, or its beginning) is active on this host.

    Exits 1 when it was rejected, when a newer revision is active, or when the time is over.
    """
    verdict(context, asked(socket_path, "wait", timeout=timeout + 5, revision=rev, seconds=timeout), output)
