"""Faults, CORS and header overrides of one route -> its entries in `typed_per_filter_config`, by the filters' names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from math import exp
from typing import Any

from envoy.config.route.v3.route_components_pb2 import HeaderMatcher
from envoy.extensions.filters.common.fault.v3.fault_pb2 import FaultDelay
from envoy.extensions.filters.http.cors.v3.cors_pb2 import CorsPolicy
from envoy.extensions.filters.http.fault.v3.fault_pb2 import FaultAbort, HTTPFault

from meshd.envoy.header_overrides import ASKS_FOR_ABORT, ASKS_FOR_DELAY, override_config
from meshd.envoy.matches import header_matcher, string_matcher
from meshd.envoy.scalars import boolean, duration, of_million, share
from meshd.envoy.wire import packed
from meshd.plan import (
    Abort,
    Cors,
    Delay,
    ExponentialDelay,
    HeaderFault,
    HeaderMatch,
    HeaderOverrides,
    Route,
    TextMatch,
)

FAULT = "envoy.filters.http.fault"
CORS = "envoy.filters.http.cors"

_SHORTEST = timedelta(milliseconds=1)
_NO_OVERRIDES = HeaderOverrides()

GRPC_FAULT = "envoy.filters.http.fault.grpc"
"""A second fault filter. A gRPC abort must spare other requests, which Envoy would answer 200 (inventory ABT-04), and
a filter's condition holds for all it does: in one filter the same route's delay would spare them too."""

DELAY_ASKED = "envoy.filters.http.fault.delay.asked"
DELAY_UNASKED = "envoy.filters.http.fault.delay.unasked"
ABORT_ASKED = "envoy.filters.http.fault.abort.asked"
ABORT_UNASKED = "envoy.filters.http.fault.abort.unasked"
"""Fault filters for what requests ask for, and for those who do not where a route has a fault of that kind for them."""

EXPONENTIAL_DELAYS = {f"envoy.filters.http.fault.delay.{digit}": digit for digit in range(3, -5, -1)}
"""Fault filters for the binary digits of an exponential delay, by the power of 2 that each stands for.

The digits of an exponential variable are independent of each other, so that each is a delay of its own: as long as the
digit is worth, and as likely as it is set (inventory DLY-05; mean and deviation measured). They are off unless a
route asks for them.
"""

_IS_GRPC = header_matcher(HeaderMatch(name="content-type", text=TextMatch(kind="prefix", value="application/grpc")))


def per_filter_config(route: Route) -> dict[str, Any]:
    asked = route.overrides or _NO_OVERRIDES
    config = {**override_config(route.overrides), **dict(_faults(route, asked))}
    if route.cors:
        config[CORS] = _cors(route.cors)
    return {name: packed(settings) for name, settings in config.items()}


# --- faults ---------------------------------------------------------------------------------------------------


def _faults(route: Route, asked: HeaderOverrides) -> Iterator[tuple[str, HTTPFault]]:
    delay, abort = route.delay, route.abort
    if asked.delay:
        yield DELAY_ASKED, HTTPFault(delay=_asked_delay(asked.delay), headers=[header_matcher(ASKS_FOR_DELAY)])
    if asked.abort:
        yield ABORT_ASKED, HTTPFault(abort=_asked_abort(asked.abort), headers=[header_matcher(ASKS_FOR_ABORT)])
    if isinstance(delay, ExponentialDelay):
        yield from _digits(delay, _unless(asked.delay, ASKS_FOR_DELAY))
        delay = None
    if abort and abort.grpc_status is not None:
        conditions = [_IS_GRPC, *_unless(asked.abort, ASKS_FOR_ABORT)]
        yield GRPC_FAULT, HTTPFault(abort=_abort(abort), headers=conditions)
        abort = None
    yield from _plain_faults(delay, abort, asked)


def _plain_faults(delay: Delay | None, abort: Abort | None, asked: HeaderOverrides) -> Iterator[tuple[str, HTTPFault]]:
    """Together in one filter, but for those that only some requests meet: its conditions hold for all it does."""
    if delay and asked.delay:
        yield DELAY_UNASKED, HTTPFault(delay=_delay(delay), headers=_unless(asked.delay, ASKS_FOR_DELAY))
        delay = None
    if abort and asked.abort:
        yield ABORT_UNASKED, HTTPFault(abort=_abort(abort), headers=_unless(asked.abort, ASKS_FOR_ABORT))
        abort = None
    if delay or abort:
        yield FAULT, HTTPFault(delay=delay and _delay(delay), abort=abort and _abort(abort))


def _unless(asked: HeaderFault | None, by: HeaderMatch) -> list[HeaderMatcher]:
    """The condition of a fault that is for those who do not ask for another."""
    return [header_matcher(replace(by, invert=True))] if asked else []


def _delay(delay: Delay) -> FaultDelay:
    return FaultDelay(fixed_delay=duration(delay.fixed), percentage=of_million(delay.millionths))


def _asked_delay(asked: HeaderFault) -> FaultDelay:
    return FaultDelay(header_delay=FaultDelay.HeaderDelay(), percentage=of_million(asked.millionths))


def _digits(delay: ExponentialDelay, conditions: list[HeaderMatcher]) -> Iterator[tuple[str, HTTPFault]]:
    """Envoy knows no delay below a millisecond."""
    for name, digit in EXPONENTIAL_DELAYS.items():
        value, worth = 2.0**digit, delay.mean * 2.0**digit
        if worth >= _SHORTEST:
            fixed = Delay(fixed=worth, millionths=round(1_000_000 / (1 + exp(value))))
            yield name, HTTPFault(delay=_delay(fixed), headers=conditions)


def _abort(abort: Abort) -> FaultAbort:
    return FaultAbort(
        http_status=abort.http_status, grpc_status=abort.grpc_status, percentage=of_million(abort.millionths)
    )


def _asked_abort(asked: HeaderFault) -> FaultAbort:
    return FaultAbort(header_abort=FaultAbort.HeaderAbort(), percentage=of_million(asked.millionths))


# --- CORS -----------------------------------------------------------------------------------------------------


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
