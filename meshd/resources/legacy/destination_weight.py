"""DestinationWeight: a version of a service, and its share of the traffic (inventory DW)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated

from meshd.fields import Between, Coded, Message
from meshd.problems import Origin, Problem
from meshd.resources.legacy.istio_service import IstioService
from meshd.resources.legacy.legacy_resource import Labels


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationWeight(Message):
    """`destination` absent is that of the rule. The version has its labels and those of the destination (C-RR-08)."""

    destination: IstioService | None = None
    labels: Labels = field(default_factory=dict)
    weight: Annotated[int, Coded("E-WEIGHT-RANGE", Between(0, 100))] | None = None

    @property
    def version(self) -> Labels:
        """The labels from both places; empty is all versions."""
        return {**(self.destination.labels if self.destination else {}), **self.labels}

    def check(self) -> Iterator[Problem]:
        named = self.destination.labels if self.destination else {}
        for key in sorted(named.keys() & self.labels.keys()):
            if named[key] != self.labels[key]:
                yield Problem(
                    code="E-DW-LABELS",
                    at=self.origin.at("labels").item(key),
                    message=f"{key!r} is {self.labels[key]!r} here and {named[key]!r} in the destination",
                    hint="say it once",
                )


def check_weights(route: tuple[DestinationWeight, ...], at: Origin) -> Iterator[Problem]:
    """DW-06 to DW-08."""
    weights = tuple(each.weight or 0 for each in route)
    if len(route) == 1 and weights[0] not in {0, 100}:
        message = f"the only destination has a weight of {weights[0]}, not 100"
        yield Problem(code="E-WEIGHT-SUM", at=route[0].origin.at("weight"), message=message, hint="leave weight out")
    if len(route) < 2:
        return
    if sum(weights) != 100:
        yield Problem(code="E-WEIGHT-SUM", at=at, message=f"the weights add up to {sum(weights)}, not to 100")
    for each in route:
        if each.destination is None and not each.labels:
            yield Problem(
                code="E-WEIGHT-ANON",
                at=each.origin,
                message="one of several destinations needs a destination or labels",
            )
