"""`useEgressProxy`: the way of a service outside the mesh by the egress gateway (section 7.1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from meshd.convert.actions import defaults
from meshd.convert.drafts import Draft, gateway_metadata
from meshd.convert.egress_hop import is_mutual, server_host, to_gateway
from meshd.convert.names import provisional
from meshd.convert.outside import PROTOCOLS, Outside, port_name
from meshd.convert.routes import HTTPEntry, L4Entry
from meshd.convert.scene import Scene
from meshd.convert.virtual_services import assembled
from meshd.problems import Origin
from meshd.registry.workloads import labels_of
from meshd.resources.answers import HTTPRewrite
from meshd.resources.destination import Destination, PortSelector
from meshd.resources.extras import GatewayExtras, L4RouteExtras
from meshd.resources.gateway import Gateway, GatewayPort, Server
from meshd.resources.gateway_names import MESH
from meshd.resources.headers import HeaderOperations, Headers
from meshd.resources.http_match import HTTPMatchRequest
from meshd.resources.http_route import HTTPRoute, HTTPRouteDestination
from meshd.resources.l4_routes import L4MatchAttributes, RouteDestination, TCPRoute
from meshd.resources.legacy import LegacyResource
from meshd.resources.legacy.egress_rule import Port
from meshd.resources.server_tls import ServerTLSSettings
from meshd.resources.string_match import StringMatch

AUTHORITY: Final = "x-meshd-egress-authority"
"""What the outside shall see as Host. Until then a request has the name by which the gateway knows the service."""
_PEER: Final = "x-forwarded-client-cert"
"""Who called, as the gateway writes it where it ends TLS of the mesh. Nobody outside has to know."""
_DEFAULT_PORTS: Final = frozenset({("HTTP", 80), ("HTTPS", 443)})


def check_gateway(there: Outside, scene: Scene) -> bool:
    selector = scene.settings.egress_gateway_selector.items()
    if any(selector <= labels_of(workload).items() for workload in scene.gateways):
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
    there: Outside,
    entries: tuple[HTTPEntry, ...],
    connections: tuple[L4Entry, ...],
    sources: tuple[LegacyResource, ...],
    scene: Scene,
) -> Iterator[Draft]:
    """`entries`: none where a VirtualService of today says what sidecars do. `connections`: what rules say of them."""
    name = provisional(f"{there.name}-egress", there.host)
    yield _gateway(there, name, scene)
    to_proxy = [each for port in there.http_ports for each in _to_proxy(there, port, entries, scene)]
    from_proxy = [each for port in there.http_ports for each in _from_proxy(there, port, name, entries, scene)]
    tcp = [
        *(_to_gateway(there, port, each, scene) for port in there.tcp_ports for each in connections),
        *(_l4_entry(there, port, MESH, to_gateway(there, port, scene)) for port in there.tcp_ports),
        *(_l4_entry(there, port, name, _itself(there, port)) for port in there.tcp_ports),
    ]
    yield assembled(
        name=provisional(there.name, there.host),
        namespace=there.namespace,
        hosts=(there.host,),
        gateways=(MESH, name) if to_proxy or tcp else (name,),
        http=(*to_proxy, *from_proxy),
        tcp=tuple(tcp),
        sources=sources,
    )


# --- the Gateway ----------------------------------------------------------------------------------------------


def _gateway(there: Outside, name: str, scene: Scene) -> Draft:
    resource = Gateway(
        metadata=gateway_metadata(name, there.namespace, there.sources),
        selector=dict(scene.settings.egress_gateway_selector),
        servers=tuple(_server(there, port, scene) for port in there.ports),
        origin=there.origin,
    )
    ports = tuple(port.port for port in there.tcp_ports)
    if ports:
        message = "no Gateway can say that connections begin with a PROXY protocol header; extras say it to meshd"
        scene.report.add("L-EGRESS-TCP", there.sources[0].origin.at("useEgressProxy"), message)
    return Draft(resource=resource, sources=there.sources, extras=GatewayExtras(proxy_protocol_ports=ports))


def _server(there: Outside, port: Port, scene: Scene) -> Server:
    mutual = is_mutual(scene)
    protocol = ("TLS" if port.is_tcp else "HTTPS") if mutual else PROTOCOLS[port.protocol]
    name = f"{protocol.lower()}-{port.port}" if mutual else port_name(port)
    return Server(
        port=GatewayPort(number=port.port, name=name, protocol=protocol, origin=port.origin),
        hosts=(server_host(there.host),),
        tls=ServerTLSSettings(mode="ISTIO_MUTUAL", origin=port.origin) if mutual else None,
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
                route=tuple(_redirected(each, route, there, port, scene) for each in route.route),
                rewrite=_of_path(route.rewrite),
                mirror=to_gateway(there, port, scene)
                if route.mirror and route.mirror.host == there.host
                else route.mirror,
            ),
        )


def _in_mesh(match: HTTPMatchRequest, port: Port) -> HTTPMatchRequest:
    """V-38: where a match names gateways nobody asks who calls; and no gateway has the labels of a source."""
    return replace(match, gateways=() if match.source_labels else (MESH,), port=port.port)


def _of_path(rewrite: HTTPRewrite | None) -> HTTPRewrite | None:
    """The authority is each destination's own matter: at the gateway it chooses the service."""
    return replace(rewrite, authority=None) if rewrite and rewrite.uri else None


