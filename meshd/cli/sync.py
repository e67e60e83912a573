"""`meshd sync`: fetch now, and wait for what becomes of it."""

from __future__ import annotations

from pathlib import Path

import click

from meshd.cli.asking import asked, json_option, say_json, socket_option, timeout_option
from meshd.cli.exits import NO
from meshd.control import Reply


@click.command(name="sync", short_help="fetch now, and wait for what becomes of it")
@socket_option
@json_option
@timeout_option(120.0, " for the verdict")
@click.pass_context
def command(context: click.Context, socket_path: Path, output: str, timeout: float) -> None:
    """Fetch now, and wait for what becomes of it.

    What was refused before is tried again. Exits 0 when the newest revision is active, 1 when it is not.
    """
    verdict(context, asked(socket_path, "sync", output, timeout=timeout), output)


def verdict(context: click.Context, reply: Reply, output: str) -> None:
    """Says what a pass came to, and ends with its exit code."""
    if output == "json":
        say_json(reply.body)
    else:
        click.echo(reply.body["message"])
        for problem in reply.body.get("problems", []):
            click.echo(problem["text"], err=True)
    context.exit(0 if reply.ok else NO)
