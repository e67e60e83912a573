"""What this room says when systemd refuses, fails or is not there."""

from __future__ import annotations


class SystemdError(Exception):
    """`hint` says what to do next. `name` is D-Bus's name of a refusal, and empty where nobody refused."""

    def __init__(self, message: str, hint: str = "", name: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        self.name = name