def _redirected(
    each: HTTPRouteDestination, route: HTTPRoute, there: Outside, port: Port, scene: Scene
) -> HTTPRouteDestination:
    authority = route.rewrite.authority if route.rewrite else None
    if each.destination.host != there.host:
        return replace(each, headers=_setting({"host": authority}, each)) if authority else each
    known = {"host": there.host} if there.is_address else {}
    wanted = {AUTHORITY: authority} if authority else {}
    edits = {**known, **wanted}
    return replace(
        each, destination=to_gateway(there, port, scene), headers=_setting(edits, each) if edits else each.headers
    )


def _setting(edits: Mapping[str, str], each: HTTPRouteDestination) -> Headers:
    return Headers(request=HeaderOperations(set=edits, origin=each.origin), origin=each.origin)


def _from_proxy(
    there: Outside, port: Port, gateway: str, entries: tuple[HTTPEntry, ...], scene: Scene
) -> Iterator[HTTPEntry]:
    """One for each Host that rules give the service, and one for its own."""
    at, inside = port.origin, (_PEER,) if is_mutual(scene) else ()
    match = HTTPMatchRequest(gateways=(gateway,), port=port.port, origin=at)
    back = HTTPRoute(
        name=_of_port("from-egress-proxy", there, port),
        match=(match,),
        route=(HTTPRouteDestination(destination=_itself(there, port), origin=at),),
        rewrite=HTTPRewrite(authority=_literal(there, port), origin=at) if there.is_address else None,
        headers=_without(inside, at),
        origin=at,
        **_patience(entries, scene, at),
    )
    rewrites = (entry.route.rewrite for entry in entries if entry.route.route)
    for number, authority in enumerate(dict.fromkeys(each.authority for each in rewrites if each and each.authority)):
        asked = {AUTHORITY: StringMatch(exact=authority, origin=at)}
        route = replace(
            back,
            name=_of_port(f"from-egress-proxy.{number}", there, port),
            match=(replace(match, headers=asked),),
            rewrite=HTTPRewrite(authority=authority, origin=at),
            headers=_without((AUTHORITY, *inside), at),
        )
        yield HTTPEntry(route=route)
    yield HTTPEntry(route=back)


def _without(names: tuple[str, ...], at: Origin) -> Headers | None:
    return Headers(request=HeaderOperations(remove=names, origin=at), origin=at) if names else None


def _patience(entries: Iterable[HTTPEntry], scene: Scene, at: Origin) -> dict[str, Any]:
    """No retries, which sidecars make; and no less time than any of them gives."""
    forwarding = [entry for entry in entries if entry.route.route]
    given = {"timeout": _longest(forwarding)} if forwarding else {}
    return {**defaults(scene.settings, at), **given}


def _longest(forwarding: Iterable[HTTPEntry]) -> timedelta | None:
    """None where requests may ask for any: the sidecar gives up on them."""
    asked = [None if entry.extras.timeout else entry.route.timeout for entry in forwarding]
    given = [each for each in asked if each is not None]
    return max(given) if len(given) == len(asked) else None


def _literal(there: Outside, port: Port) -> str:
    """How clients write the address."""
    host = f"[{there.text}]" if ":" in there.text else there.text
    return host if (port.protocol, port.port) in _DEFAULT_PORTS else f"{host}:{port.port}"


def _itself(there: Outside, port: Port) -> Destination:
    return Destination(host=there.host, port=PortSelector(number=port.port, origin=port.origin), origin=port.origin)


def _of_port(name: str, there: Outside, port: Port) -> str:
    return name if len(there.http_ports) == 1 else f"{name}-{port.port}"


# --- connections ----------------------------------------------------------------------------------------------


def _to_gateway(there: Outside, port: Port, entry: L4Entry, scene: Scene) -> L4Entry:
    """What a rule says of connections counts once, at the sidecar, as it does for requests."""
    matches = entry.route.match or (L4MatchAttributes(origin=port.origin),)
    to = to_gateway(there, port, scene)
    route = TCPRoute(
        match=tuple(_at_sidecar(each, port) for each in matches if isinstance(each, L4MatchAttributes)),
        route=tuple(
            replace(each, destination=to) if each.destination.host == there.host else each for each in entry.route.route
        ),
        origin=entry.route.origin,
    )
    return replace(entry, route=route)


def _at_sidecar(match: L4MatchAttributes, port: Port) -> L4MatchAttributes:
    return replace(match, gateways=() if match.source_labels else (MESH,), port=port.port)


def _l4_entry(there: Outside, port: Port, gateway: str, to: Destination) -> L4Entry:
    """At a sidecar the addresses are the service's own; said again, they would let a bound port past the gateway."""
    match = L4MatchAttributes(
        gateways=(gateway,),
        port=port.port,
        destination_subnets=(there.text,) if gateway != MESH else (),
        origin=port.origin,
    )
    to_it = RouteDestination(destination=to, origin=port.origin)
    route = TCPRoute(match=(match,), route=(to_it,), origin=port.origin)
    return L4Entry(route=route, extras=L4RouteExtras())
