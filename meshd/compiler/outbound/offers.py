"""What the services of a scope offer on each port, from one walk over them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from operator import attrgetter

from meshd.compiler.destinations import is_callable
from meshd.compiler.outbound.mesh_rules import rules_for_mesh
from meshd.compiler.upstream.upstream import Upstream
from meshd.compiler.view import View
from meshd.mesh.visibility import Scope
from meshd.names import ServiceHost
from meshd.registry.host_table import HostTable
from meshd.registry.service import Family, Port
from meshd.resources.virtual_service import VirtualService

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Served:
    """One port of one service."""

    upstream: Upstream
    port: Port

    @property
    def host(self) -> str:
        return self.upstream.service.host

    @property
    def virtual_ips(self) -> tuple[str, ...]:
        found = (str(each.network_address) for each in self._addresses if each.num_addresses == 1)
        return tuple(dict.fromkeys(found))

    @property
    def networks(self) -> tuple[str, ...]:
        """Those of more than one address."""
        return tuple(dict.fromkeys(str(each) for each in self._addresses if each.num_addresses > 1))

    @property
    def _addresses(self) -> Iterator[Network]:
        return (ipaddress.ip_network(each, strict=False) for each in self.upstream.service.addresses)


@dataclass(frozen=True, slots=True)
class Offer:
    """In the order of spec 2.6. Of HTTP only what the listener itself must know: its table says the rest."""

    http: list[Served] = field(default_factory=list)
    tls: list[Served] = field(default_factory=list)
    tcp: list[Served] = field(default_factory=list)

    @property
    def has_grpc_web(self) -> bool:
        return any(each.port.protocol == "GRPC-WEB" for each in self.http)

    def only(self, family: Family) -> Offer:
        """What speaks this."""
        return Offer(
            http=self.http if family == "http" else [],
            tls=self.tls if family == "tls" else [],
            tcp=self.tcp if family == "tcp" else [],
        )

    def add(self, served: Served) -> None:
        match served.port.family:
            case "http":
                self.http.append(served)
            case "tls":
                self.tls.append(served)
            case _:
                self.tcp.append(served)


def offers(view: View, within: Scope, *, captured: bool) -> dict[int, Offer]:
    """By port number; of services that can be called, or whose connections rules may lead elsewhere."""
    found: dict[int, Offer] = {}
    ruled = _Ruled(within)
    for service in sorted(within.services.values(), key=attrgetter("precedence", "host")):
        upstream = view.upstream(service)
        for port in service.ports:
            if is_callable(upstream, port, captured=captured) or ruled.leads(service.host, port.family):
                found.setdefault(port.number, Offer()).add(Served(upstream, port))
    return found


class _Ruled:
    """The hosts that have `tls` or `tcp` rules; few meshes have to ask."""

    __slots__ = ("_tables", "_within")

    def __init__(self, within: Scope) -> None:
        self._within = within
        self._tables: dict[Family, HostTable[VirtualService]] = {}

    def leads(self, host: ServiceHost, speaks: Family) -> bool:
        """Not requests: of those the table of routes knows."""
        if speaks != "tls" and speaks != "tcp":  # noqa: PLR1714 (mypy sees which ones are left)
            return False
        if speaks not in self._tables:
            self._tables[speaks] = HostTable(rules_for_mesh(self._within, speaks))
        return next(self._tables[speaks].covering(host), None) is not None


def united(each: Iterable[Offer]) -> Offer:
    """What a Unix socket or an HTTP proxy offers: all ports."""
    together = Offer()
    for offer in each:
        for served in (*offer.http, *offer.tls, *offer.tcp):
            together.add(served)
    return together
