"""TLSRoute and TCPRoute: what becomes of connections (spec 5.10 and 5.11)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from meshd.fields import Also, Between, Count, Int32, LabelMap, Message, ip_or_cidr, namespace_label
from meshd.resources.destination import Destination


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteDestination(Message):
    destination: Destination
    weight: Int32 = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TLSMatchAttributes(Message):
    sni_hosts: Annotated[tuple[str, ...], Count(1)]
    destination_subnets: tuple[Annotated[str, ip_or_cidr], ...] = ()
    port: Annotated[int, Between(0, 65535)] = 0
    source_labels: LabelMap = field(default_factory=dict)
    gateways: tuple[str, ...] = ()
    source_namespace: Annotated[str, namespace_label] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TLSRoute(Message):
    match: Annotated[tuple[TLSMatchAttributes, ...], Count(1)]
    route: Annotated[tuple[RouteDestination, ...], Count(1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class L4MatchAttributes(Message):
    destination_subnets: Annotated[tuple[Annotated[str, ip_or_cidr], ...], Also(("destinationSubnet",))] = ()
    port: Annotated[int, Between(0, 65535)] = 0
    source_subnet: Annotated[str, ip_or_cidr] | None = None
    source_labels: LabelMap = field(default_factory=dict)
    gateways: tuple[str, ...] = ()
    source_namespace: Annotated[str, namespace_label] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TCPRoute(Message):
    route: Annotated[tuple[RouteDestination, ...], Count(1)]
    match: tuple[L4MatchAttributes, ...] = ()
