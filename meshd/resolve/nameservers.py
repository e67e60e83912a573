"""The nameservers in the order to ask them. One that did not answer stands behind the others for half a minute."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from meshd.resolve.clock import Clock

_PENANCE = timedelta(seconds=30)
_LIVELY = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Nameserver:
    ip: str
    port: int = 53


class Nameservers:
    """The configured order is kept otherwise: the first may know names that the second has never heard of."""

    def __init__(self, servers: Iterable[str], clock: Clock) -> None:
        self._servers = tuple(nameserver(text) for text in servers)
        self._clock = clock
        self._silent_until: dict[Nameserver, datetime] = {}
        self._answered_at: dict[Nameserver, datetime] = {}

    def in_order(self) -> tuple[Nameserver, ...]:
        now = self._clock.now()
        return tuple(sorted(self._servers, key=lambda server: self._silent_until.get(server, now) > now))

    def was_silent(self, server: Nameserver) -> None:
        """One query had no answer. If others had, not the server is dead but the name."""
        now = self._clock.now()
        heard = self._answered_at.get(server)
        if heard is None or now - heard > _LIVELY:
            self._silent_until[server] = now + _PENANCE

    def answered(self, server: Nameserver) -> None:
        self._answered_at[server] = self._clock.now()
        self._silent_until.pop(server, None)


def nameserver(text: str) -> Nameserver:
    """`10.0.0.2`, `10.0.0.2:5353`, `fd00::2` or `[fd00::2]:5353`; raises ValueError for anything else."""
    if text.startswith("["):
        ip, _, port = text[1:].partition("]")
        return _checked(ip, port.removeprefix(":") or "53")
    if text.count(":") == 1:
        ip, _, port = text.partition(":")
        return _checked(ip, port)
    return _checked(text, "53")


def _checked(ip: str, port: str) -> Nameserver:
    number = int(port)
    if not 0 < number < 65536:
        raise ValueError(f"{port} is no port")
    return Nameserver(str(ipaddress.ip_address(ip)), number)
