"""Faults and CORS of one route -> its entries in `typed_per_filter_config`, under the filters' names."""

from __future__ import annotations

from datetime import timedelta
from math import exp

from envoy.extensions.filters.common.fault.v3.fault_pb2 import FaultDelay
from envoy.extensions.filters.http.cors.v3.cors_pb2 import CorsPolicy
from envoy.extensions.filters.http.fault.v3.fault_pb2 import FaultAbort, HTTPFault
from google.protobuf.any_pb2 import Any

from meshd.envoy.matches import header_matcher, string_matcher
from meshd.envoy.scalars import boolean, duration, of_million, share
from meshd.envoy.wire import packed
from meshd.plan import Abort, Cors, Delay, ExponentialDelay, HeaderMatch, Route, TextMatch

FAULT = "envoy.filters.http.fault"
CORS = "envoy.filters.http.cors"

_SHORTEST = timedelta(milliseconds=1)

GRPC_FAULT = "envoy.filters.http.fault.grpc"
"""A second fault filter. A gRPC abort must spare other requests, which Envoy would answer 200 (inventory ABT-04), and
a filter's condition holds for all it does: in one filter the same route's delay would spare them too."""

EXPONENTIAL_DELAYS = {f"envoy.filters.http.fault.delay.{digit}": digit for digit in range(3, -5, -1)}
"""Fault filters for the binary digits of an exponential delay, by the power of 2 that each stands for.

The digits of an exponential variable are independent of each other, so that each is a delay of its own: as long as the
digit is worth, and as likely as it is set (inventory DLY-05; mean and deviation measured). They are off unless a
route asks for them.
"""

_IS_GRPC = header_matcher(HeaderMatch(name="content-type", text=TextMatch(kind="prefix", value="application/grpc")))


def per_filter_config(route: Route) -> dict[str, Any]:
    grpc = route.abort if route.abort and route.abort.grpc_status is not None else None
    http = route.abort if grpc is None else None
    config = dict[str, Any]()
    fixed = route.delay if isinstance(route.delay, Delay) else None
    if isinstance(route.delay, ExponentialDelay):
        config.update(_digits(route.delay))
    if fixed or http:
        config[FAULT] = packed(HTTPFault(delay=fixed and _delay(fixed), abort=http and _abort(http)))
    if grpc:
        config[GRPC_FAULT] = packed(HTTPFault(abort=_abort(grpc), headers=[_IS_GRPC]))
    if route.cors:
        config[CORS] = packed(_cors(route.cors))
    return config


def _delay(delay: Delay) -> FaultDelay:
    return FaultDelay(fixed_delay=duration(delay.fixed), percentage=of_million(delay.millionths))


def _digits(delay: ExponentialDelay) -> dict[str, Any]:
    """Envoy knows no delay below a millisecond."""
    values = {name: (2.0**digit, delay.mean * 2.0**digit) for name, digit in EXPONENTIAL_DELAYS.items()}
    return {
        name: packed(HTTPFault(delay=_delay(Delay(fixed=worth, millionths=round(1_000_000 / (1 + exp(value)))))))
        for name, (value, worth) in values.items()
        if worth >= _SHORTEST
    }


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
