"""Which localities a client prefers: localityLbSetting and zoneAwareLbSetting (spec D-19 to D-24)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Annotated, ClassVar, Final

from meshd.fields import Between, Message
from meshd.problems import Origin, Problem
from meshd.resources.finding import doubtful, invalid

Share = Annotated[int, Between(1, 100)]

_TOPOLOGY: Final = frozenset(
    {"topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone"}
)


def locality_pattern(value: object) -> str:
    """`region`, `region/zone` or `region/zone/subzone`, the last of which may be, or end in, `*`."""
    text = str(value)
    parts = text.split("/")
    if not all(parts) or len(parts) > 3:
        return f"{text!r} is not region/zone/subzone"
    if "*" in text.removesuffix("*"):
        return f"{text!r} has a '*' that is not at its end"
    return ""


def region(value: object) -> str:
    text = str(value)
    return f"{text!r} is not a region" if not text or "/" in text or "*" in text else ""


Pattern = Annotated[str, locality_pattern]
Region = Annotated[str, region]


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribute(Message):
    """`from_` is the YAML key `from`."""

    from_: Pattern
    to: Mapping[Pattern, Share] = field(default_factory=dict)

    def check(self) -> Iterator[Problem]:
        """D-20."""
        total = sum(self.to.values())
        if total != 100:
            yield invalid(self.origin.at("to"), f"the shares of all localities are {total} together, and must be 100")
        yield from _check_overlaps((name, self.origin.at("to").item(name)) for name in self.to)
        for name, at in (
            (self.from_, self.origin.at("from")),
            *((to, self.origin.at("to").item(to)) for to in self.to),
        ):
            if name.endswith("*") and not name.endswith("/*") and name != "*":
                yield doubtful(at, f"{name!r} fits no locality: '*' stands for a whole part", "write '/*'")


@dataclass(frozen=True, slots=True, kw_only=True)
class Failover(Message):
    """`from_` is the YAML key `from`."""

    from_: Region
    to: Region

    def check(self) -> Iterator[Problem]:
        """D-21."""
        if self.from_ == self.to:
            yield invalid(self.origin.at("to"), f"{self.to!r} cannot stand in for itself")


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalityLoadBalancerSetting(Message):
    ONEOFS: ClassVar = (("distribute", "failover"),)

    distribute: tuple[Distribute, ...] = ()
    failover: tuple[Failover, ...] = ()
    failover_priority: tuple[str, ...] = ()
    enabled: bool = True

    def check(self) -> Iterator[Problem]:
        """D-20 and D-22."""
        yield from _check_overlaps((entry.from_, entry.origin.at("from")) for entry in self.distribute)
        if self.failover:
            yield from _check_priority(self.failover_priority, self.origin.at("failoverPriority"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneAwareLoadBalancerSetting(Message):
    failover: tuple[Failover, ...] = ()
    failover_priority: tuple[str, ...] = ()
    min_cluster_size: Annotated[int, Between(1, 4294967295)] = 6
    enabled: bool = True

    def check(self) -> Iterator[Problem]:
        """D-24."""
        yield from _check_priority(self.failover_priority, self.origin.at("failoverPriority"))


def check_failover(
    setting: LocalityLoadBalancerSetting | ZoneAwareLoadBalancerSetting | None, *, outlier_detection: bool
) -> Iterator[Problem]:
    """D-21, D-22 and D-24: only ejected endpoints make others stand in for them."""
    if setting is None or outlier_detection:
        return
    for name, given in (("failover", setting.failover), ("failoverPriority", setting.failover_priority)):
        if given:
            message = "has no effect without outlierDetection beside it: no endpoint would ever be held to be down"
            yield doubtful(setting.origin.at(name), message, "add outlierDetection: {}")


def _check_priority(labels: tuple[str, ...], at: Origin) -> Iterator[Problem]:
    """Regions, zones and sub-zones have their order already; a label with a value is no such order."""
    for index, label in enumerate(labels):
        if label in _TOPOLOGY:
            yield invalid(at.item(index), f"{label!r} has no place here: localities have an order of their own")


def _check_overlaps(patterns: Iterable[tuple[str, Origin]]) -> Iterator[Problem]:
    for (one, _), (other, at) in combinations(patterns, 2):
        if _overlap(one.split("/"), other.split("/")):
            yield invalid(at, f"{other!r} overlaps {one!r}")


def _overlap(one: list[str], other: list[str]) -> bool:
    """Part by part, until one of them takes all that follows."""
    return all("*" in {a, b} or a == b for a, b in zip(one, other, strict=False))
