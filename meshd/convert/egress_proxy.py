"""`useEgressProxy`: the way of a service outside the mesh by the egress gateway (section 7.1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from meshd.convert.actions import defaults
from meshd.convert.drafts import Draft, gateway_metadata, metadata
from meshd.convert.names import provisional
from meshd.convert.outside import PROTOCOLS, Outside, port_name
from meshd.convert.routes import HTTPEntry, L4Entry
from meshd.convert.scene import Scene
from meshd.convert.virtual_services import assembled
from meshd.registry.hosts import canonical
from meshd.registry.workloads import labels_of
from meshd.resources.destination import Destination, PortSelector
from meshd.resources.destination_rule import DestinationRule, ProxyProtocol, Subset, TrafficPolicy
from meshd.resources.extras import GatewayExtras, HTTPRouteExtras, L4RouteExtras
from meshd.resources.gateway import Gateway, GatewayPort, Server
from meshd.resources.gateway_names import MESH
from meshd.resources.http_match import HTTPMatchRequest
from meshd.resources.http_route import HTTPRoute, HTTPRouteDestination
from meshd.resources.l4_routes import L4MatchAttributes, RouteDestination, TCPRoute
from meshd.resources.legacy import LegacyResource
from meshd.resources.legacy.egress_rule import Port

SUBSET = "egress-proxy-v2"


def check_gateway(there: Outside, scene: Scene) -> bool:
    selector = scene.settings.egress_gateway_selector.items()
    if any(selector <= labels_of(workload).items() for workload in scene.stage.workloads):
        return True
    wanted = ", ".join(f"{key}={value}" for key, value in sorted(selector))
    scene.report.add(
        "E-EGRESS-NO-GATEWAY",
        there.sources[0].origin.at("useEgressProxy"),
        f"no WorkloadEntry has the labels {wanted}: nobody would take these calls",
        "register the egress gateway, or say in MeshConfig.egressGateway who it is",
    )
    return False


def through_proxy(
    there: Outside, entries: tuple[HTTPEntry, ...], sources: tuple[LegacyResource, ...], scene: Scene
) -> Iterator[Draft]:
    name = provisional(f"{there.name}-egress", there.host)
    yield _gateway(there, name, scene)
    http = [
        *(each for port in there.http_ports for each in _to_proxy(there, port, entries, scene)),
        *(_from_proxy(there, port, name, scene) for port in there.http_ports),
    ]
    tcp = [
        *(_l4_to_proxy(there, port, scene) for port in there.tcp_ports),
        *(_l4_from_proxy(there, port, name) for port in there.tcp_ports),
    ]
    yield assembled(
        name=provisional(there.name, there.host),
        namespace=there.namespace,
        hosts=(there.host,),
        gateways=(MESH, name),
        http=tuple(http),
        tcp=tuple(tcp),
        sources=sources,
    )
    if there.tcp_ports:
        yield _with_proxy_protocol(there, scene)


def _gateway(there: Outside, name: str, scene: Scene) -> Draft:
    resource = Gateway(
        metadata=gateway_metadata(name, there.namespace, there.sources),
        selector=dict(scene.settings.egress_gateway_selector),
        servers=tuple(_server(there, port) for port in there.ports),
        origin=there.origin,
    )
    ports = tuple(port.port for port in there.tcp_ports)
    if ports:
        message = "no Gateway can say that connections begin with a PROXY protocol header; extras say it to meshd"
        scene.report.add("L-EGRESS-TCP", there.sources[0].origin.at("useEgressProxy"), message)
    return Draft(resource=resource, sources=there.sources, extras=GatewayExtras(proxy_protocol_ports=ports))


def _server(there: Outside, port: Port) -> Server:
    return Server(
        port=GatewayPort(number=port.port, name=port_name(port), protocol=PROTOCOLS[port.protocol], origin=port.origin),
        hosts=(there.host if "*" not in there.host or there.host.startswith("*.") else "*",),
        origin=port.origin,
    )


# --- requests -------------------------------------------------------------------------------------------------


def _to_proxy(there: Outside, port: Port, entries: tuple[HTTPEntry, ...], scene: Scene) -> Iterator[HTTPEntry]:
    """What users say of the service counts once, here; where it would lead outside, it leads to the gateway."""
    for entry in entries:
        route = entry.route
        name = "to-egress-proxy" if entry.rule is None else f"to-egress-proxy.{route.name}"
        matches = route.match or (HTTPMatchRequest(origin=port.origin),)
        yield replace(
            entry,
            route=replace(
                route,
                name=_of_port(name, there, port),
                match=tuple(_in_mesh(match, port) for match in matches),
                route=tuple(_redirected(each, there, port, scene) for each in route.route),
            ),
        )


def _in_mesh(match: HTTPMatchRequest, port: Port) -> HTTPMatchRequest:
    """V-38: where a match names gateways nobody asks who calls; and no gateway has the labels of a source."""
    return replace(match, gateways=() if match.source_labels else (MESH,), port=port.port)


def _redirected(each: HTTPRouteDestination, there: Outside, port: Port, scene: Scene) -> HTTPRouteDestination:
    if each.destination.host != there.host:
        return each
    to = Destination(
        host=scene.settings.egress_gateway_host,
        port=PortSelector(number=port.port, origin=port.origin),
        origin=each.destination.origin,
    )
    return replace(each, destination=to)


def _from_proxy(there: Outside, port: Port, gateway: str, scene: Scene) -> HTTPEntry:
    route = HTTPRoute(
        name=_of_port("from-egress-proxy", there, port),
        match=(HTTPMatchRequest(gateways=(gateway,), port=port.port, origin=port.origin),),
        route=(HTTPRouteDestination(destination=_itself(there, port), origin=port.origin),),
        origin=port.origin,
        **defaults(scene.settings, port.origin),
    )
    return HTTPEntry(route=route, extras=HTTPRouteExtras())


def _itself(there: Outside, port: Port) -> Destination:
    return Destination(host=there.host, port=PortSelector(number=port.port, origin=port.origin), origin=port.origin)


def _of_port(name: str, there: Outside, port: Port) -> str:
    return name if len(there.http_ports) == 1 else f"{name}-{port.port}"


# --- connections ----------------------------------------------------------------------------------------------


def _l4_to_proxy(there: Outside, port: Port, scene: Scene) -> L4Entry:
    to = Destination(
        host=scene.settings.egress_gateway_host,
        subset=SUBSET,
        port=PortSelector(number=port.port, origin=port.origin),
        origin=port.origin,
    )
    return L4Entry(route=_tcp_route(there, port, MESH, to), extras=L4RouteExtras())


def _l4_from_proxy(there: Outside, port: Port, gateway: str) -> L4Entry:
    return L4Entry(route=_tcp_route(there, port, gateway, _itself(there, port)), extras=L4RouteExtras())


def _tcp_route(there: Outside, port: Port, gateway: str, to: Destination) -> TCPRoute:
    match = L4MatchAttributes(
        gateways=(gateway,),
        port=port.port,
        destination_subnets=(there.text,) if there.is_address else (),
        origin=port.origin,
    )
    return TCPRoute(match=(match,), route=(RouteDestination(destination=to, origin=port.origin),), origin=port.origin)


def _with_proxy_protocol(there: Outside, scene: Scene) -> Draft:
    """The address that was dialled travels in the header; the gateway knows it from nowhere else."""
    host = scene.settings.egress_gateway_host
    today = scene.rules_of(canonical(host))
    subset = Subset(
        name=SUBSET,
        traffic_policy=TrafficPolicy(
            proxy_protocol=ProxyProtocol(version="V2", origin=there.origin), origin=there.origin
        ),
        origin=there.origin,
    )
    resource = DestinationRule(
        metadata=metadata(
            provisional(f"{there.name}-egress-proxy", there.host),
            today[0].metadata.namespace if today else scene.home(canonical(host)) or there.namespace,
            there.sources,
        ),
        host=host,
        subsets=(subset,),
        export_to=today[0].export_to if today else (),
        origin=there.origin,
    )
    return Draft(resource=resource, sources=there.sources)
