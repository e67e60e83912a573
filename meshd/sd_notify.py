"""Tells systemd what this process is doing, where systemd asked to be told; elsewhere it is silent."""

from __future__ import annotations

import os
import socket
from typing import Final

PATIENCE: Final = 0.5
"""Seconds. A manager that does not read must not stop who carries the traffic."""
LONGEST: Final = 1000
"""Of one line, in characters: a message that is too large for its socket would be lost whole, READY=1 with it."""


def notify(*lines: str) -> bool:
    """Sends `READY=1`, `MAINPID=42`, ... in one message. False when nobody took it: not started by systemd, mostly."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    # systemd spells the NUL that begins an abstract address as `@`.
    where = "\0" + address[1:] if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.settimeout(PATIENCE)
        try:
            sender.connect(where)
            sender.sendall("\n".join(map(_one_line, lines)).encode())
        except OSError:
            # The manager may have gone while it shuts down; a service must never fail for want of a listener.
            return False
    return True


def _one_line(text: str) -> str:
    """A STATUS= quotes what stands in the repository, where a line of its own could say MAINPID=1."""
    return " ".join(text.split())[:LONGEST]
