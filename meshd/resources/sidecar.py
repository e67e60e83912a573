"""Sidecar: what a host's workloads may reach, and on which local addresses (spec 9.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from meshd.fields import Between, Count, Later, Message, Refused, dns_label
from meshd.resources.resource import Resource, WorkloadSelector


@dataclass(frozen=True, slots=True, kw_only=True)
class SidecarPort(Message):
    number: Annotated[int, Between(0, 65535)] = 0
    protocol: str = ""
    name: Annotated[str, dns_label] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IstioEgressListener(Message):
    hosts: Annotated[tuple[str, ...], Count(1)]
    port: SidecarPort | None = None
    bind: str | None = None
    capture_mode: Literal["DEFAULT", "IPTABLES", "NONE"] = "DEFAULT"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundTrafficPolicy(Message):
    mode: Annotated[Literal["REGISTRY_ONLY", "ALLOW_ANY"], Refused(("ALLOW_ANY",))] = "REGISTRY_ONLY"
    egress_proxy: Later = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sidecar(Resource):
    KIND: ClassVar[str] = "Sidecar"

    workload_selector: WorkloadSelector | None = None
    ingress: Later = None
    egress: tuple[IstioEgressListener, ...] = ()
    outbound_traffic_policy: OutboundTrafficPolicy | None = None
    inbound_connection_pool: Later = None
