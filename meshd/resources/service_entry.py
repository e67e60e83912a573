"""ServiceEntry: a service, and where it runs (spec section 7)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from meshd.fields import (
    Count,
    Message,
    Port,
    Refused,
    dns_label,
    export_target,
    ip_or_cidr,
    service_host,
)
from meshd.resources.resource import Resource, WorkloadSelector
from meshd.resources.workload_entry import Workload

Location = Literal["MESH_EXTERNAL", "MESH_INTERNAL"]
Resolution = Literal["NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePort(Message):
    number: Port
    name: Annotated[str, dns_label]
    protocol: str = ""
    target_port: Port | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceEntry(Resource):
    KIND: ClassVar[str] = "ServiceEntry"

    hosts: Annotated[tuple[Annotated[str, service_host], ...], Count(1, 256)]
    addresses: Annotated[tuple[Annotated[str, ip_or_cidr, Count(0, 64)], ...], Count(0, 256)] = ()
    ports: Annotated[tuple[ServicePort, ...], Count(0, 256)] = ()
    location: Location = "MESH_EXTERNAL"
    resolution: Annotated[Resolution, Refused(("DYNAMIC_DNS",))] = "NONE"
    endpoints: Annotated[tuple[Workload, ...], Count(0, 4096)] = ()
    workload_selector: WorkloadSelector | None = None
    export_to: tuple[Annotated[str, export_target], ...] = ()
    subject_alt_names: tuple[str, ...] = ()
