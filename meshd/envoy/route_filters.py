"""Faults and CORS of one route -> its entries in `typed_per_filter_config`, under the filters' names."""

from __future__ import annotations

from envoy.extensions.filters.common.fault.v3.fault_pb2 import FaultDelay
from envoy.extensions.filters.http.cors.v3.cors_pb2 import CorsPolicy
from envoy.extensions.filters.http.fault.v3.fault_pb2 import FaultAbort, HTTPFault
from google.protobuf.any_pb2 import Any

from meshd.envoy.matches import header_matcher, string_matcher
from meshd.envoy.scalars import boolean, duration, of_million, share
from meshd.envoy.wire import packed
from meshd.plan import Abort, Cors, Delay, HeaderMatch, Route, TextMatch

FAULT = "envoy.filters.http.fault"
CORS = "envoy.filters.http.cors"

GRPC_FAULT = "envoy.filters.http.fault.grpc"
"""A second fault filter. A gRPC abort must spare other requests, which Envoy would answer 200 (inventory ABT-04), and
a filter's condition holds for all it does: in one filter the same route's delay would spare them too."""

_IS_GRPC = header_matcher(HeaderMatch(name="content-type", text=TextMatch(kind="prefix", value="application/grpc")))


def per_filter_config(route: Route) -> dict[str, Any]:
    grpc = route.abort if route.abort and route.abort.grpc_status is not None else None
    http = route.abort if grpc is None else None
    config = dict[str, Any]()
    if route.delay or http:
        config[FAULT] = packed(HTTPFault(delay=route.delay and _delay(route.delay), abort=http and _abort(http)))
    if grpc:
        config[GRPC_FAULT] = packed(HTTPFault(abort=_abort(grpc), headers=[_IS_GRPC]))
    if route.cors:
        config[CORS] = packed(_cors(route.cors))
    return config


def _delay(delay: Delay) -> FaultDelay:
    return FaultDelay(fixed_delay=duration(delay.fixed), percentage=of_million(delay.millionths))


def _abort(abort: Abort) -> FaultAbort:
    return FaultAbort(
        http_status=abort.http_status, grpc_status=abort.grpc_status, percentage=of_million(abort.millionths)
    )


def _cors(cors: Cors) -> CorsPolicy:
    return CorsPolicy(
        filter_enabled=share(1_000_000),
        allow_origin_string_match=[string_matcher(origin) for origin in cors.allow_origins],
        allow_methods=",".join(cors.allow_methods),
        allow_headers=",".join(cors.allow_headers),
        expose_headers=",".join(cors.expose_headers),
        max_age="" if cors.max_age is None else str(int(cors.max_age.total_seconds())),
        allow_credentials=None if cors.allow_credentials is None else boolean(cors.allow_credentials),
        forward_not_matching_preflights=boolean(cors.forward_not_matching_preflights),
    )
