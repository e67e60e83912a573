"""Ports at which the server speaks first: whoever waits for the client's first bytes waits for ever (spec 7.2)."""

from __future__ import annotations

from typing import Final

from meshd.registry.service import Port

_PROTOCOLS: Final = frozenset({"MONGO", "MYSQL"})
SERVER_FIRST_PORTS: Final = frozenset({21, 25, 110, 143, 587, 3306})


def speaks_first(port: Port, number: int) -> bool:
    """`number`: where it is answered, or called. TLS begins with the client, whatever is in it."""
    return port.family == "tcp" and (port.protocol in _PROTOCOLS or number in SERVER_FIRST_PORTS)
