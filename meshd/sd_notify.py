"""Tells systemd what this process is doing, where systemd asked to be told; elsewhere it is silent."""

from __future__ import annotations

import os
import socket


def notify(*lines: str) -> bool:
    """Sends `READY=1`, `MAINPID=42`, ... in one message. False when nobody listens: not started by systemd."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    # systemd spells the NUL that begins an abstract address as `@`.
    where = "\0" + address[1:] if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        try:
            sender.connect(where)
            sender.sendall("\n".join(lines).encode())
        except OSError:
            # The manager may have gone while it shuts down; a service must never fail for want of a listener.
            return False
    return True
