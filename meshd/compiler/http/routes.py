"""The `http` rules of one VirtualService -> routes for one host and port, in order (spec 5.2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from meshd.compiler.destinations import Destinations
from meshd.compiler.host import Host
from meshd.compiler.http.cors import cors
from meshd.compiler.http.faults import EVERY_REQUEST, abort, delay, delayed_share
from meshd.compiler.http.forwards import default_forward, forward
from meshd.compiler.http.headers import request_edits, response_edits
from meshd.compiler.http.matches import Conditions, Entrance, is_catch_all, route_matches
from meshd.compiler.http.overrides import overrides
from meshd.compiler.http.redirects import redirect, respond
from meshd.compiler.http.second_conditions import with_second_conditions
from meshd.compiler.upstream.upstream import Upstream
from meshd.mesh.gateways import MESH
from meshd.plan import Action, Respond, Route, RouteMatch
from meshd.problems import Origin, Problem, Problems
from meshd.registry.service import Port
from meshd.registry.settings import MeshSettings
from meshd.resources.extras import HTTPRouteExtras
from meshd.resources.virtual_service import HTTPMatchRequest, HTTPRoute, VirtualService

_NO_EXTRAS: Final = HTTPRouteExtras()

REASON: Final = "x-meshd-reason"
"""The response header in which the proxy says why it answers a request itself with an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Routes:
    """What a virtual host does, where that is written, and what is odd about it on this host."""

    routes: tuple[Route, ...]
    origin: Origin
    problems: Problems = ()


def routes(virtual_service: VirtualService, host: Host, entrance: Entrance, *upstreams: Upstream) -> Routes:
    """`upstreams`: what the destinations mean to this host. What no route matches is answered 404 (V-26)."""
    place = _Place(virtual_service, host, entrance, upstreams)
    found = tuple(_until_catch_all(_all(virtual_service.http, place)))
    return Routes(routes=found, origin=virtual_service.origin, problems=tuple(place.problems))


def default_routes(upstream: Upstream, port: Port, settings: MeshSettings) -> tuple[Route, ...]:
    """The one route of a service that no VirtualService speaks of (spec 7.2)."""
    action = default_forward(upstream, port, settings)
    return (Route(name="default", match=RouteMatch(), action=action, origin=port.origin),)


class _Place:
    """Where the rules of a VirtualService are read: on this host, for what comes in at this entrance."""

    __slots__ = ("_conditions", "_destinations", "_entrance", "_extras", "_settings", "problems")

    def __init__(
        self, virtual_service: VirtualService, host: Host, entrance: Entrance, upstreams: tuple[Upstream, ...]
    ) -> None:
        self._conditions = Conditions(virtual_service, entrance)
        self._extras = virtual_service.extras.http
        self._settings = host.settings
        self._entrance = entrance
        self._destinations = Destinations(
            virtual_service, host.settings.domain_suffix, entrance.port, upstreams, captured=entrance.captured
        )
        self.problems: list[Problem] = []

    def admits_everything(self, rule: HTTPRoute) -> bool:
        return self._conditions.admit_everything(self.extras(rule).source)

    def admits(self, match: HTTPMatchRequest, rule: HTTPRoute) -> bool:
        return self._conditions.admit_request(match, self.extras(rule).source)

    def narrowed(self, match: RouteMatch, rule: HTTPRoute) -> RouteMatch:
        also = self.extras(rule).also
        return with_second_conditions(match, also) if also else match

    def extras(self, rule: HTTPRoute) -> HTTPRouteExtras:
        return self._extras.get(rule.name, _NO_EXTRAS)

    def action(self, rule: HTTPRoute) -> Action:
        if rule.redirect:
            return redirect(rule.redirect, self._entrance.port, self._entrance.scheme)
        if rule.direct_response:
            return respond(rule.direct_response)
        found = forward(rule, self.extras(rule), self._settings, self._destinations)
        self.problems.extend(found.problems)
        return found.action or _unavailable(found.problems[0], told=MESH in self._entrance.gateways)


def _until_catch_all(found: Iterator[Route]) -> Iterator[Route]:
    """What comes after a route that takes everything is never reached."""
    for route in found:
        yield route
        if is_catch_all(route.match):
            return


def _all(rules: Iterable[HTTPRoute], place: _Place) -> Iterator[Route]:
    for rule in rules:
        matches = [match for match in rule.match if place.admits(match, rule)]
        if not rule.match and place.admits_everything(rule):
            yield from _routes(rule, place.extras(rule), None, RouteMatch(), place.action(rule))
        elif matches:
            extras, action = place.extras(rule), place.action(rule)
            for match in matches:
                for each in route_matches(match):
                    yield from _routes(rule, extras, match, place.narrowed(each, rule), action)


def _unavailable(why: Problem, *, told: bool) -> Respond:
    """What Envoy answers for a cluster that is not there, but with the reason: not for the world, at a gateway."""
    return Respond(status=503, headers=((REASON, why.message.replace("%", "%%")),) if told else ())


def _routes(
    rule: HTTPRoute, extras: HTTPRouteExtras, match: HTTPMatchRequest | None, route_match: RouteMatch, action: Action
) -> Iterator[Route]:
    """One, unless a delay that only some requests meet must have a route of its own."""
    route = replace(_route(rule, match, route_match, action), overrides=overrides(extras))
    share = delayed_share(rule.fault)
    if share < EVERY_REQUEST:
        yield replace(route, match=replace(route_match, millionths=share))
        route = replace(route, delay=None)
    yield route


def _route(rule: HTTPRoute, match: HTTPMatchRequest | None, route_match: RouteMatch, action: Action) -> Route:
    return Route(
        name=".".join(name for name in (rule.name, match.name if match else "") if name),
        match=route_match,
        action=action,
        delay=delay(rule.fault),
        abort=abort(rule.fault),
        cors=cors(rule.cors_policy),
        request_headers=request_edits(rule.headers),
        response_headers=response_edits(rule.headers),
        stat_prefix=match.stat_prefix if match else "",
        origin=match.origin if match else rule.origin,
    )
