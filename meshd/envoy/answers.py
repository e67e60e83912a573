"""What a DNS name stands for at the moment -> the addresses to connect to, with what SRV records say of each.

As text in between: the memory of a pass goes by identity, and the resolver hands out equal answers, not the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import gcd, lcm
from typing import Final, NamedTuple

from meshd.names import DnsName
from meshd.plan import SrvTarget

Resolved = tuple[str, ...] | tuple[SrvTarget, ...]
"""Addresses; of an SRV name, its targets. The one for who wants only one comes first."""

_HARDLY_ANY: Final = 100
"""How much more than weight 0 the weight 1 is (RFC 2782)."""


class Spot(NamedTuple):
    """`port` None: as the endpoint has it. `rank` 0 is tried first, among those of one name."""

    address: str
    port: int | None = None
    weight: int = 1
    rank: int = 0


def as_text(answer: Resolved) -> str:
    return " ".join(each if isinstance(each, str) else _target_text(each) for each in answer)


def spots(text: str, *, first_only: bool) -> Sequence[Spot]:
    written = text.split()[:1] if first_only else text.split()
    if "/" not in text:
        return [Spot(address) for address in written]
    return _of_targets([_target(each) for each in written])


def _of_targets(targets: list[SrvTarget]) -> list[Spot]:
    ranks = {priority: rank for rank, priority in enumerate(sorted({target.priority for target in targets}))}
    return [
        Spot(target.ip, target.port, weight, ranks[target.priority])
        for target, weight in zip(targets, _weights(targets), strict=True)
    ]


def _weights(targets: list[SrvTarget]) -> list[int]:
    """A record's weight is shared by the addresses of its target, in the smallest whole numbers."""
    addresses = Counter(_record(target) for target in targets)
    whole = lcm(*addresses.values())
    some = _HARDLY_ANY if any(target.weight for target in targets) else 1
    shares = [(target.weight * some or 1) * whole // addresses[_record(target)] for target in targets]
    return [share // gcd(*shares) for share in shares]


def _record(target: SrvTarget) -> tuple[int, str, int]:
    return target.priority, target.target, target.port


def _target_text(target: SrvTarget) -> str:
    return f"{target.priority}/{target.target}/{target.ip}/{target.port}/{target.weight}"


def _target(text: str) -> SrvTarget:
    priority, target, ip, port, weight = text.split("/")
    return SrvTarget(priority=int(priority), target=DnsName(target), ip=ip, port=int(port), weight=int(weight))
