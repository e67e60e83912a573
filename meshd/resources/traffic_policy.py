"""The parts of a traffic policy: load balancer, connection pool, outlier detection, and TLS next door (spec 6.3)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import isqrt
from typing import Annotated, ClassVar, Literal, Self

from meshd.fields import (
    Also,
    Between,
    Count,
    Duration,
    DurationOrZero,
    Int32,
    Later,
    Message,
    Old,
    UInt32,
    header_token,
)
from meshd.problems import Problem
from meshd.resources.client_tls import ClientTLSSettings
from meshd.resources.finding import doubtful, invalid, legacy
from meshd.resources.locality import LocalityLoadBalancerSetting, ZoneAwareLoadBalancerSetting

__all__ = [
    "ClientTLSSettings",
    "ConnectionPoolSettings",
    "ConsistentHashLB",
    "CookieAttribute",
    "HTTP2KeepAlive",
    "HTTPCookie",
    "HTTPSettings",
    "LoadBalancerSettings",
    "MagLev",
    "OutlierDetection",
    "RingHash",
    "SimpleLB",
    "TCPSettings",
    "TcpKeepalive",
    "Warmup",
]

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

    def check(self) -> Iterator[Problem]:
        """D-13."""
        counts = Counter(attribute.name for attribute in self.attributes)
        for attribute in self.attributes:
            if counts[attribute.name] > 1:
                yield invalid(attribute.origin.at("name"), f"attribute {attribute.name!r} is given twice")


@dataclass(frozen=True, slots=True, kw_only=True)
class RingHash(Message):
    minimum_ring_size: Annotated[int, Between(0, 8388608)] | None = None


def prime(value: object) -> str:
    """Up to a few millions."""
    assert isinstance(value, int)
    is_prime = value > 1 and all(value % divisor for divisor in range(2, isqrt(value) + 1))
    return "" if is_prime else f"{value} is not a prime number"


@dataclass(frozen=True, slots=True, kw_only=True)
class MagLev(Message):
    table_size: Annotated[int, Between(1, 5000010), prime]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsistentHashLB(Message):
    ONEOFS: ClassVar = (
        ("http_header_name", "http_cookie", "use_source_ip", "http_query_parameter_name"),
        ("ring_hash", "maglev"),
    )

    http_header_name: Annotated[str, Also(("httpHeader",)), header_token] | None = None
    http_cookie: HTTPCookie | None = None
    use_source_ip: bool | None = None
    http_query_parameter_name: Annotated[str, Count(1)] | None = None
    ring_hash: RingHash | None = None
    maglev: MagLev | None = None
    minimum_ring_size: Annotated[int, Between(0, 8388608), Old("ringHash.minimumRingSize")] | None = None

    def check(self) -> Iterator[Problem]:
        """D-12 and D-18."""
        if not (self.http_header_name or self.http_cookie or self.use_source_ip or self.http_query_parameter_name):
            yield doubtful(self.origin, "without a key to hash, requests go anywhere", "name a header, a cookie, ...")
        if not self.minimum_ring_size:
            return
        at = self.origin.at("minimumRingSize")
        yield legacy(at, "minimumRingSize is deprecated here", "write ringHash: {minimumRingSize: ...}")
        if self.ring_hash or self.maglev:
            yield invalid(at, "minimumRingSize does not go with ringHash or maglev")

    def settled(self) -> Self:
        if self.minimum_ring_size is None:
            return self
        size = self.minimum_ring_size or None
        given = self.ring_hash or self.maglev
        ring = self.ring_hash if given else RingHash(minimum_ring_size=size, origin=self.origin)
        return replace(self, ring_hash=ring, minimum_ring_size=None)


def above_zero(value: object) -> str:
    assert isinstance(value, int | float)
    return "" if value > 0 else f"{value:g} is not more than 0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Warmup(Message):
    duration: Duration
    minimum_percent: Annotated[float, Between(0, 100)] | None = None
    aggression: Annotated[float, above_zero] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadBalancerSettings(Message):
    """`backend_utilization` is in the newest API and in no release of Istio: what it holds, nobody reads."""

    ONEOFS: ClassVar = (
        ("simple", "consistent_hash", "backend_utilization"),
        ("locality_lb_setting", "zone_aware_lb_setting"),
    )

    simple: SimpleLB | None = None
    consistent_hash: ConsistentHashLB | None = None
    locality_lb_setting: LocalityLoadBalancerSetting | None = None
    zone_aware_lb_setting: ZoneAwareLoadBalancerSetting | None = None
    warmup: Warmup | None = None
    warmup_duration_secs: Annotated[Duration, Old("warmup.duration")] | None = None
    backend_utilization: Mapping[str, object] | None = None

    def check(self) -> Iterator[Problem]:
        """D-10, D-25 to D-27."""
        if self.simple == "LEAST_CONN":
            yield legacy(self.origin.at("simple"), "LEAST_CONN is called LEAST_REQUEST now", "write LEAST_REQUEST")
        if self.backend_utilization is not None:
            at = self.origin.at("backendUtilization")
            yield doubtful(at, "does nothing yet: requests are spread as by LEAST_REQUEST", "set simple instead")
        if self.warmup_duration_secs is not None:
            at = self.origin.at("warmupDurationSecs")
            yield legacy(at, "warmupDurationSecs is deprecated", "write warmup: {duration: ...}")
            if self.warmup:
                yield invalid(at, "warmupDurationSecs does not go with warmup")
        yield from self._check_warmup()

    def settled(self) -> Self:
        return replace(self, simple="LEAST_REQUEST") if self.simple == "LEAST_CONN" else self

    def _check_warmup(self) -> Iterator[Problem]:
        if not (self.consistent_hash or self.simple in {"RANDOM", "PASSTHROUGH"}):
            return
        for name, given in (("warmup", self.warmup), ("warmupDurationSecs", self.warmup_duration_secs)):
            if given is not None:
                yield doubtful(
                    self.origin.at(name), "only ROUND_ROBIN and LEAST_REQUEST warm up; it has no effect here"
                )


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

    def check(self) -> Iterator[Problem]:
        """D-41."""
        if self.use_client_protocol and self.h2_upgrade_policy == "UPGRADE":
            yield invalid(self.origin.at("useClientProtocol"), "does not go with h2UpgradePolicy: UPGRADE")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionPoolSettings(Message):
    """A zero means the default, but for idle times."""

    tcp: TCPSettings | None = None
    http: HTTPSettings | None = None

    def check(self) -> Iterator[Problem]:
        """D-44."""
        if self.tcp is None and self.http is None:
            yield invalid(self.origin, "a connection pool needs tcp or http")


@dataclass(frozen=True, slots=True, kw_only=True)
class OldOutlierDetection(Message):
    """The block `http` of 2018 (spec section 12). Its errors were any 5xx."""

    consecutive_errors: Int32 | None = None
    interval: Duration | None = None
    base_ejection_time: Duration | None = None
    max_ejection_percent: Annotated[int, Between(0, 100)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlierDetection(Message):
    """`http` and `consecutive_errors` are of old."""

    consecutive_5xx_errors: UInt32 | None = None
    consecutive_gateway_errors: UInt32 | None = None
    consecutive_errors: Annotated[Int32, Old("consecutiveGatewayErrors")] | None = None
    interval: Duration | None = None
    base_ejection_time: Duration | None = None
    max_ejection_percent: Annotated[int, Between(0, 100)] | None = None
    min_health_percent: Annotated[int, Between(0, 100)] | None = None
    split_external_local_origin_errors: bool = False
    consecutive_local_origin_failures: UInt32 | None = None
    outlier_detection_http_error_codes: tuple[Annotated[int, Between(100, 599)], ...] = ()
    failure_percentage_threshold: Later = None
    http: Annotated[OldOutlierDetection, Old("its fields beside it")] | None = None

    def check(self) -> Iterator[Problem]:
        """D-52, D-58 and section 12."""
        if self.consecutive_errors is not None:
            hint = "write consecutiveGatewayErrors, or consecutive5xxErrors"
            yield legacy(self.origin.at("consecutiveErrors"), "counts 502, 503 and 504 only, and is deprecated", hint)
        if self.http:
            hint = "write its fields beside it, and consecutive5xxErrors for consecutiveErrors"
            yield legacy(self.origin.at("http"), "this block is of 2018", hint)
        if self.consecutive_local_origin_failures and not self.split_external_local_origin_errors:
            at = self.origin.at("consecutiveLocalOriginFailures")
            yield invalid(at, "needs splitExternalLocalOriginErrors: true")

    def settled(self) -> Self:
        """What is said in today's words stands."""
        if self.http is None and self.consecutive_errors is None:
            return self
        old = self.http or OldOutlierDetection()
        return replace(
            self,
            consecutive_5xx_errors=_first(self.consecutive_5xx_errors, old.consecutive_errors),
            consecutive_gateway_errors=_first(self.consecutive_gateway_errors, self.consecutive_errors),
            consecutive_errors=None,
            interval=self.interval or old.interval,
            base_ejection_time=self.base_ejection_time or old.base_ejection_time,
            max_ejection_percent=_first(self.max_ejection_percent, old.max_ejection_percent),
            http=None,
        )


def _first(*choices: int | None) -> int | None:
    """The first that is given; a zero is given."""
    return next((choice for choice in choices if choice is not None), None)
