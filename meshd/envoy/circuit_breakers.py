"""How much a cluster may have under way -> Envoy's thresholds; all are always written, its own defaults are low."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from envoy.config.cluster.v3.circuit_breaker_pb2 import CircuitBreakers as EnvoyCircuitBreakers

from meshd.envoy.scalars import duration, percent, uint32
from meshd.envoy.wire import framed, serialised
from meshd.plan import CircuitBreakers, RetryBudget

_BUDGET_INTERVAL: Final = 3
"""Envoy 1.40 has this field of RetryBudget; xds-protos, at 1.36, does not know it yet."""


def circuit_breakers(limits: CircuitBreakers, budget: RetryBudget | None) -> EnvoyCircuitBreakers:
    """Beside a retry budget Envoy does not look at the number of retries."""
    return EnvoyCircuitBreakers(
        thresholds=[
            EnvoyCircuitBreakers.Thresholds(
                max_connections=uint32(limits.max_connections),
                max_pending_requests=uint32(limits.max_pending_requests),
                max_requests=uint32(limits.max_requests),
                max_retries=uint32(limits.max_retries),
                retry_budget=budget and _retry_budget(budget),
            )
        ]
    )


def _retry_budget(budget: RetryBudget) -> EnvoyCircuitBreakers.Thresholds.RetryBudget:
    message = EnvoyCircuitBreakers.Thresholds.RetryBudget(
        budget_percent=percent(budget.percent), min_retry_concurrency=uint32(budget.min_retry_concurrency)
    )
    if budget.interval > timedelta():
        message.MergeFromString(framed(_BUDGET_INTERVAL, serialised(duration(budget.interval))))
    return message
