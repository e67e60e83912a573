"""WorkloadGroup: what the workloads of a group have in common, and how they are probed (spec W-10 to W-17)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from meshd.fields import (
    UNIX,
    Count,
    EmptyIsAbsent,
    Int32,
    LabelMap,
    Message,
    Port,
    UInt32,
    dns_label,
    label_key,
    probe_header,
)
from meshd.problems import Problem
from meshd.resources.finding import doubtful, invalid
from meshd.resources.resource import Resource
from meshd.resources.workload_entry import check_locality


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectMeta(Message):
    """What each WorkloadEntry of the group gets as its metadata."""

    labels: LabelMap = field(default_factory=dict)
    annotations: Mapping[Annotated[str, label_key], str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadTemplate(Message):
    """A WorkloadEntry whose `address` and `labels` have no place here."""

    address: Annotated[str, EmptyIsAbsent(), Count(0, 256)] | None = None
    ports: Annotated[Mapping[Annotated[str, dns_label], Port], Count(0, 128)] = field(default_factory=dict)
    labels: LabelMap = field(default_factory=dict)
    network: Annotated[str, EmptyIsAbsent()] | None = None
    locality: Annotated[str, EmptyIsAbsent()] | None = None
    weight: UInt32 | None = None
    service_account: Annotated[str, EmptyIsAbsent()] | None = None

    def check(self) -> Iterator[Problem]:
        """W-11."""
        if self.address is not None:
            hint = "remove it: each host of the group has its own"
            yield doubtful(self.origin.at("address"), "is ignored in a template", hint)
            if self.address.startswith(UNIX) and self.ports:
                yield invalid(self.origin.at("ports"), "a unix address has no ports")
        if self.labels:
            hint = "write them into metadata.labels of the group's spec"
            yield doubtful(self.origin.at("labels"), "is ignored in a template", hint)
        yield from check_locality(self.locality, self.origin.at("locality"))


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPHeader(Message):
    name: Annotated[str, probe_header]
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPHealthCheckConfig(Message):
    port: Port
    path: Annotated[str, EmptyIsAbsent()] = "/"
    host: Annotated[str, EmptyIsAbsent()] | None = None
    scheme: Annotated[Literal["HTTP", "HTTPS"], EmptyIsAbsent()] = "HTTP"
    http_headers: tuple[HTTPHeader, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TCPHealthCheckConfig(Message):
    port: Port
    host: Annotated[str, EmptyIsAbsent()] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecHealthCheckConfig(Message):
    command: Annotated[tuple[Annotated[str, Count(1)], ...], Count(1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class GrpcHealthCheckConfig(Message):
    port: Port
    service: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadinessProbe(Message):
    """All numbers are seconds or counts; 0 is the default."""

    EXACTLY_ONE: ClassVar = (("http_get", "tcp_socket", "exec", "grpc"),)

    initial_delay_seconds: Int32 = 0
    timeout_seconds: Int32 = 0
    period_seconds: Int32 = 0
    success_threshold: Int32 = 0
    failure_threshold: Int32 = 0
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
