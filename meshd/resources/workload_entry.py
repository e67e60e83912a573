"""WorkloadEntry: one place where something runs (spec section 8)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from meshd.fields import Count, LabelMap, Later, Message, Port, UInt32, dns_label
from meshd.resources.resource import Resource


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload(Message):
    """The fields of a WorkloadEntry, which a ServiceEntry may also hold inline."""

    address: Annotated[str, Count(0, 256)] = ""
    ports: Annotated[Mapping[Annotated[str, dns_label], Port], Count(0, 128)] = field(default_factory=dict)
    labels: LabelMap = field(default_factory=dict)
    network: Later = None
    locality: str | None = None
    weight: UInt32 | None = None
    service_account: Later = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadEntry(Resource):
    KIND: ClassVar[str] = "WorkloadEntry"
    SPEC: ClassVar[str] = "workload"

    workload: Workload
