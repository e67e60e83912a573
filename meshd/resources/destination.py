"""Destination: a service, one of its ports, and perhaps a subset (spec V-50 to V-52)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Final

from meshd.fields import Also, EmptyIsAbsent, HostText, Message, Port, dns_label, service_host
from meshd.problems import Origin, Problem
from meshd.resources.finding import invalid

_LARGEST_SUM: Final = 4294967295  # of the weights of one route; Envoy refuses more


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
    host: Annotated[HostText, service_host, Also(("name",))]
    subset: Annotated[str, dns_label, EmptyIsAbsent()] | None = None
    port: PortSelector | None = None


def check_weights(weights: tuple[int, ...], at: Origin) -> Iterator[Problem]:
    """V-53 and V-104."""
    if len(weights) > 1 and not any(weights):
        yield invalid(at, "the weights of several destinations must not all be 0")
    elif sum(weights) > _LARGEST_SUM:
        yield invalid(at, f"the weights add up to {sum(weights)}, which is more than {_LARGEST_SUM}")
