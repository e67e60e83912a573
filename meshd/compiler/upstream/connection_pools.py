"""`connectionPool`, `retryBudget` of a policy -> thresholds, keepalive, HTTP spoken to endpoints (D-30 to D-44, D-92).

A zero in a connection pool means the default, as in Istio; only an idle timeout of zero means "off".
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final, Literal

from meshd import plan
from meshd.registry.service import Port
from meshd.resources.destination_rule import RetryBudget
from meshd.resources.extras import PolicyExtras
from meshd.resources.traffic_policy import ConnectionPoolSettings, HTTPSettings, TcpKeepalive, TCPSettings

_IDLE: Final = timedelta(hours=1)
_SECOND: Final = timedelta(seconds=1)
_HTTP2: Final = frozenset({"HTTP2", "GRPC", "GRPC-WEB"})
_BUDGET: Final = plan.RetryBudget()
_NO_TCP: Final = TCPSettings()
_NO_HTTP: Final = HTTPSettings()
_NO_EXTRAS: Final = PolicyExtras()


def circuit_breakers(pool: ConnectionPoolSettings | None, extras: PolicyExtras = _NO_EXTRAS) -> plan.CircuitBreakers:
    """`extras` can mean a zero (CB-15)."""
    tcp, http = _parts(pool)
    return plan.CircuitBreakers(
        max_connections=tcp.max_connections or plan.UNLIMITED,
        max_pending_requests=http.http1_max_pending_requests or plan.UNLIMITED,
        max_requests=http.http2_max_requests or plan.UNLIMITED,
        max_retries=(http.max_retries or plan.UNLIMITED) if extras.max_retries is None else extras.max_retries,
    )


def retry_budget(settings: RetryBudget | None) -> plan.RetryBudget | None:
    if settings is None:
        return None
    return plan.RetryBudget(
        percent=_BUDGET.percent if settings.percent is None else settings.percent,
        min_retry_concurrency=settings.min_retry_concurrency or _BUDGET.min_retry_concurrency,
        interval=settings.budget_interval or _BUDGET.interval,
    )


def connect_timeout(pool: ConnectionPoolSettings | None, default: timedelta) -> timedelta:
    return _parts(pool)[0].connect_timeout or default


def tcp_keepalive(pool: ConnectionPoolSettings | None) -> plan.TcpKeepalive | None:
    keepalive = _parts(pool)[0].tcp_keepalive
    return _keepalive(keepalive) if keepalive else None


def upstream_http(pool: ConnectionPoolSettings | None, port: Port) -> plan.UpstreamHttp | None:
    """How HTTP is spoken to a port; None where it is not HTTP, and the pool does not ask for HTTP/2 there."""
    tcp, http = _parts(pool)
    protocol = _protocol(http, port)
    if protocol is None:
        return None
    return plan.UpstreamHttp(
        protocol=protocol,
        idle_timeout=_first(http.idle_timeout, tcp.idle_timeout, _IDLE),
        max_connection_duration=tcp.max_connection_duration,
        max_requests_per_connection=http.max_requests_per_connection or None,
        max_concurrent_streams=(http.max_concurrent_streams or None) if protocol != "http1" else None,
        keepalive=_http2_keepalive(http) if protocol != "http1" else None,
    )


def tcp_idle_timeout(pool: ConnectionPoolSettings | None) -> timedelta:
    return _first(_parts(pool)[0].idle_timeout, _IDLE)


def max_connection_duration(pool: ConnectionPoolSettings | None) -> timedelta | None:
    return _parts(pool)[0].max_connection_duration


def _parts(pool: ConnectionPoolSettings | None) -> tuple[TCPSettings, HTTPSettings]:
    if pool is None:
        return _NO_TCP, _NO_HTTP
    return pool.tcp or _NO_TCP, pool.http or _NO_HTTP


def _protocol(http: HTTPSettings, port: Port) -> Literal["http1", "http2", "downstream"] | None:
    """D-40, D-41: UPGRADE counts on any port; a port whose protocol is HTTP/2 stays so whatever it says."""
    if http.h2_upgrade_policy == "UPGRADE":
        return "http2"
    if port.family != "http":
        return None
    if http.use_client_protocol:
        return "downstream"
    return "http2" if port.protocol in _HTTP2 else "http1"


def _http2_keepalive(http: HTTPSettings) -> plan.Http2Keepalive | None:
    asked = http.http2_keep_alive
    return plan.Http2Keepalive(interval=asked.interval, timeout=asked.timeout) if asked else None


def _keepalive(keepalive: TcpKeepalive) -> plan.TcpKeepalive:
    return plan.TcpKeepalive(
        probes=keepalive.probes or None,
        time=_whole_seconds(keepalive.time),
        interval=_whole_seconds(keepalive.interval),
    )


def _whole_seconds(duration: timedelta | None) -> timedelta | None:
    """The kernel counts keepalive in seconds, and refuses none at all."""
    return duration and max(_SECOND, duration // _SECOND * _SECOND)


def _first(*choices: timedelta | None) -> timedelta:
    """The first that is given; a zero is given."""
    return next(choice for choice in choices if choice is not None)
