"""One plan virtual host -> the bytes of Envoy's, and which line each of its routes came from."""

from __future__ import annotations

from typing import Any, assert_never

from envoy.config.route.v3 import route_components_pb2 as route

from meshd.envoy.actions import forward, redirect, respond
from meshd.envoy.headers import overwrites, to_add, to_remove
from meshd.envoy.matches import route_match
from meshd.envoy.resource import Part
from meshd.envoy.route_filters import per_filter_config
from meshd.envoy.wire import serialised
from meshd.plan import Forward, HeaderEdits, Redirect, Respond, Route, VirtualHost


def virtual_host(plan: VirtualHost) -> Part:
    message = route.VirtualHost(
        name=plan.name,
        domains=plan.domains,
        routes=[_route(each) for each in plan.routes],
        require_tls=route.VirtualHost.ALL if plan.requires_tls else route.VirtualHost.NONE,
    )
    origins = tuple(each.origin for each in plan.routes)
    return Part(name=plan.name, body=serialised(message), origin=plan.origin, origins=origins)


def _route(plan: Route) -> route.Route:
    request_edits, response_edits = _edits(plan)
    own_response_headers = overwrites(plan.action.headers) if isinstance(plan.action, Respond) else []
    return route.Route(
        name=plan.name,
        match=route_match(plan.match),
        typed_per_filter_config=per_filter_config(plan),
        request_headers_to_add=to_add(*request_edits),
        request_headers_to_remove=to_remove(*request_edits),
        response_headers_to_add=to_add(*response_edits) + own_response_headers,
        response_headers_to_remove=to_remove(*response_edits),
        stat_prefix=plan.stat_prefix,
        **_action(plan),
    )


def _action(plan: Route) -> dict[str, Any]:
    match plan.action:
        case Forward():
            return {"route": forward(plan.action)}
        case Redirect():
            return {"redirect": redirect(plan.action)}
        case Respond():
            return {"direct_response": respond(plan.action)}
        case _ as unknown:
            assert_never(unknown)


def _edits(plan: Route) -> tuple[tuple[HeaderEdits, ...], tuple[HeaderEdits, ...]]:
    """The route's, then those of its only destination; several destinations carry their own."""
    if isinstance(plan.action, Forward) and len(plan.action.destinations) == 1:
        (only,) = plan.action.destinations
        return (plan.request_headers, only.request_headers), (plan.response_headers, only.response_headers)
    return (plan.request_headers,), (plan.response_headers,)
