"""How a verb asks the daemon: which socket, and what its silence means."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from meshd.cli.exits import WorldFailedError
from meshd.control import DEFAULT_SOCKET, ControlError, Reply, Request, Verb, ask

Decorated = Callable[..., Any]


def socket_option(function: Decorated) -> Decorated:
    """`--socket PATH`, or MESHD_SOCKET, or where the unit puts it."""
    return click.option(
        "--socket",
        "socket_path",
        type=click.Path(path_type=Path),
        default=lambda: os.environ.get("MESHD_SOCKET", str(DEFAULT_SOCKET)),
        show_default="$MESHD_SOCKET, else /run/meshd/control.sock",
        help="The daemon's control socket.",
    )(function)


def json_option(function: Decorated) -> Decorated:
    return click.option("-o", "output", type=click.Choice(["text", "json"]), default="text", help="How to say it.")(
        function
    )


def asked(socket_path: Path, verb: Verb, *, timeout: float | None = 5.0, **arguments: object) -> Reply:
    try:
        return ask(socket_path, Request(verb=verb, arguments=arguments), timeout=timeout)
    except ControlError as error:
        raise WorldFailedError(str(error), error.hint) from error
