"""What becomes of a matched request: forward, redirect or respond -> RouteAction and its siblings."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, assert_never

from envoy.config.core.v3.base_pb2 import DataSource
from envoy.config.route.v3 import route_components_pb2 as route
from envoy.type.matcher.v3.regex_pb2 import RegexMatchAndSubstitute

from meshd.envoy.custom import say_of_action
from meshd.envoy.formats import text_format
from meshd.envoy.headers import to_add, to_remove
from meshd.envoy.matches import regex
from meshd.envoy.retries import retry_policy
from meshd.envoy.scalars import boolean, duration, maybe_duration, share, uint32
from meshd.plan import (
    Forward,
    HashKey,
    HashOnCookie,
    HashOnHeader,
    HashOnQueryParameter,
    HashOnSourceIp,
    Mirror,
    PathRewrite,
    Redirect,
    Respond,
    WeightedCluster,
)

_HashPolicy = route.RouteAction.HashPolicy
_NO_TIMEOUT = timedelta()
# Ends a gRPC call when its own `grpc-timeout` is over. Envoy ignores the timeout of a route that has this (measured),
# so a route with a timeout goes without: there calls end by that timeout, or before it by the client's doing.
_GRPC_DEADLINE = route.RouteAction.MaxStreamDuration(grpc_timeout_header_max=duration(_NO_TIMEOUT))
_NO_WEBSOCKETS = route.RouteAction.UpgradeConfig(upgrade_type="websocket", enabled=boolean(False))
_REDIRECT_CODES = {
    301: route.RedirectAction.MOVED_PERMANENTLY,
    302: route.RedirectAction.FOUND,
    303: route.RedirectAction.SEE_OTHER,
    307: route.RedirectAction.TEMPORARY_REDIRECT,
    308: route.RedirectAction.PERMANENT_REDIRECT,
}


def forward(action: Forward) -> route.RouteAction:
    rendered = _forward(action)
    say_of_action(rendered, action.custom)
    return rendered


def _forward(action: Forward) -> route.RouteAction:
    return route.RouteAction(
        timeout=duration(action.timeout or _NO_TIMEOUT),  # absent, Envoy's own 15 s would apply
        max_stream_duration=_GRPC_DEADLINE if action.timeout is None else None,
        retry_policy=action.retries and retry_policy(action.retries),
        request_mirror_policies=[_mirror(mirror) for mirror in action.mirrors],
        hash_policy=[_hash_policy(key) for key in action.hash_keys],
        upgrade_configs=[] if action.websockets else [_NO_WEBSOCKETS],
        **_destinations(action),
        **_path_rewrite(action.path_rewrite),
    )


def redirect(action: Redirect) -> route.RedirectAction:
    return route.RedirectAction(
        response_code=_REDIRECT_CODES[action.code],
        host_redirect=action.authority,
        scheme_redirect=action.scheme,
        port_redirect=action.port,
        path_redirect=action.path,
        prefix_rewrite=action.prefix,
    )


def respond(action: Respond) -> route.DirectResponseAction:
    return route.DirectResponseAction(
        status=action.status,
        body=_body(action.body) if action.body else None,
        body_format=text_format(action.body_format) if action.body_format else None,
    )


def _body(body: bytes) -> DataSource:
    """As text where it is text: that is what `meshd render` and Envoy's config dump then show."""
    try:
        return DataSource(inline_string=body.decode())
    except UnicodeDecodeError:
        return DataSource(inline_bytes=body)


def _destinations(action: Forward) -> dict[str, Any]:
    """A single destination's header edits stand at the route, after the route's own (spec V-54)."""
    if len(action.destinations) == 1:
        (only,) = action.destinations
        return {"cluster": only.cluster, "host_rewrite_literal": action.authority or only.authority}
    weighted = route.WeightedCluster(clusters=[_weighted(each) for each in action.destinations])
    return {"weighted_clusters": weighted, "host_rewrite_literal": action.authority}


def _weighted(destination: WeightedCluster) -> route.WeightedCluster.ClusterWeight:
    return route.WeightedCluster.ClusterWeight(
        name=destination.cluster,
        weight=uint32(destination.weight),
        request_headers_to_add=to_add(destination.request_headers),
        request_headers_to_remove=to_remove(destination.request_headers),
        response_headers_to_add=to_add(destination.response_headers),
        response_headers_to_remove=to_remove(destination.response_headers),
        host_rewrite_literal=destination.authority,
    )


def _path_rewrite(rewrite: PathRewrite | None) -> dict[str, Any]:
    if rewrite is None:
        return {}
    if rewrite.regex is None:
        return {"prefix_rewrite": rewrite.prefix}
    return {"regex_rewrite": RegexMatchAndSubstitute(pattern=regex(rewrite.regex), substitution=rewrite.substitution)}


def _mirror(mirror: Mirror) -> route.RouteAction.RequestMirrorPolicy:
    return route.RouteAction.RequestMirrorPolicy(
        cluster=mirror.cluster,
        runtime_fraction=share(mirror.millionths),
        trace_sampled=boolean(False),
        # The copy keeps its Host, as in Istio today: `reviews-shadow` would be a virtual host of nobody.
        disable_shadow_host_suffix_append=True,
    )


def _hash_policy(key: HashKey) -> route.RouteAction.HashPolicy:
    match key:
        case HashOnHeader(name=name):
            return _HashPolicy(header=_HashPolicy.Header(header_name=name))
        case HashOnCookie():
            return _HashPolicy(cookie=_cookie(key))
        case HashOnSourceIp():
            return _HashPolicy(connection_properties=_HashPolicy.ConnectionProperties(source_ip=True))
        case HashOnQueryParameter(name=name):
            return _HashPolicy(query_parameter=_HashPolicy.QueryParameter(name=name))
        case _ as unknown:
            assert_never(unknown)


def _cookie(key: HashOnCookie) -> route.RouteAction.HashPolicy.Cookie:
    attributes = [_HashPolicy.CookieAttribute(name=name, value=value) for name, value in key.attributes]
    return _HashPolicy.Cookie(name=key.name, ttl=maybe_duration(key.ttl), path=key.path, attributes=attributes)
