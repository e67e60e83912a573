"""DestinationRule: how the endpoints of a service are called (spec section 6)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from meshd.fields import Count, LabelMap, Later, Message, dns_label, export_target, wildcard_host
from meshd.resources.destination import PortSelector
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


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficPolicy(Message):
    load_balancer: LoadBalancerSettings | None = None
    connection_pool: ConnectionPoolSettings | None = None
    outlier_detection: OutlierDetection | None = None
    tls: ClientTLSSettings | None = None
    port_level_settings: Annotated[tuple[PortTrafficPolicy, ...], Count(0, 4096)] = ()
    tunnel: Later = None
    proxy_protocol: Later = None
    retry_budget: Later = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subset(Message):
    name: Annotated[str, dns_label]
    labels: LabelMap = field(default_factory=dict)
    traffic_policy: TrafficPolicy | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSelector(Message):
    match_labels: Annotated[LabelMap, Count(0, 256)] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationRule(Resource):
    KIND: ClassVar[str] = "DestinationRule"

    host: Annotated[str, wildcard_host]
    traffic_policy: TrafficPolicy | None = None
    subsets: tuple[Subset, ...] = ()
    export_to: tuple[Annotated[str, export_target], ...] = ()
    workload_selector: LabelSelector | None = None
