"""How names are looked up; the daemon fills this in from the agent's configuration."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal

Family = Literal["A", "AAAA"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolverSettings:
    """`nameservers` (`10.0.0.2`, `10.0.0.2:5353`, `[fd00::2]:53`) replace those of `resolv_conf`.

    An answer is looked up again after its TTL, but within `floor` and `ceiling`; a failure after `retry_first`,
    then twice that, up to `retry_ceiling`. Every nameserver is given the first of `timeouts`, which is
    short lest dead names hold up others, then each the next. What could not be looked up for `max_staleness` is used no
    longer; None: for ever.
    """

    nameservers: tuple[str, ...] = ()
    families: tuple[Family, ...] = ("A", "AAAA")
    answers_file: Path | None = None
    hosts_file: Path = Path("/etc/hosts")
    resolv_conf: Path = Path("/etc/resolv.conf")
    floor: timedelta = timedelta(seconds=1)
    ceiling: timedelta = timedelta(minutes=5)
    retry_first: timedelta = timedelta(seconds=1)
    retry_ceiling: timedelta = timedelta(seconds=60)
    timeouts: tuple[timedelta, ...] = (timedelta(milliseconds=300), timedelta(seconds=1), timedelta(seconds=2))
    max_staleness: timedelta | None = None
    queries: int = 100
    patient_queries: int = 100


def families_of_this_host() -> tuple[Family, ...]:
    """What a proxy here can connect to: half of its endpoints would fail if IPv6 ones were given it without a route."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("2001:db8::1", 53))  # sends nothing; asks the kernel for a route
        except OSError:
            return ("A",)
    return ("A", "AAAA")
