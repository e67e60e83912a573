"""The servers of one gateway proxy that share an address, and which of them cannot (spec 4.3)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final, Literal

from meshd.fields import is_ip
from meshd.mesh.gateways import GatewayServer
from meshd.problems import Origin, Problem

Speaks = Literal["http", "tls", "tcp"]
"""What comes first on a connection: requests in plain text, a TLS handshake, or any bytes."""

ANYWHERE: Final = "0.0.0.0"  # noqa: S104 (what an absent bind means)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """One address of a gateway. `bind`: an IP, or `unix://...` with port 0. `port`: where it really listens (G-3.2)."""

    bind: str
    port: int
    servers: tuple[GatewayServer, ...]

    @property
    def name(self) -> str:
        return f"{self.bind}_{self.port}"


def openings(servers: Iterable[GatewayServer], target_ports: Mapping[int, int]) -> tuple[Opening, ...]:
    """In the order of their first servers. `target_ports`: where the gateway's own services answer on others."""
    found: dict[tuple[str, int], list[GatewayServer]] = {}
    for each in servers:
        number = each.server.port.number
        found.setdefault((_bind(each), target_ports.get(number, number)), []).append(each)
    return tuple(Opening(bind=bind, port=port, servers=tuple(those)) for (bind, port), those in found.items())


def speaks(each: GatewayServer) -> Speaks:
    family = each.server.port.speaks
    return family if family in {"http", "tls"} else "tcp"


def conflicts(opening: Opening) -> Iterator[Problem]:
    """Servers that cannot share their address with an earlier one; both ends are named."""
    first = opening.servers[0]
    for each in opening.servers[1:]:
        if speaks(each) != speaks(first) or speaks(each) == "tcp":
            yield _port_conflict(opening, first, each)
    yield from _shared_names(opening)


def compatible(opening: Opening) -> tuple[GatewayServer, ...]:
    """Those that speak what the first one does."""
    first = opening.servers[0]
    others = () if speaks(first) == "tcp" else opening.servers[1:]
    return (first, *(each for each in others if speaks(each) == speaks(first)))


def _bind(each: GatewayServer) -> str:
    bind = each.server.bind
    if not bind:
        return ANYWHERE
    return str(ip_address(bind)) if is_ip(bind) else bind


def _port_conflict(opening: Opening, first: GatewayServer, each: GatewayServer) -> Problem:
    here, there = each.server.port, first.server.port
    return Problem(
        code="E-GW-PORT-CONFLICT",
        at=_place(each).at("port"),
        message=f"{here.protocol} cannot share {opening.name} with {there.protocol} of {first.gateway.id} "
        f"({_place(first)})",
        hint="give one of them another port, or a bind of its own",
    )


def _shared_names(opening: Opening) -> Iterator[Problem]:
    """Envoy refuses two chains for one name."""
    owners: dict[str, GatewayServer] = {}
    for each in opening.servers:
        names = list(dict.fromkeys(offer.host for offer in each.hosts)) if speaks(each) == "tls" else []
        for name in names:
            owner = owners.setdefault(name, each)
            if owner is not each:
                yield Problem(
                    code="E-GW-DUP-SNI",
                    at=_place(each).at("hosts"),
                    message=f"{name!r} is a host of {owner.gateway.id} ({_place(owner)}) on {opening.name} already",
                    hint="let one server have it, or give one of them another port",
                )


def _place(each: GatewayServer) -> Origin:
    return each.server.origin
