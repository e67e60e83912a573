"""IngressRules to ports that speak no HTTP, and the TCP rules of their destination behind them (C-IN-08, C-IN-05)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from ipaddress import ip_network

from meshd.convert.edges import Edge
from meshd.convert.matches import tcp_matches
from meshd.convert.routes import L4Entry, Subsets, tcp_entries
from meshd.convert.rules import Ruled
from meshd.convert.scene import Scene
from meshd.names import ServiceHost
from meshd.resources.destination import Destination, PortSelector
from meshd.resources.extras import L4RouteExtras
from meshd.resources.l4_routes import L4MatchAttributes, RouteDestination, TCPRoute


def connections(edge: Edge, here: Iterable[Ruled], subsets: Subsets, scene: Scene) -> Iterator[L4Entry]:
    """`here`: the rules that count at the ingress, in their order; what none of them takes, the destination gets."""
    asked = _asked(edge)
    for entry in tcp_entries(here, subsets, scene):
        assert isinstance(entry.route, TCPRoute)
        matches = _composed(asked, entry.route.match)
        if matches:
            route = replace(
                entry.route, match=matches, route=tuple(_at_port(each, edge, scene) for each in entry.route.route)
            )
            yield replace(entry, route=route)
        if not entry.extras.source and set(map(_conditions, asked)) <= set(map(_conditions, matches)):
            return
    at = edge.rule.origin
    to = Destination(host=edge.destination, port=PortSelector(number=edge.port.number, origin=at), origin=at)
    route = TCPRoute(match=asked, route=(RouteDestination(destination=to, origin=at),), origin=at)
    yield L4Entry(route=route, extras=L4RouteExtras())


def _asked(edge: Edge) -> tuple[L4MatchAttributes, ...]:
    match = edge.rule.match
    given = tcp_matches(match, None) if match and match.tcp else ()
    return tuple(replace(each, port=edge.rule.port) for each in given or (L4MatchAttributes(origin=edge.rule.origin),))


def _at_port(each: RouteDestination, edge: Edge, scene: Scene) -> RouteDestination:
    """What comes in at a port of the gateway goes to that of the destination, be it of another number."""
    host = ServiceHost(each.destination.host)
    if host != edge.destination and not any(port.number == edge.port.number for port in scene.ports(host)):
        return each
    port = PortSelector(number=edge.port.number, origin=edge.rule.origin)
    return replace(each, destination=replace(each.destination, port=port))


# --- both matches at once -------------------------------------------------------------------------------------


def _composed(
    asked: tuple[L4MatchAttributes, ...], ruled: tuple[L4MatchAttributes, ...]
) -> tuple[L4MatchAttributes, ...]:
    """`ruled`: none where the rule asks for nothing."""
    if not ruled:
        return asked
    return tuple(found for one in asked for other in ruled if (found := _both(one, other)))


def _both(one: L4MatchAttributes, other: L4MatchAttributes) -> L4MatchAttributes | None:
    """None where no connection fits both. `one` keeps its port, `other` who calls."""
    sources = _overlap(_given(one.source_subnet), _given(other.source_subnet))
    destinations = _overlap(one.destination_subnets, other.destination_subnets)
    if sources is None or destinations is None:
        return None
    return replace(other, port=one.port, source_subnet=next(iter(sources), None), destination_subnets=destinations)


def _given(subnet: str | None) -> tuple[str, ...]:
    return (subnet,) if subnet else ()


def _overlap(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...] | None:
    """Of two blocks that overlap the narrower lies in the other. None where there is none; empty is everywhere."""
    if not (one and other):
        return one or other
    return tuple(dict.fromkeys(found for a in one for b in other if (found := _narrower(a, b)))) or None


def _narrower(one: str, other: str) -> str | None:
    first, second = ip_network(one, strict=False), ip_network(other, strict=False)
    if first.version != second.version or not first.overlaps(second):
        return None
    return one if first.prefixlen >= second.prefixlen else other


def _conditions(match: L4MatchAttributes) -> tuple[object, ...]:
    return (match.port, match.source_subnet, match.destination_subnets, *sorted(match.source_labels.items()))
