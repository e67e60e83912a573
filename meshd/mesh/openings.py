"""The servers of one gateway proxy that share an address, and which of them cannot (spec 4.3)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
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
    def behind_headers(self) -> Opening:
        """Of the servers whose connections begin with a PROXY header, as their Gateways say in extras."""
        return replace(self, servers=tuple(filter(expects_proxy_protocol, self.servers)))

    @property
    def without_headers(self) -> Opening:
        return replace(self, servers=tuple(each for each in self.servers if not expects_proxy_protocol(each)))

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


def expects_proxy_protocol(each: GatewayServer) -> bool:
    """`L-EGRESS-TCP`. Requests say themselves for whom they are, and come without a header."""
    if speaks(each) == "http" or has_requests(each):
        return False
    return each.server.port.number in each.gateway.extras.proxy_protocol_ports


def has_requests(each: GatewayServer) -> bool:
    """Behind its TLS."""
    return each.server.port.protocol.upper() == "HTTPS"


def conflicts(opening: Opening) -> Iterator[Problem]:
    """Servers that cannot share their address with an earlier one; both ends are named.

    Connections with a PROXY header are told from requests and from TLS, but not from bytes that may begin as they do.
    """
    behind, others = opening.behind_headers, opening.without_headers
    for part in (others, behind):
        for each in part.servers[1:]:
            if not _goes_with(part.servers[0], each):
                yield _port_conflict(opening, part.servers[0], each)
        yield from _shared_names(part)
    if behind.servers and others.servers and speaks(others.servers[0]) == "tcp":
        yield _port_conflict(opening, behind.servers[0], others.servers[0])


def compatible(opening: Opening) -> tuple[GatewayServer, ...]:
    """Those that speak what the first one does. All of them come behind a PROXY header, or none."""
    first = opening.servers[0]
    return (first, *(each for each in opening.servers[1:] if _goes_with(first, each)))


def _goes_with(first: GatewayServer, each: GatewayServer) -> bool:
    """Bytes are told apart by nothing but the address in a PROXY header."""
    return speaks(each) == speaks(first) and (speaks(each) != "tcp" or expects_proxy_protocol(each))


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
