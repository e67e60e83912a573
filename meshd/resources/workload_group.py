"""WorkloadGroup: what the workloads of a group have in common, and how they are probed (spec W-10 to W-17)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from meshd.fields import Between, Count, LabelMap, Message, Port, UInt32, dns_label, label_key
from meshd.resources.resource import Resource
from meshd.resources.workload_entry import locality


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectMeta(Message):
    labels: LabelMap = field(default_factory=dict)
    annotations: Mapping[Annotated[str, label_key], str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadTemplate(Message):
    """A WorkloadEntry whose `address` and `labels` have no place here."""

    address: str | None = None
    ports: Annotated[Mapping[Annotated[str, dns_label], Port], Count(0, 128)] = field(default_factory=dict)
    labels: LabelMap = field(default_factory=dict)
    network: str | None = None
    locality: Annotated[str, locality] | None = None
    weight: UInt32 | None = None
    service_account: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPHeader(Message):
    name: str
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPHealthCheckConfig(Message):
    port: Port
    path: str = "/"
    host: str | None = None
    scheme: Literal["HTTP", "HTTPS"] = "HTTP"
    http_headers: tuple[HTTPHeader, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TCPHealthCheckConfig(Message):
    port: Port
    host: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecHealthCheckConfig(Message):
    command: Annotated[tuple[Annotated[str, Count(1)], ...], Count(1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class GrpcHealthCheckConfig(Message):
    port: Port
    service: str = ""


_Int32 = Annotated[int, Between(0, 2147483647)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadinessProbe(Message):
    """All numbers are seconds or counts; 0 is the default."""

    EXACTLY_ONE: ClassVar = (("http_get", "tcp_socket", "exec", "grpc"),)

    initial_delay_seconds: _Int32 = 0
    timeout_seconds: _Int32 = 0
    period_seconds: _Int32 = 0
    success_threshold: _Int32 = 0
    failure_threshold: _Int32 = 0
    http_get: HTTPHealthCheckConfig | None = None
    tcp_socket: TCPHealthCheckConfig | None = None
    exec: ExecHealthCheckConfig | None = None
    grpc: GrpcHealthCheckConfig | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group(Message):
    """`metadata` is what every entry of the group gets, not that of the group."""

    template: WorkloadTemplate
    metadata: ObjectMeta | None = None
    probe: ReadinessProbe | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadGroup(Resource):
    KIND: ClassVar[str] = "WorkloadGroup"
    SPEC: ClassVar[str] = "group"

    group: Group
