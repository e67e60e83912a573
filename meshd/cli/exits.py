"""The exit codes that scripts rely on, and the error that means 3."""

from __future__ import annotations

from typing import Final

import click

NO: Final = 1
USAGE: Final = 2
WORLD_FAILED: Final = 3


class WorldFailedError(Exception):
    """Git, a socket, Envoy or the daemon failed; `hint` says what to do next."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def show(self) -> None:
        click.echo(f"meshd: {self}{f'; {self.hint}' if self.hint else ''}", err=True)
