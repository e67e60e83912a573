"""`meshd sync`: fetch now, and wait for what becomes of it."""

from __future__ import annotations

import json
from pathlib import Path

import click

from meshd.cli.asking import asked, json_option, socket_option
from meshd.cli.exits import NO, WorldFailedError
from meshd.control import Reply


@click.command(name="sync", short_help="fetch now, and wait for what becomes of it")
@socket_option
@json_option
@click.option("--timeout", type=float, default=120.0, show_default=True, help="Seconds to wait for the verdict.")
@click.pass_context
def command(context: click.Context, socket_path: Path, output: str, timeout: float) -> None:
    """Fetch now, and wait for what becomes of it.

    What was refused before is tried again. Exits 0 when the newest revision is active, 1 when it is not.
    """
    reply = asked(socket_path, "sync", timeout=timeout)
    verdict(context, reply, output)


def verdict(context: click.Context, reply: Reply, output: str) -> None:
    """Says what a pass came to, and ends with its exit code."""
    if output == "json":
        click.echo(json.dumps(reply.body, indent=2))
    elif reply.body.get("failure"):
        raise WorldFailedError(reply.body["failure"], reply.body.get("hint", ""))
    else:
        click.echo(reply.body["message"])
        for problem in reply.body.get("problems", []):
            click.echo(problem["text"], err=True)
    context.exit(0 if reply.ok else NO)
