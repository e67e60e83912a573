"""Aborts by an HTTP/2 error: only gRPC has something that comes to the same (spec V-76, inventory ABT-05)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from meshd.mesh.survey import Survey
from meshd.names import Namespace
from meshd.problems import Problem
from meshd.registry.hosts import complete
from meshd.registry.service import Port, Protocol, Service
from meshd.resources.destination import Destination
from meshd.resources.virtual_service import HTTPRoute, VirtualService

_GRPC: Final[frozenset[Protocol]] = frozenset({"GRPC", "GRPC-WEB"})

_Asking = tuple[tuple[VirtualService, HTTPRoute], ...]


def http2_errors(survey: Survey) -> Iterator[Problem]:
    """A route that may lead to a port of another protocol would let those requests pass, in silence."""
    for virtual_service, route in survey.memo.recall(_asking, survey.virtual_services):
        port = next(_others(virtual_service, route, survey), None)
        abort = route.fault.abort if route.fault else None
        if port and abort:
            yield Problem(
                code="E-HTTP2ERR",
                at=abort.origin.at("http2Error"),
                message=f"port {port.number} speaks {port.protocol} ({port.origin}), not gRPC",
                hint="write httpStatus",
            )


def _asking(virtual_services: tuple[VirtualService, ...]) -> _Asking:
    return tuple((each, route) for each in virtual_services for route in each.http if _asks(route))


def _asks(route: HTTPRoute) -> bool:
    return bool(route.fault and route.fault.abort and route.fault.abort.http2_error)


def _others(virtual_service: VirtualService, route: HTTPRoute, survey: Survey) -> Iterator[Port]:
    """The ports that the route may lead to, and that do not speak gRPC."""
    namespace = Namespace(virtual_service.metadata.namespace)
    for to in route.route:
        host = complete(to.destination.host, namespace, survey.mesh.settings.domain_suffix)
        for service in survey.mesh.services.get(host, ()):
            yield from (port for port in _ports(to.destination, route, service) if port.protocol not in _GRPC)


def _ports(destination: Destination, route: HTTPRoute, service: Service) -> Iterator[Port]:
    """V-52: the port that is named; else the only one; else the one that the request was sent to."""
    if destination.port:
        numbers = {destination.port.number}
    elif len(service.ports) > 1 and route.match and all(match.port for match in route.match):
        numbers = {match.port for match in route.match}
    else:
        numbers = {port.number for port in service.ports}
    yield from (port for port in service.ports if port.family == "http" and port.number in numbers)
