"""What the services of a scope offer on each port, from one walk over them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from operator import attrgetter

from meshd.compiler.destinations import is_callable
from meshd.compiler.upstream import Upstream
from meshd.compiler.view import View
from meshd.mesh.visibility import Scope
from meshd.registry.service import Family, Port

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
    """By port number; of services that can be called."""
    found: dict[int, Offer] = {}
    for service in sorted(within.services.values(), key=attrgetter("precedence", "host")):
        upstream = view.upstream(service)
        for port in service.ports:
            if is_callable(upstream, port, captured=captured):
                found.setdefault(port.number, Offer()).add(Served(upstream, port))
    return found


def united(each: Iterable[Offer]) -> Offer:
    """What a Unix socket or an HTTP proxy offers: all ports."""
    together = Offer()
    for offer in each:
        for served in (*offer.http, *offer.tls, *offer.tcp):
            together.add(served)
    return together
