"""How a verb asks the daemon: which socket, and what its silence means."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from meshd.cli.exits import WorldFailedError
from meshd.control import DEFAULT_SOCKET, AwayError, ControlError, Json, Reply, Request, Verb, ask

Decorated = Callable[..., Any]
_BETWEEN = 0.1
"""Seconds."""


def socket_option(function: Decorated) -> Decorated:
    """`--socket PATH`, or MESHD_SOCKET, or where the unit puts it."""
    return click.option(
        "--socket",
        "socket_path",
        type=click.Path(path_type=Path, readable=False),  # who may not is told whom to be, by the one who asks
        default=lambda: os.environ.get("MESHD_SOCKET", str(DEFAULT_SOCKET)),
        show_default="$MESHD_SOCKET, else /run/meshd/control.sock",
        help="The daemon's control socket.",
    )(function)


def json_option(function: Decorated) -> Decorated:
    return click.option("-o", "output", type=click.Choice(["text", "json"]), default="text", help="How to say it.")(
        function
    )


def timeout_option(default: float, what: str) -> Callable[[Decorated], Decorated]:
    seconds = click.FloatRange(min=0.1, max=86_400)
    return click.option("--timeout", type=seconds, default=default, show_default=True, help=f"Seconds to wait{what}.")


def asked(
    socket_path: Path, verb: Verb, output: str, patience: float = 0.0, /, *, timeout: float = 5.0, **arguments: object
) -> Reply:
    """What the daemon says. Raises WorldFailedError when it says nothing, or that the world failed it.

    `patience`: for how many seconds one that is away is asked again. A restart takes it away for a second or two.

    With `-o json` that is JSON too: `{"failure", "hint"}`. The exit code is the same either way.
    """
    reply = _reply(socket_path, Request(verb=verb, arguments=arguments), timeout, patience)
    if "failure" not in reply.body:
        return reply
    if output == "json":
        say_json(reply.body)
    raise WorldFailedError(reply.body["failure"], reply.body.get("hint", ""))


def say_json(body: Json) -> None:
    click.echo(json.dumps(body, indent=2))


def _reply(socket_path: Path, request: Request, timeout: float, patience: float) -> Reply:
    given_up = time.monotonic() + patience
    while True:
        try:
            return ask(socket_path, request, timeout=timeout)
        except ControlError as error:
            if not isinstance(error, AwayError) or time.monotonic() >= given_up:
                return Reply(ok=False, body={"failure": str(error), "hint": error.hint})
        time.sleep(_BETWEEN)
