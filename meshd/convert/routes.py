"""The RouteRules of a host -> the routes of its VirtualService, in order (C-RR-03, 04 and 06 to 10)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from meshd.convert.actions import actions, defaults, redirect
from meshd.convert.matches import http_match, takes_every_request, tcp_matches, tls_match
from meshd.convert.rules import Ruled, Target
from meshd.convert.scene import Scene
from meshd.convert.subsets import Labels
from meshd.names import ServiceHost
from meshd.problems import Origin
from meshd.resources.answers import HTTPDirectResponse
from meshd.resources.destination import Destination
from meshd.resources.extras import HTTPRouteExtras, L4RouteExtras
from meshd.resources.http_match import HTTPMatchRequest
from meshd.resources.http_route import HTTPRoute, HTTPRouteDestination
from meshd.resources.l4_routes import RouteDestination, TCPRoute, TLSMatchAttributes, TLSRoute
from meshd.resources.legacy.match import MatchCondition
from meshd.resources.legacy.route_rule import RouteRule
from meshd.resources.string_match import StringMatch

DEFAULT: Final = "meshd-default"
_UPGRADE: Final = "(?i)websocket"

Subsets = Mapping[ServiceHost, Mapping[Labels, str]]
"""What each set of labels is called on each host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPEntry:
    """One route, with what it cannot say itself; `rule` is None for the default route."""

    route: HTTPRoute
    extras: HTTPRouteExtras = HTTPRouteExtras()  # noqa: RUF009 (it is frozen)
    rule: RouteRule | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class L4Entry:
    route: TCPRoute | TLSRoute
    extras: L4RouteExtras


def may_speak_http(host: ServiceHost, scene: Scene) -> bool:
    """Of a host that is not known, anything may be true."""
    ports = scene.ports(host)
    return not ports or any(port.family == "http" for port in ports)


def may_take_bytes(host: ServiceHost, scene: Scene) -> bool:
    """Whether rules of connections may be about more than TLS."""
    families = {port.family for port in scene.ports(host)}
    return "tcp" in families or "tls" not in families


def http_entries(
    host: ServiceHost, group: Iterable[Ruled], subsets: Subsets, scene: Scene, at: Origin
) -> Iterator[HTTPEntry]:
    """With the default route behind them, where none takes every request."""
    for each in group:
        if each.of_http:
            yield from _of_rule(each, subsets, scene)
            if takes_every_request(each.rule.match):
                return
    yield default_entry(host, scene, at)


def default_entry(host: ServiceHost, scene: Scene, at: Origin) -> HTTPEntry:
    to = HTTPRouteDestination(destination=Destination(host=host, origin=at), origin=at)
    route = HTTPRoute(name=DEFAULT, route=(to,), **defaults(scene.settings, at), origin=at)
    return HTTPEntry(route=route, extras=HTTPRouteExtras(websocket_upgrade=False))


def _of_rule(each: Ruled, subsets: Subsets, scene: Scene) -> Iterator[HTTPEntry]:
    rule = each.rule
    match = http_match(rule.match, each.who)
    source = each.who.extras if each.who else None
    if rule.redirect:
        route = HTTPRoute(name=each.name, match=_matches(match), redirect=redirect(rule.redirect), origin=rule.origin)
        yield HTTPEntry(route=route, extras=HTTPRouteExtras(source=source), rule=rule)
        return
    acts = actions(rule, scene.settings, scene.report)
    extras = replace(acts.extras, source=source)
    route = HTTPRoute(
        name=each.name,
        match=_matches(match),
        route=tuple(_http_destination(target, subsets) for target in each.targets),
        mirror=_destination(each.mirror, subsets) if each.mirror else None,
        origin=rule.origin,
        **acts.fields,
    )
    if rule.websocket_upgrade:
        yield from _upgrading(HTTPEntry(route=route, extras=extras, rule=rule), match, rule)
        return
    message = "routes without websocketUpgrade refused WebSockets; in the YAML of today every route lets them through"
    scene.report.once("L-WS-OPEN", rule.origin, message)
    yield HTTPEntry(route=route, extras=extras, rule=rule)


