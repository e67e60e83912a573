"""Who is redirected where -> the text of `table inet meshd`. A pure function; names of users are numbers by now.

The first statements remove what stood there before. nft takes a file as one transaction, so that no connection sees
neither table; and it names no other table, so that those of others stay as they are.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

NAME: Final = "inet meshd"
REMOVAL: Final = f"table {NAME}\ndelete table {NAME}\n"
"""That it is declared first makes it remove nothing where there is nothing, instead of failing."""

KNOCK_AT: Final = ("127.0.0.6", 15006)
KNOCK_LENGTH: Final = 8
ANY: Final = bytes(KNOCK_LENGTH)
"""The knock that every table answers, whatever its rules; `knock.py` tells why tables are asked in this way."""

PASSED_ON: Final = ("127.0.0.6", "::1")
"""Where what the inbound side passes on comes from; the compiler makes it so."""

_LOOPBACK: Final = ("127.0.0.0/8", "::1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirections:
    """`networks` or `own_ports` None: all of them. `left_alone`: users whose connections are not looked at.

    `proxies` are those of whom only calls to this host itself are redirected: one may call what runs beside it.
    """

    outbound_port: int
    inbound_port: int
    proxies: frozenset[int]
    left_alone: frozenset[int] = frozenset()
    groups_left_alone: frozenset[int] = frozenset()
    interfaces_left_alone: tuple[str, ...] = ()
    networks: tuple[str, ...] | None = None
    networks_left_alone: tuple[str, ...] = ()
    ports: frozenset[int] = frozenset()
    ports_left_alone: frozenset[int] = frozenset()
    own_ports: frozenset[int] | None = None
    own_ports_left_alone: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """`digest` tells tables apart: the loaded one answers a knock with its own."""

    redirections: Redirections
    text: str
    digest: bytes


_LAST: Final = "priority -99; policy accept;"
"""Just after what others redirect (-100): the kernel asks no further once somebody did. So the ports that Docker
publishes lead to their containers; at the same priority it would depend on who was loaded last (measured)."""


def table(redirections: Redirections) -> Table:
    """The same settings give the same text."""
    digest = hashlib.sha256("\n".join(_rules(redirections, knock="")).encode()).digest()[:KNOCK_LENGTH]
    knock = f"{{ 0x{ANY.hex()}, 0x{digest.hex()} }}"
    text = REMOVAL + "\n".join((*_rules(redirections, knock), ""))
    return Table(redirections=redirections, text=text, digest=digest)


def _rules(wanted: Redirections, knock: str) -> Iterator[str]:
    yield f"table {NAME} {{"
    yield from _chain("opened_here", f"type nat hook output {_LAST}", _opened_here(wanted, knock))
    yield from _chain("comes_in", f"type nat hook prerouting {_LAST}", _comes_in(wanted))
    yield from _chain("for_this_host", "", _for_this_host(wanted))
    yield "}"


def _chain(name: str, hook: str, rules: Iterable[str]) -> Iterator[str]:
    yield f"\tchain {name} {{"
    yield from (f"\t\t{line}" for line in (hook, *rules) if line)
    yield "\t}"


def _opened_here(wanted: Redirections, knock: str) -> Iterator[str]:
    """The proxies' calls to this host itself are redirected too, before they are left alone."""
    ip, port = KNOCK_AT
    yield "# meshd, which may not list tables, asks here which one is loaded: a datagram that is refused says yes"
    yield f"ip daddr {ip} udp dport {port} @th,64,{KNOCK_LENGTH * 8} {knock} drop"
    yield from _only_new_connections()
    yield "# what the sidecar passes on to an application comes from here"
    yield from (f"{_family(address)} saddr {address} return" for address in PASSED_ON)
    yield from (f"{_family(network)} daddr {network} return" for network in _LOOPBACK)
    yield "# meshd, where it has a user of its own, and who else is excluded"
    yield from _unless("meta skuid", wanted.left_alone)
    yield from _unless("meta skgid", wanted.groups_left_alone)
    yield from (f'oifname "{name}" return' for name in sorted(wanted.interfaces_left_alone))
    yield "# calls of this host to itself, also by its proxies"
    yield "fib daddr type local goto for_this_host"
    yield "# what the proxies open elsewhere"
    yield from _unless("meta skuid", wanted.proxies)
    yield from _unless("tcp dport", wanted.ports_left_alone)
    yield from (f"{match} return" for match in _to(wanted.networks_left_alone))
    yield from _outbound(wanted)


def _comes_in(wanted: Redirections) -> Iterator[str]:
    yield from _only_new_connections()
    yield 'iifname "lo" return'
    yield from (f'iifname "{name}" return' for name in sorted(wanted.interfaces_left_alone))
    yield "fib daddr type local goto for_this_host"


def _for_this_host(wanted: Redirections) -> Iterator[str]:
    yield from _unless("tcp dport", wanted.own_ports_left_alone)
    redirect = f"redirect to :{wanted.inbound_port}"
    if wanted.own_ports is None:
        yield f"meta l4proto tcp {redirect}"
    elif wanted.own_ports:
        yield f"tcp dport {_set(wanted.own_ports)} {redirect}"


def _outbound(wanted: Redirections) -> Iterator[str]:
    redirect = f"redirect to :{wanted.outbound_port}"
    if wanted.networks is None:
        yield f"meta l4proto tcp {redirect}"
        return
    if wanted.ports:
        yield f"tcp dport {_set(wanted.ports)} {redirect}"
    yield from (f"{match} meta l4proto tcp {redirect}" for match in _to(wanted.networks))


def _only_new_connections() -> Iterator[str]:
    yield "meta l4proto != tcp return"
    yield "# a connection that is older than the kernel's tracking of them is taken for a new one, in the midst of it"
    yield "tcp flags & (fin | syn | rst | ack) != syn return"


def _unless(subject: str, numbers: frozenset[int]) -> Iterator[str]:
    if numbers:
        yield f"{subject} {_set(numbers)} return"


def _set(numbers: frozenset[int]) -> str:
    return f"{{ {', '.join(map(str, sorted(numbers)))} }}"


def _to(networks: Iterable[str]) -> Iterator[str]:
    """Of each family what is left when none is within another: sets of nft may not overlap."""
    parsed = [ipaddress.ip_network(each, strict=False) for each in networks]
    four = ipaddress.collapse_addresses(each for each in parsed if isinstance(each, ipaddress.IPv4Network))
    six = ipaddress.collapse_addresses(each for each in parsed if isinstance(each, ipaddress.IPv6Network))
    for family, found in (("ip", four), ("ip6", six)):
        members = ", ".join(map(str, found))
        if members:
            yield f"{family} daddr {{ {members} }}"


def _family(address: str) -> str:
    return "ip6" if ":" in address else "ip"
