"""DestinationPolicy -> the parts of a traffic policy, and extras for what these cannot say (C-DP-02, 03 and 08)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from meshd.convert.actions import lose_custom
from meshd.convert.report import Report
from meshd.resources.extras import PolicyExtras
from meshd.resources.legacy.circuit_breaker import CircuitBreaker, SimpleCircuitBreakerPolicy
from meshd.resources.legacy.destination_policy import DestinationPolicy
from meshd.resources.legacy.load_balancing import LoadBalancing, SimpleLBPolicy
from meshd.resources.traffic_policy import (
    ConnectionPoolSettings,
    HTTPSettings,
    LoadBalancerSettings,
    OutlierDetection,
    SimpleLB,
    TCPSettings,
)

_THRESHOLD: Final = 1024
_RETRIES: Final = 3
_ERRORS: Final = 5
_INTERVAL: Final = timedelta(seconds=10)
_WINDOW: Final = timedelta(seconds=30)
_EJECTED: Final = 10
_PANIC: Final = 50
_BALANCERS: Final[Mapping[SimpleLBPolicy, SimpleLB]] = {
    "ROUND_ROBIN": "ROUND_ROBIN",
    "LEAST_CONN": "LEAST_REQUEST",
    "RANDOM": "RANDOM",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What one policy says; None is what it says nothing of."""

    load_balancer: LoadBalancerSettings | None = None
    connection_pool: ConnectionPoolSettings | None = None
    outlier_detection: OutlierDetection | None = None
    extras: PolicyExtras = PolicyExtras()  # noqa: RUF009 (it is frozen)


def parts(policy: DestinationPolicy, report: Report) -> Parts:
    breaker = policy.circuit_breaker.simple_cb if policy.circuit_breaker else None
    return Parts(
        load_balancer=_load_balancer(policy.load_balancing),
        connection_pool=_connection_pool(breaker, report) if breaker else None,
        outlier_detection=_outlier_detection(breaker, report) if breaker else None,
        extras=PolicyExtras(
            max_retries=0 if breaker and breaker.http_max_retries == 0 else None,
            max_ejection_percent=0 if breaker and breaker.http_max_ejection_percent == 0 else None,
            load_balancing=policy.load_balancing.custom if policy.load_balancing else None,
            circuit_breaker=policy.circuit_breaker.custom if policy.circuit_breaker else None,
            cluster=policy.custom,
        ),
    )


def report_lost(policy: DestinationPolicy, report: Report) -> None:
    """C-DP-08."""
    holders: tuple[LoadBalancing | CircuitBreaker | DestinationPolicy | None, ...] = (
        policy.load_balancing,
        policy.circuit_breaker,
        policy,
    )
    for holder in holders:
        if holder is not None and holder.custom is not None:
            lose_custom(holder.origin, report)


def _load_balancer(old: LoadBalancing | None) -> LoadBalancerSettings | None:
    if old is None or old.name is None:
        return None
    return LoadBalancerSettings(simple=_BALANCERS[old.name], origin=old.origin)


def _connection_pool(old: SimpleCircuitBreakerPolicy, report: Report) -> ConnectionPoolSettings:
    retries = _RETRIES if old.http_max_retries is None else old.http_max_retries
    if retries == 0:
        message = "httpMaxRetries: 0 cannot be said today, and becomes 1; extras say it to meshd"
        report.add("L-ZERO", old.origin.at("httpMaxRetries"), message)
    http = HTTPSettings(
        http1_max_pending_requests=_threshold(old, "http_max_pending_requests", "httpMaxPendingRequests", report),
        http2_max_requests=_threshold(old, "http_max_requests", "httpMaxRequests", report),
        max_requests_per_connection=old.http_max_requests_per_connection,
        max_retries=retries or 1,
        origin=old.origin,
    )
    tcp = TCPSettings(max_connections=_threshold(old, "max_connections", "maxConnections", report), origin=old.origin)
    return ConnectionPoolSettings(tcp=tcp, http=http, origin=old.origin)


def _threshold(old: SimpleCircuitBreakerPolicy, attribute: str, name: str, report: Report) -> int:
    given: int | None = getattr(old, attribute)
    if given == 0:
        message = f"a {name} of 0 would mean that nothing is said: the default is written, {_THRESHOLD}"
        report.add("N-ZERO", old.origin.at(name), message)
    return given or _THRESHOLD


def _outlier_detection(old: SimpleCircuitBreakerPolicy, report: Report) -> OutlierDetection:
    if old.http_max_ejection_percent == 0:
        message = "httpMaxEjectionPercent: 0 cannot be said today, and becomes 1; extras say it to meshd"
        report.add("L-ZERO", old.origin.at("httpMaxEjectionPercent"), message)
    percent = _EJECTED if old.http_max_ejection_percent is None else old.http_max_ejection_percent
    return OutlierDetection(
        consecutive_5xx_errors=_ERRORS if old.http_consecutive_errors is None else old.http_consecutive_errors,
        interval=old.http_detection_interval or _INTERVAL,
        base_ejection_time=old.sleep_window or _WINDOW,
        max_ejection_percent=percent or 1,
        min_health_percent=_PANIC,
        origin=old.origin,
    )
