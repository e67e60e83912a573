"""The four parts of a traffic policy: load balancer, connection pool, outlier detection and TLS (spec 6.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from meshd.fields import (
    Also,
    Between,
    Count,
    Duration,
    DurationOrZero,
    Int32,
    Later,
    Message,
    Refused,
    UInt32,
)

SimpleLB = Literal["UNSPECIFIED", "LEAST_CONN", "RANDOM", "PASSTHROUGH", "ROUND_ROBIN", "LEAST_REQUEST"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CookieAttribute(Message):
    name: Annotated[str, Count(1)]
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPCookie(Message):
    name: Annotated[str, Count(1)]
    path: str = ""
    ttl: DurationOrZero | None = None
    attributes: tuple[CookieAttribute, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RingHash(Message):
    minimum_ring_size: Annotated[int, Between(0, 8388608)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MagLev(Message):
    table_size: Annotated[int, Between(1, 5000010)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsistentHashLB(Message):
    ONEOFS: ClassVar = (
        ("http_header_name", "http_cookie", "use_source_ip", "http_query_parameter_name"),
        ("ring_hash", "maglev"),
    )

    http_header_name: Annotated[str, Also(("httpHeader",))] | None = None
    http_cookie: HTTPCookie | None = None
    use_source_ip: bool | None = None
    http_query_parameter_name: str | None = None
    ring_hash: RingHash | None = None
    maglev: MagLev | None = None
    minimum_ring_size: Annotated[int, Between(0, 8388608)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Warmup(Message):
    duration: Duration
    minimum_percent: Annotated[float, Between(0, 100)] | None = None
    aggression: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadBalancerSettings(Message):
    ONEOFS: ClassVar = (("simple", "consistent_hash"),)

    simple: Annotated[SimpleLB, Refused(("PASSTHROUGH",))] | None = None
    consistent_hash: ConsistentHashLB | None = None
    locality_lb_setting: Later = None
    zone_aware_lb_setting: Later = None
    warmup: Warmup | None = None
    warmup_duration_secs: Duration | None = None
    backend_utilization: Later = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpKeepalive(Message):
    probes: UInt32 | None = None
    time: Duration | None = None
    interval: Duration | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TCPSettings(Message):
    max_connections: Int32 | None = None
    connect_timeout: Duration | None = None
    tcp_keepalive: TcpKeepalive | None = None
    max_connection_duration: Duration | None = None
    idle_timeout: DurationOrZero | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTP2KeepAlive(Message):
    interval: Duration
    timeout: Duration


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPSettings(Message):
    http1_max_pending_requests: Int32 | None = None
    http2_max_requests: Int32 | None = None
    max_requests_per_connection: Annotated[int, Between(0, 536870912)] | None = None
    max_retries: Int32 | None = None
    idle_timeout: Duration | None = None
    h2_upgrade_policy: Literal["DEFAULT", "DO_NOT_UPGRADE", "UPGRADE"] = "DEFAULT"
    use_client_protocol: bool = False
    max_concurrent_streams: Int32 | None = None
    http2_keep_alive: HTTP2KeepAlive | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionPoolSettings(Message):
    tcp: TCPSettings | None = None
    http: HTTPSettings | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlierDetection(Message):
    consecutive_5xx_errors: UInt32 | None = None
    consecutive_gateway_errors: UInt32 | None = None
    consecutive_errors: Int32 | None = None
    interval: Duration | None = None
    base_ejection_time: Duration | None = None
    max_ejection_percent: Annotated[int, Between(0, 100)] | None = None
    min_health_percent: Annotated[int, Between(0, 100)] | None = None
    split_external_local_origin_errors: bool = False
    consecutive_local_origin_failures: UInt32 | None = None
    outlier_detection_http_error_codes: tuple[Annotated[int, Between(100, 599)], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTLSSettings(Message):
    mode: Annotated[Literal["DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"], Refused(("ISTIO_MUTUAL",))] = "DISABLE"
    client_certificate: str | None = None
    private_key: str | None = None
    ca_certificates: str | None = None
    credential_name: Later = None
    subject_alt_names: tuple[str, ...] = ()
    sni: str | None = None
    insecure_skip_verify: bool = False
    ca_crl: str | None = None
