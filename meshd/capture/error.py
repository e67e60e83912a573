"""What this room says when the world failed: no nft, no right to use it, a file that is not what it should be."""

from __future__ import annotations


class CaptureError(Exception):
    """`hint` says what to do next."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class NotServedError(CaptureError):
    """Nobody takes the connections yet that would be redirected: to load the table would only cut the host off."""
