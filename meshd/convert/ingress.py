"""IngressRules -> Gateways, and VirtualServices in which the RouteRules of their destinations count, too (C-IN)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from meshd.convert.composition import both, corrected
from meshd.convert.drafts import Draft, gateway_metadata, origin_of
from meshd.convert.edges import EVERY_HOST, Edge
from meshd.convert.ingress_connections import connections
from meshd.convert.names import of_host, provisional
from meshd.convert.routes import HTTPEntry, L4Entry, Subsets, default_entry, http_entries
from meshd.convert.rules import Ruled
from meshd.convert.scene import Scene
from meshd.convert.virtual_services import assembled
from meshd.names import ServiceHost
from meshd.registry.settings import MeshSettings
from meshd.resources.destination import PortSelector
from meshd.resources.gateway import Gateway, GatewayPort, Server
from meshd.resources.http_match import HTTPMatchRequest
from meshd.resources.http_route import HTTPRouteDestination
from meshd.resources.legacy import LegacyResource
from meshd.resources.server_tls import ServerTLSSettings

_Server = tuple[int, str]
Rules = Mapping[ServiceHost, tuple[Ruled, ...]]


def namespace_of(edges: Iterable[Edge]) -> str:
    """Gateways and their VirtualServices are together, so that their names are enough."""
    return min(edge.rule.metadata.namespace for edge in edges)


def by_server(edges: Iterable[Edge]) -> Iterator[list[Edge]]:
    servers: dict[_Server, list[Edge]] = {}
    for edge in edges:
        servers.setdefault(edge.server, []).append(edge)
    return (servers[server] for server in sorted(servers))


def in_virtual_services(edges: Sequence[Edge]) -> Iterator[tuple[str, list[Edge]]]:
    """C-IN-04: with the edges for every host, at their places, where they share a port."""
    places: dict[str, list[int]] = {}
    for index, edge in enumerate(edges):
        places.setdefault(edge.host, []).append(index)
    for host in sorted(places):
        ports = {edges[index].rule.port for index in places[host]}
        everywhere = (index for index in places.get(EVERY_HOST, ()) if edges[index].rule.port in ports)
        yield host, [edges[index] for index in sorted({*places[host], *everywhere})]


# --- Gateways -------------------------------------------------------------------------------------------------


def _gateway_name(server: _Server) -> str:
    port, secret = server
    return provisional(f"ingress-{port}-{secret}" if secret else f"ingress-{port}", f"{port} {secret}")


def gateway(edges: tuple[Edge, ...], namespace: str, settings: MeshSettings) -> Draft:
    """`edges`: all of one server, in their order."""
    port, secret = edges[0].server
    name = _gateway_name(edges[0].server)
    sources: tuple[LegacyResource, ...] = tuple(edge.rule for edge in edges)
    origin = origin_of(sources)
    protocol = "HTTPS" if secret else "TCP" if all(edge.is_tcp for edge in edges) else "HTTP"
    label = name.partition("\n")[0].removeprefix("ingress-")
    resource = Gateway(
        metadata=gateway_metadata(name, namespace, sources),
        selector=dict(settings.ingress_gateway_selector),
        servers=(
            Server(
                port=GatewayPort(
                    number=port, name=f"{protocol.lower()}-{label}", protocol=_spoken(protocol, edges), origin=origin
                ),
                hosts=_hosts(edges),
                tls=ServerTLSSettings(mode="SIMPLE", credential_name=secret, origin=origin) if secret else None,
                origin=origin,
            ),
        ),
        origin=origin,
    )
    return Draft(resource=resource, sources=sources)


def _hosts(edges: tuple[Edge, ...]) -> tuple[str, ...]:
    """`*` stands alone: beside it, rules for every host would be added to those of each host that is named."""
    hosts = {edge.host for edge in edges}
    return (EVERY_HOST,) if EVERY_HOST in hosts else tuple(sorted(hosts))


def _spoken(protocol: str, edges: tuple[Edge, ...]) -> str:
    """TLS that is ended here, around what is no HTTP."""
    return "TLS" if protocol == "HTTPS" and all(edge.is_tcp for edge in edges) else protocol


# --- VirtualServices ------------------------------------------------------------------------------------------


def virtual_service_of(  # noqa: PLR0917
    host: str, edges: tuple[Edge, ...], namespace: str, rules: Rules, subsets: Subsets, scene: Scene
) -> Draft:
    """`edges`: those that count for the host, in their order (C-IN-04)."""
    composed = [_composed(edge, rules.get(edge.destination, ()), subsets, scene) for edge in edges if not edge.is_tcp]
    behind = ((edge, each) for edge in edges for each in rules.get(edge.destination, ()))
    of_rules = (each.rule for edge, each in behind if each.of_tcp or not edge.is_tcp)
    sources = {id(each): each for each in (*(edge.rule for edge in edges), *of_rules)}
    return assembled(
        name=provisional(f"ingress-{of_host(host) if host != EVERY_HOST else 'wildcard'}", host),
        namespace=namespace,
        hosts=(host,),
        gateways=tuple(_gateway_name(server) for server in sorted({edge.server for edge in edges})),
        http=tuple(_reached(entry for entries in composed for entry in entries)),
        tcp=tuple(entry for edge in edges if edge.is_tcp for entry in _connections(edge, rules, subsets, scene)),
        sources=tuple(sources.values()),
    )


def _reached(entries: Iterator[HTTPEntry]) -> Iterator[HTTPEntry]:
    """What comes after a route that takes every request of a port is not reached at that port."""
    taken: set[int] = set()
    for entry in entries:
        (match,) = entry.route.match
        if match.port not in taken:
            yield entry
        if replace(match, port=0).takes_everything and not (entry.extras.also or entry.extras.source):
            taken.add(match.port)


def _composed(edge: Edge, group: tuple[Ruled, ...], subsets: Subsets, scene: Scene) -> Iterator[HTTPEntry]:
    """C-IN-05."""
    here = tuple(called for each in group if (called := _as_called(each, scene)))
    at = edge.rule.origin
    entries = (
        http_entries(edge.destination, here, subsets, scene, at)
        if here
        else (default_entry(edge.destination, scene, at),)
    )
    for entry in entries:
        rule = entry.route.match[0] if entry.route.match else None
        found = both(edge.match, rule) if rule else both(edge.match, HTTPMatchRequest())
        if found is None:
            continue
        if found.also:
            message = f"two conditions on {', '.join(found.also)} do not fit into one match; extras say it to meshd"
            scene.report.add("L-AND", entry.route.origin, message)
        route = replace(
            entry.route,
            name=f"{edge.rule.metadata.name}.{entry.route.name}",
            match=(found.match,),
            route=tuple(_at_port(each, edge, scene) for each in entry.route.route),
            rewrite=corrected(entry.route.rewrite, rule, found.match),
        )
        yield replace(entry, route=route, extras=replace(entry.extras, also=found.also))


def _connections(edge: Edge, rules: Rules, subsets: Subsets, scene: Scene) -> Iterator[L4Entry]:
    """C-IN-08."""
    here = (called for each in rules.get(edge.destination, ()) if (called := _as_called(each, scene)))
    return connections(edge, here, subsets, scene)


def _as_called(each: Ruled, scene: Scene) -> Ruled | None:
    """C-IN-05: who calls is the ingress gateway. Where only some of them are the source, each finds out for itself."""
    if each.who is None:
        return each
    match scene.gateways_among(each.who.extras):
        case "all":
            return replace(each, who=None)
        case "some":
            return each
        case "none":
            return None


def _at_port(each: HTTPRouteDestination, edge: Edge, scene: Scene) -> HTTPRouteDestination:
    """What comes in at a port of the gateway goes to that of the destination, be it of another number."""
    host = ServiceHost(each.destination.host)
    if host != edge.destination and not any(port.number == edge.port.number for port in scene.ports(host)):
        return each
    port = PortSelector(number=edge.port.number, origin=edge.rule.origin)
    return replace(each, destination=replace(each.destination, port=port))
