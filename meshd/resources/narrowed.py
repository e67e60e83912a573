"""Routes and what their extras ask besides -> matches that differ where what is asked does, for who compares them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final, TypeVar

from meshd.resources.extras import HTTPRouteExtras, L4RouteExtras, VirtualServiceExtras, extras_text
from meshd.resources.http_match import HTTPMatchRequest
from meshd.resources.http_route import HTTPRoute
from meshd.resources.l4_routes import L4MatchAttributes, TCPRoute, TLSRoute
from meshd.resources.string_match import StringMatch

L4 = TypeVar("L4", TLSRoute, TCPRoute)

_BESIDES: Final = "meshd.io/besides"
_NOTHING: Final = HTTPRouteExtras()


def narrowed_requests(route: HTTPRoute, extras: VirtualServiceExtras) -> tuple[HTTPMatchRequest, ...]:
    own = extras.http.get(route.name, _NOTHING)
    if own.source is None and not own.also:
        return route.match
    besides = {_BESIDES: StringMatch(exact=extras_text(HTTPRouteExtras(source=own.source, also=own.also)))}
    matches = route.match or (HTTPMatchRequest(origin=route.origin),)
    return tuple(replace(match, headers={**match.headers, **besides}) for match in matches)


def narrowed_connections(routes: Iterable[L4], extras: Mapping[str, L4RouteExtras]) -> Iterator[L4]:
    for index, route in enumerate(routes):
        own = extras.get(str(index))
        if own is None or (own.source is None and not own.source_subnets):
            yield route
        else:
            text = extras_text(L4RouteExtras(source=own.source, source_subnets=own.source_subnets))
            yield _narrowed(route, {_BESIDES: text})


def _narrowed(route: L4, besides: dict[str, str]) -> L4:
    if isinstance(route, TLSRoute):
        named = (replace(match, source_labels={**match.source_labels, **besides}) for match in route.match)
        return replace(route, match=tuple(named))
    matches = route.match or (L4MatchAttributes(origin=route.origin),)
    return replace(
        route, match=tuple(replace(match, source_labels={**match.source_labels, **besides}) for match in matches)
    )
