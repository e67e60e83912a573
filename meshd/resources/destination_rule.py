"""DestinationRule: how the endpoints of a service are called (spec section 6)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from meshd.fields import (
    Also,
    Between,
    Count,
    DurationOrZero,
    EmptyIsAbsent,
    HostText,
    LabelMap,
    Later,
    Message,
    Port,
    UInt32,
    dns_label,
    export_target,
    host_or_ip,
    wildcard_host,
)
from meshd.problems import Problem
from meshd.resources.destination import PortSelector
from meshd.resources.extras import DestinationRuleExtras, check_extras, check_names, read_extras
from meshd.resources.finding import doubtful, invalid
from meshd.resources.host_name import check_exports
from meshd.resources.locality import check_failover
from meshd.resources.resource import Resource
from meshd.resources.traffic_policy import (
    ClientTLSSettings,
    ConnectionPoolSettings,
    LoadBalancerSettings,
    OutlierDetection,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PortTrafficPolicy(Message):
    """Replaces the whole policy of its level for that port (spec 6.2)."""

    port: PortSelector
    load_balancer: LoadBalancerSettings | None = None
    connection_pool: ConnectionPoolSettings | None = None
    outlier_detection: OutlierDetection | None = None
    tls: ClientTLSSettings | None = None
    compression: Later = None

    def check(self) -> Iterator[Problem]:
        """D-93."""
        if not (self.load_balancer or self.connection_pool or self.outlier_detection or self.tls):
            yield invalid(self.origin, "a port needs loadBalancer, connectionPool, outlierDetection or tls")
        yield from _check_failover(self.load_balancer, self.outlier_detection)


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelSettings(Message):
    protocol: Annotated[Literal["CONNECT", "POST"], EmptyIsAbsent()] = "CONNECT"
    target_host: Annotated[HostText, host_or_ip]
    target_port: Port


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyProtocol(Message):
    version: Literal["V1", "V2"] = "V1"


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryBudget(Message):
    """What is absent, and a `minRetryConcurrency` of 0, is the default (D-92)."""

    percent: Annotated[float, Between(0, 100)] | None = None
    min_retry_concurrency: UInt32 | None = None
    budget_interval: DurationOrZero | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficPolicy(Message):
    ONEOFS: ClassVar = (("tunnel", "proxy_protocol"),)

    load_balancer: LoadBalancerSettings | None = None
    connection_pool: ConnectionPoolSettings | None = None
    outlier_detection: OutlierDetection | None = None
    tls: ClientTLSSettings | None = None
    port_level_settings: Annotated[tuple[PortTrafficPolicy, ...], Count(0, 4096)] = ()
    tunnel: TunnelSettings | None = None
    proxy_protocol: ProxyProtocol | None = None
    retry_budget: RetryBudget | None = None
    compression: Later = None

    def check(self) -> Iterator[Problem]:
        """D-2, D-21 and D-93."""
        parts = (self.load_balancer, self.connection_pool, self.outlier_detection, self.tls, self.port_level_settings)
        if not any((*parts, self.tunnel, self.proxy_protocol, self.retry_budget)):
            yield invalid(self.origin, "a traffic policy needs at least one setting")
        yield from _check_failover(self.load_balancer, self.outlier_detection)
        seen: set[int] = set()
        for policy in self.port_level_settings:
            if policy.port.number in seen:
                yield doubtful(policy.port.origin, f"port {policy.port.number} is given twice: the first counts")
            seen.add(policy.port.number)


def _check_failover(balancer: LoadBalancerSettings | None, outliers: OutlierDetection | None) -> Iterator[Problem]:
    if balancer:
        setting = balancer.locality_lb_setting or balancer.zone_aware_lb_setting
        yield from check_failover(setting, outlier_detection=outliers is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subset(Message):
    name: Annotated[str, dns_label]
    labels: LabelMap = field(default_factory=dict)
    traffic_policy: TrafficPolicy | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSelector(Message):
    match_labels: Annotated[LabelMap, Count(0, 256)] = field(default_factory=dict)

    def check(self) -> Iterator[Problem]:
        if not self.match_labels:
            yield doubtful(self.origin, "a selector without labels selects everything in the namespace")


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationRule(Resource):
    KIND: ClassVar[str] = "DestinationRule"

    host: Annotated[HostText, wildcard_host, Also(("name",))]
    traffic_policy: TrafficPolicy | None = None
    subsets: tuple[Subset, ...] = ()
    export_to: tuple[Annotated[str, export_target], ...] = ()
    workload_selector: LabelSelector | None = None

    @property
    def extras(self) -> DestinationRuleExtras:
        return read_extras(DestinationRuleExtras, self.metadata)

    def check(self) -> Iterator[Problem]:
        yield from check_exports(self.origin, self.export_to, self.metadata.namespace)
        if self.workload_selector and any(to not in {".", self.metadata.namespace} for to in self.export_to):  # 3.3
            hint = "a rule for selected workloads is of use in its own namespace only"
            yield invalid(self.origin.at("exportTo"), "exportTo reaches beyond the workloadSelector", hint)
        counts = Counter(subset.name for subset in self.subsets)
        for subset in self.subsets:  # D-3
            if counts[subset.name] > 1:
                yield invalid(subset.origin.at("name"), f"subset {subset.name!r} is given {counts[subset.name]} times")
        yield from check_extras(DestinationRuleExtras, self.metadata)
        yield from check_names(self.metadata, "subset", self.extras.subsets, counts)
