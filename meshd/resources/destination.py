"""Destination: a service, one of its ports, and perhaps a subset (spec V-50 to V-52)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from meshd.fields import Also, Message, Port, dns_label, service_host
from meshd.problems import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class PortSelector(Message):
    """`number` is required; it has a default only so that `name`, which never worked, gets a word of its own."""

    number: Port = 0
    name: str | None = None

    def check(self) -> Iterator[Problem]:
        """Spec section 12."""
        if self.name is not None:
            yield Problem(
                code="E-PORT-NAME",
                at=self.origin.at("name"),
                message="a port is not chosen by its name",
                hint="write its number",
            )
        elif self.number == 0:
            yield Problem(code="E-REQUIRED", at=self.origin, message="number is required")


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination(Message):
    host: Annotated[str, service_host, Also(("name",))]
    subset: Annotated[str, dns_label] | None = None
    port: PortSelector | None = None