def _upgrading(entry: HTTPEntry, match: HTTPMatchRequest | None, rule: RouteRule) -> Iterator[HTTPEntry]:
    """RR-20: who does not ask for the upgrade is refused."""
    at = rule.origin.at("websocketUpgrade")
    asking = match or HTTPMatchRequest(origin=at)
    upgrade = StringMatch(regex=_UPGRADE, origin=at)
    asking = replace(asking, headers={**asking.headers, "upgrade": upgrade})
    yield replace(entry, route=replace(entry.route, match=(asking,)))
    refused = HTTPRoute(
        name=f"{entry.route.name}.no-upgrade",
        match=_matches(match),
        direct_response=HTTPDirectResponse(status=403, origin=at),
        origin=at,
    )
    yield HTTPEntry(route=refused, extras=HTTPRouteExtras(source=entry.extras.source), rule=rule)


def _matches(match: HTTPMatchRequest | None) -> tuple[HTTPMatchRequest, ...]:
    return () if match is None else (match,)


def _http_destination(target: Target, subsets: Subsets) -> HTTPRouteDestination:
    return HTTPRouteDestination(destination=_destination(target, subsets), weight=target.weight, origin=target.origin)


def _destination(target: Target, subsets: Subsets) -> Destination:
    subset = subsets.get(target.host, {}).get(target.labels)
    return Destination(host=target.host, subset=subset, origin=target.origin)


# --- connections ----------------------------------------------------------------------------------------------


def tcp_entries(group: Iterable[Ruled], subsets: Subsets, scene: Scene) -> Iterator[L4Entry]:
    for each in group:
        if each.of_tcp and each.rule.match:
            _report_l4_fault(each.rule, scene)
            route = TCPRoute(
                match=tcp_matches(each.rule.match, each.who),
                route=_l4_destinations(each, subsets),
                origin=each.rule.origin,
            )
            yield L4Entry(route=route, extras=_l4_extras(each))


def tls_entries(host: ServiceHost, group: Iterable[Ruled], subsets: Subsets, scene: Scene) -> Iterator[L4Entry]:
    """C-TCP-05: to v1alpha1 a port of HTTPS was one of TCP. With a route for the rest, where rules leave any."""
    if not any(port.family == "tls" for port in scene.ports(host)):
        return
    last: Ruled | None = None
    for each in group:
        if each.of_tcp and each.rule.match and each.rule.match.tcp:
            yield _tls_entry(host, each, each.rule.match, subsets, scene)
            last = each
            if not tcp_matches(each.rule.match, each.who):
                return
    if last:
        yield _rest_of_tls(host, last.rule.origin)


def _tls_entry(host: ServiceHost, each: Ruled, match: MatchCondition, subsets: Subsets, scene: Scene) -> L4Entry:
    sources = match.tcp.source_subnet if match.tcp else ()
    if match.tcp and sources:
        message = "a route of TLS cannot ask for sourceSubnet, and YAML takes everybody; extras say it to meshd"
        scene.report.add("L-TLS-SOURCE", match.tcp.origin.at("sourceSubnet"), message)
    _report_l4_fault(each.rule, scene)
    route = TLSRoute(
        match=(tls_match(host, match, each.who),), route=_l4_destinations(each, subsets), origin=each.rule.origin
    )
    return L4Entry(route=route, extras=replace(_l4_extras(each), source_subnets=sources))


def _rest_of_tls(host: ServiceHost, at: Origin) -> L4Entry:
    """To v1alpha1 all versions took what no rule did (C-TCP-03); beside rules of TLS, today nobody does (5.11)."""
    to = RouteDestination(destination=Destination(host=host, origin=at), origin=at)
    match = TLSMatchAttributes(sni_hosts=(host,), origin=at)
    return L4Entry(route=TLSRoute(match=(match,), route=(to,), origin=at), extras=L4RouteExtras())


def _l4_destinations(each: Ruled, subsets: Subsets) -> tuple[RouteDestination, ...]:
    return tuple(
        RouteDestination(destination=_destination(target, subsets), weight=target.weight, origin=target.origin)
        for target in each.targets
    )


def _l4_extras(each: Ruled) -> L4RouteExtras:
    return L4RouteExtras(source=each.who.extras if each.who else None, l4_fault=each.rule.l4_fault)


def _report_l4_fault(rule: RouteRule, scene: Scene) -> None:
    if rule.l4_fault:
        message = "no VirtualService can throttle or reset connections; extras say it to meshd"
        scene.report.add("L-L4FAULT", rule.origin.at("l4Fault"), message)
