"""The world failing in this room: a disk, a socket, a validator that cannot run."""

from __future__ import annotations


class DeliveryError(Exception):
    """Not the fault of any resource. `hint` says what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
