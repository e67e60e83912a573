"""`meshd wait REV`: return when a revision is active on this host."""

from __future__ import annotations

from pathlib import Path

import click

from meshd.cli.asking import asked, json_option, socket_option, timeout_option
from meshd.cli.sync import verdict
from meshd.control import is_commit


@click.command(name="wait", short_help="wait until a revision is active on this host")
@click.argument("rev")
@socket_option
@json_option
@timeout_option(60.0, "")
@click.pass_context
def command(context: click.Context, rev: str, socket_path: Path, output: str, timeout: float) -> None:
    """Wait until revision REV (a commit id, or 4 digits of it at least) is active on this host.

    Exits 1 when it was rejected, when a newer revision is active, or when the time is over. A daemon that is away,
    because it is restarted or upgraded, is waited for as well.
    """
    if not is_commit(rev):
        raise click.UsageError(f"{rev!r} is not the id of a commit: `git rev-parse {rev}` tells it")
    reply = asked(socket_path, "wait", output, timeout, timeout=timeout + 5, revision=rev, seconds=timeout)
    verdict(context, reply, output)
