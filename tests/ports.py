"""Ports for what a test starts later: nobody listens there, and no outgoing connection will be given one meanwhile."""

from __future__ import annotations

import random
import socket
from pathlib import Path


def free_port() -> int:
    """Below the range from which the kernel takes the ports of outgoing connections, and free on loopback now."""
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.SystemRandom().randrange(10_000, first)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
