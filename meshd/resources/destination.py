"""Destination: a service, one of its ports, and perhaps a subset (spec V-50 to V-52)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from meshd.fields import Message, Port, dns_label, service_host


@dataclass(frozen=True, slots=True, kw_only=True)
class PortSelector(Message):
    number: Port


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination(Message):
    host: Annotated[str, service_host]
    subset: Annotated[str, dns_label] | None = None
    port: PortSelector | None = None
