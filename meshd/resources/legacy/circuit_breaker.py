"""CircuitBreaker: limits on a service's connections and requests, and when a host of it is left out (inventory CB)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

from meshd.fields import Between, Int32, Message
from meshd.problems import Problem
from meshd.resources.finding import doubtful
from meshd.resources.legacy.custom import IN_CIRCUIT_BREAKER, Custom, check_custom
from meshd.resources.legacy.legacy_resource import Duration


@dataclass(frozen=True, slots=True, kw_only=True)
class SimpleCircuitBreakerPolicy(Message):
    """What is absent has its default, so that even an empty one leaves failing hosts out (CB-18)."""

    max_connections: Int32 | None = None
    http_max_pending_requests: Int32 | None = None
    http_max_requests: Int32 | None = None
    sleep_window: Duration | None = None
    http_consecutive_errors: Int32 | None = None
    http_detection_interval: Duration | None = None
    http_max_requests_per_connection: Annotated[int, Between(0, 536870912)] | None = None
    http_max_ejection_percent: Annotated[int, Between(0, 100)] | None = None
    http_max_retries: Int32 | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitBreaker(Message):
    ONEOFS: ClassVar = (("simple_cb", "custom"),)

    simple_cb: SimpleCircuitBreakerPolicy | None = None
    custom: Custom | None = None

    def check(self) -> Iterator[Problem]:
        if self.simple_cb is None and self.custom is None:
            yield doubtful(self.origin, "an empty circuit breaker is none", "write simpleCb: {} for the defaults")
        yield from check_custom(self.custom, self.origin.at("custom"), IN_CIRCUIT_BREAKER)
