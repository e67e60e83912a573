"""How services are called: clusters with everything but their endpoints."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from meshd.names import ClusterName, ServiceHost
from meshd.plan.custom import Custom
from meshd.plan.tls import UpstreamTls
from meshd.problems import NOWHERE, Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class SimpleBalancer:
    """`warmup` is the window in which a new endpoint grows to its full share."""

    policy: Literal["LEAST_REQUEST", "ROUND_ROBIN", "RANDOM"] = "LEAST_REQUEST"
    warmup: Warmup | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Warmup:
    duration: timedelta
    minimum_percent: float = 10.0
    aggression: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RingHash:
    minimum_size: int = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Maglev:
    table_size: int


LoadBalancer = SimpleBalancer | RingHash | Maglev

UNLIMITED = 4294967295


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitBreakers:
    """The four thresholds; all are always written, because Envoy's own defaults are low."""

    max_connections: int = UNLIMITED
    max_pending_requests: int = UNLIMITED
    max_requests: int = UNLIMITED
    max_retries: int = UNLIMITED


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlierDetection:
    """`None` for a count: that kind of failure never ejects. `error_codes` replaces 5xx as what an error is."""

    consecutive_5xx: int | None = 5
    consecutive_gateway_failure: int | None = None
    consecutive_local_origin_failure: int | None = None
    interval: timedelta = timedelta(seconds=10)
    base_ejection_time: timedelta = timedelta(seconds=30)
    max_ejection_percent: int = 10
    split_external_local_origin_errors: bool = False
    error_codes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpKeepalive:
    probes: int | None = None
    time: timedelta | None = None
    interval: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Http2Keepalive:
    interval: timedelta
    timeout: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamHttp:
    """How HTTP is spoken to the endpoints. `downstream`: whatever the client spoke."""

    protocol: Literal["http1", "http2", "downstream"] = "http1"
    idle_timeout: timedelta = timedelta(hours=1)
    max_connection_duration: timedelta | None = None
    max_requests_per_connection: int | None = None
    max_concurrent_streams: int | None = None
    keepalive: Http2Keepalive | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryBudget:
    """Replaces `max_retries`: retries may be this share of the requests that are active, or were in `interval`."""

    percent: float = 20.0
    min_retry_concurrency: int = 3
    interval: timedelta = timedelta()


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneAware:
    """Keeps requests in the client's zone while its share of the endpoints allows (D-24)."""

    enabled: bool = True
    min_cluster_size: int = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class ByEds:
    """The endpoints come apart, in `ClusterEndpoints`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginalDestination:
    """To where the connection was going before it was captured; `port` replaces its port."""

    port: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DynamicDns:
    """Envoy itself looks up the name that each request or each connection asks for (Host or SNI)."""


Discovery = ByEds | OriginalDestination | DynamicDns


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """One service port, or one subset of it; or a way in, or a way past the registry. `http` None: it is not HTTP.

    `tls` is for all endpoints; `mesh_tls` for those that speak it, the others are called in plain text (spec 6.4).
    With `OriginalDestination` and `DynamicDns` the load balancer has no meaning. `sources`: addresses of this host, one
    of each family, from which its connections come, so that whoever captures connections can tell them from others.
    `custom`: what else is said of it, in this order; it has the last word.
    `via`: the proxy by which it is reached, as one would say it. `led_on`: its endpoints are internal listeners, which
    learn of each connection whom it is for.
    """

    name: ClusterName
    service: ServiceHost
    port: int
    subset: str = ""
    discovery: Discovery = field(default_factory=ByEds)
    connect_timeout: timedelta = timedelta(seconds=10)
    load_balancer: LoadBalancer = field(default_factory=SimpleBalancer)
    locality_weighted: bool = False
    zone_aware: ZoneAware | None = None
    healthy_panic_percent: int = 0
    circuit_breakers: CircuitBreakers = field(default_factory=CircuitBreakers)
    retry_budget: RetryBudget | None = None
    outlier_detection: OutlierDetection | None = None
    tcp_keepalive: TcpKeepalive | None = None
    http: UpstreamHttp | None = None
    tls: UpstreamTls | None = None
    mesh_tls: UpstreamTls | None = None
    proxy_protocol: Literal["V1", "V2"] | None = None
    sources: tuple[str, ...] = ()
    custom: tuple[Custom, ...] = ()
    via: str = ""
    led_on: bool = False
    origin: Origin = NOWHERE
