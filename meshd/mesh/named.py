"""The destinations that a VirtualService names, each with who asks for it: through whom, at which ports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Literal

from meshd.mesh.gateways import MESH, GatewayName, gateway_name, gateways_of
from meshd.names import Namespace, ServiceHost
from meshd.problems import Origin
from meshd.registry.hosts import complete
from meshd.registry.service import Port, Service
from meshd.resources.destination import Destination
from meshd.resources.http_match import HTTPMatchRequest
from meshd.resources.l4_routes import L4MatchAttributes, TLSMatchAttributes
from meshd.resources.virtual_service import HTTPRoute, VirtualService

Match = HTTPMatchRequest | TLSMatchAttributes | L4MatchAttributes
Speaks = Literal["http", "tls", "tcp"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """One rule: what it takes, through which gateways (`mesh` among them) and, where all its matches say so, ports."""

    speaks: Speaks
    through: frozenset[GatewayName]
    ports: frozenset[int]
    origin: Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    destination: Destination
    asking: Asking


def named_by(virtual_service: VirtualService) -> Iterator[Named]:
    """Every destination of its routes and mirrors; those that a delegate adds are not among them before the merging."""
    for http in virtual_service.http:
        yield from _all(_http_destinations(http), _asking(virtual_service, "http", http.match, http.origin))
    for tls in virtual_service.tls:
        named = (each.destination for each in tls.route)
        yield from _all(named, _asking(virtual_service, "tls", tls.match, tls.origin))
    for tcp in virtual_service.tcp:
        named = (each.destination for each in tcp.route)
        yield from _all(named, _asking(virtual_service, "tcp", tcp.match, tcp.origin))


def _all(destinations: Iterable[Destination], asking: Asking) -> Iterator[Named]:
    return (Named(destination=each, asking=asking) for each in destinations)


def _http_destinations(route: HTTPRoute) -> Iterator[Destination]:
    yield from (weighted.destination for weighted in route.route)
    yield from (mirror.destination for mirror in route.mirrors)
    if route.mirror:
        yield route.mirror


def _asking(virtual_service: VirtualService, speaks: Speaks, matches: tuple[Match, ...], at: Origin) -> Asking:
    """V-40: the gateways of a match are a choice among those of the VirtualService."""
    namespace = Namespace(virtual_service.metadata.namespace)
    general = frozenset(gateways_of(virtual_service))
    chosen = (frozenset(gateway_name(text, namespace) for text in match.gateways) or general for match in matches)
    ports = {match.port for match in matches}
    return Asking(
        speaks=speaks,
        through=general.intersection(chain.from_iterable(chosen)) if matches else general,
        ports=frozenset() if 0 in ports else frozenset(ports),
        origin=at,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Lead:
    """Where some rule leads. `port` 0: the rule names none. `by_gateway`: whether gateways go there by it, too."""

    host: ServiceHost
    port: int
    speaks: Speaks
    by_gateway: bool

    def is_to(self, service: Service, port: Port) -> bool:
        return self.host == service.host and self.port in {0, port.number}


def leads_of(virtual_service: VirtualService, domain_suffix: str) -> frozenset[Lead]:
    namespace = Namespace(virtual_service.metadata.namespace)
    return frozenset(
        Lead(
            host=complete(each.destination.host, namespace, domain_suffix),
            port=each.destination.port.number if each.destination.port else 0,
            speaks=each.asking.speaks,
            by_gateway=not each.asking.through <= {MESH},
        )
        for each in named_by(virtual_service)
    )
