"""Which localities a client prefers: localityLbSetting and zoneAwareLbSetting (spec D-19 to D-24)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from meshd.fields import Between, Count, Message

Share = Annotated[int, Between(1, 100)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribute(Message):
    """`from_` is the YAML key `from`."""

    from_: Annotated[str, Count(1)]
    to: Mapping[str, Share] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failover(Message):
    """`from_` is the YAML key `from`."""

    from_: Annotated[str, Count(1)]
    to: Annotated[str, Count(1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalityLoadBalancerSetting(Message):
    ONEOFS: ClassVar = (("distribute", "failover"),)

    distribute: tuple[Distribute, ...] = ()
    failover: tuple[Failover, ...] = ()
    failover_priority: tuple[str, ...] = ()
    enabled: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneAwareLoadBalancerSetting(Message):
    failover: tuple[Failover, ...] = ()
    failover_priority: tuple[str, ...] = ()
    min_cluster_size: Annotated[int, Between(1, 4294967295)] = 6
    enabled: bool = True
