"""The HTTP servers of one address of a gateway, or one HTTPS server -> a route table (spec 4.3, 4.4 and V-8)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from meshd.compiler.gateway.misdirected import at_home, misdirected
from meshd.compiler.gateway.traffic import Traffic
from meshd.compiler.http.matches import Scheme, fits_all, is_catch_all
from meshd.compiler.http.routes import Routes
from meshd.mesh.gateways import GatewayName, GatewayServer, order_at
from meshd.names import RouteTableName, ServiceHost
from meshd.plan import Route, RouteTable, VirtualHost
from meshd.problems import Origin, Problem, Problems
from meshd.resources.virtual_service import VirtualService


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayTable:
    """`dynamic_dns`: some route leads to a cluster that looks up what a request asks for."""

    routes: RouteTable
    dynamic_dns: bool
    problems: Problems


@dataclass(slots=True, kw_only=True)
class _Wanted:
    """Whose routes one domain shall have. `via`: the gateways through which each VirtualService is bound to it."""

    first: GatewayServer
    requires_tls: bool = False
    bound: dict[int, VirtualService] = field(default_factory=dict)
    via: dict[int, dict[GatewayName, GatewayServer]] = field(default_factory=dict)

    def bind(self, virtual_service: VirtualService, server: GatewayServer) -> None:
        self.bound[id(virtual_service)] = virtual_service
        self.via.setdefault(id(virtual_service), {}).setdefault(server.name, server)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    virtual_host: VirtualHost
    problems: Problems


def http_table(traffic: Traffic, name: RouteTableName, servers: Iterable[GatewayServer]) -> GatewayTable:
    """Of servers in plain text, which are one. What is not in it is answered 404."""
    wanted: dict[ServiceHost, _Wanted] = {}
    for server in servers:
        _collect(traffic, server, "http", wanted)
    return _gateway_table(traffic, name, wanted, "http", [])


def https_table(
    traffic: Traffic, name: RouteTableName, server: GatewayServer, elsewhere: tuple[ServiceHost, ...]
) -> GatewayTable:
    """Of a server that ends TLS. What is not in it is answered 404, and 421 what is for others (`elsewhere`)."""
    wanted: dict[ServiceHost, _Wanted] = {}
    _collect(traffic, server, "https", wanted)
    if elsewhere:
        wanted = {host: wanted[host] for host in at_home(wanted, server, elsewhere)}
    number, origin = server.server.port.number, server.server.origin
    refused = [traffic.memo.recall(misdirected, host, number, origin) for host in elsewhere]
    return _gateway_table(traffic, name, wanted, "https", refused)


def _gateway_table(
    traffic: Traffic,
    name: RouteTableName,
    wanted: dict[ServiceHost, _Wanted],
    scheme: Scheme,
    refused: list[VirtualHost],
) -> GatewayTable:
    found: list[Routes] = []
    entries = [entry for host in sorted(wanted) if (entry := _entry(traffic, host, wanted[host], scheme, found))]
    hosts = [*(entry.virtual_host for entry in entries), *refused] or [traffic.memo.recall(_nobody, name)]
    return GatewayTable(
        routes=traffic.memo.recall(_table, name, *hosts),
        dynamic_dns=traffic.leads_to_names(found),
        problems=tuple(problem for entry in entries for problem in entry.problems),
    )


def _collect(traffic: Traffic, each: GatewayServer, scheme: Scheme, wanted: dict[ServiceHost, _Wanted]) -> None:
    redirects = scheme == "http" and each.server.tls is not None and each.server.tls.https_redirect
    for binding in traffic.bindings(each):
        if binding.virtual_service.http:
            for host in binding.hosts:
                domain = wanted.setdefault(host, _Wanted(first=each))
                domain.bind(binding.virtual_service, each)
                domain.requires_tls |= redirects
    for offer in each.hosts if redirects else ():
        wanted.setdefault(offer.host, _Wanted(first=each)).requires_tls = True


def _entry(traffic: Traffic, host: ServiceHost, wanted: _Wanted, scheme: Scheme, seen: list[Routes]) -> _Entry | None:
    """None for a host of which no rule applies here: a wider one may still have an answer."""
    bound = list(wanted.bound.values())
    if len(bound) > 1:
        bound.sort(key=lambda each: order_at(each, traffic.namespace))
    found = [_routes(traffic, each, wanted.via[id(each)], scheme) for each in bound]
    found = [each for each in found if each.routes]
    seen.extend(found)
    if not found and not wanted.requires_tls:
        return None
    number, origin = wanted.first.server.port.number, wanted.first.server.origin
    return traffic.memo.recall(_merged, host, number, wanted.requires_tls, origin, *found)


def _routes(
    traffic: Traffic, virtual_service: VirtualService, via: dict[GatewayName, GatewayServer], scheme: Scheme
) -> Routes:
    port = next(iter(via.values())).server.port.number
    return traffic.routes(virtual_service, traffic.entrance(sorted(via), port, scheme))


def _merged(host: ServiceHost, port: int, requires_tls: bool, origin: Origin, *found: Routes) -> _Entry:  # noqa: FBT001
    """V-8: one after the other, but what takes everything comes last; there the first one has it."""
    every = [route for each in found for route in each.routes]
    last = [route for route in every if fits_all(route.match)]
    routes = (*(route for route in every if not fits_all(route.match)), *_until_catch_all(last))
    virtual_host = VirtualHost(
        name=f"{host}:{port}",
        domains=(_domain(host),),
        routes=routes,
        requires_tls=requires_tls,
        origin=found[0].origin if found else origin,
    )
    problems = (problem for each in found for problem in each.problems)
    return _Entry(virtual_host=virtual_host, problems=(*problems, *_unreachable(host, last)))


def _until_catch_all(last: list[Route]) -> list[Route]:
    end = next((index for index, route in enumerate(last) if is_catch_all(route.match)), len(last))
    return last[: end + 1]


def _unreachable(host: ServiceHost, last: list[Route]) -> Problems:
    reached = _until_catch_all(last)
    return tuple(
        Problem(
            code="W-VS-UNREACHABLE",
            at=route.origin,
            message=f"no request to {host} gets here: the route at {reached[-1].origin} takes all that are left",
            hint="match what it is for",
        )
        for route in last[len(reached) :]
    )


def _domain(host: ServiceHost) -> str:
    return f"[{host}]" if ":" in host else host


def _nobody(name: RouteTableName) -> VirtualHost:
    return VirtualHost(name=f"nobody:{name}", domains=("*",), routes=())


def _table(name: RouteTableName, *virtual_hosts: VirtualHost) -> RouteTable:
    return RouteTable(name=name, virtual_hosts=virtual_hosts)
