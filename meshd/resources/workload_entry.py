"""WorkloadEntry: one place where something runs (spec section 8)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from meshd.fields import (
    UNIX,
    Count,
    EmptyIsAbsent,
    HostText,
    LabelMap,
    Message,
    Port,
    UInt32,
    dns_label,
    host_or_ip,
    socket_path,
    srv_name,
)
from meshd.names import is_srv
from meshd.problems import Origin, Problem
from meshd.resources.finding import doubtful, invalid
from meshd.resources.resource import Resource


def workload_address(value: object) -> str:
    """W-1: an IP, a name, be it one with SRV records, `unix:///absolute/path` or `unix://@name`."""
    text = str(value)
    if text.startswith(UNIX):
        return socket_path(text.removeprefix(UNIX))
    if text.startswith("_"):
        return srv_name(text)
    return host_or_ip(text) and f"{text!r} is neither an IP address, a host name nor {UNIX}..."


def check_locality(locality: str | None, at: Origin) -> Iterator[Problem]:
    """W-5. Any text is a locality, but only `region`, `region/zone` and `region/zone/subzone` are like any other."""
    parts = (locality or "region").split("/")
    if len(parts) > 3 or not all(parts):
        yield doubtful(at, f"{locality!r} is not region/zone/subzone", "leave out what is not known, from the end")


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload(Message):
    """The fields of a WorkloadEntry, which a ServiceEntry may also hold inline.

    `address` is empty for one that is reached through the gateway of its `network` only.
    """

    address: Annotated[HostText, EmptyIsAbsent(), workload_address, Count(0, 256)] = ""
    ports: Annotated[Mapping[Annotated[str, dns_label], Port], Count(0, 128)] = field(default_factory=dict)
    labels: LabelMap = field(default_factory=dict)
    network: Annotated[str, EmptyIsAbsent()] | None = None
    locality: Annotated[str, EmptyIsAbsent()] | None = None
    weight: UInt32 | None = None
    service_account: Annotated[str, EmptyIsAbsent()] | None = None

    @property
    def is_unix(self) -> bool:
        return self.address.startswith(UNIX)

    @property
    def is_srv(self) -> bool:
        return is_srv(self.address)

    def check(self) -> Iterator[Problem]:
        """W-1, W-2 and W-5."""
        at = self.origin.at("address")
        if not self.address and not self.network:
            yield Problem(code="E-REQUIRED", at=at, message="is required")
        elif not self.address:
            yield doubtful(at, f"without an address it is called through the gateway of {self.network!r} only")
        if self.is_unix and self.ports:
            yield invalid(self.origin.at("ports"), "a unix address has no ports")
        if self.is_srv and self.ports:
            yield doubtful(self.origin.at("ports"), "is ignored: the SRV records say the port", "remove it")
        yield from check_locality(self.locality, self.origin.at("locality"))


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadEntry(Resource):
    KIND: ClassVar[str] = "WorkloadEntry"
    SPEC: ClassVar[str] = "workload"

    workload: Workload
