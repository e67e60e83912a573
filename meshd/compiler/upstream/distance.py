"""How far one locality is from another."""

from __future__ import annotations

from meshd.names import Locality


def distance(there: Locality, here: Locality) -> int:
    """0 in the same sub-zone, 1 in the same zone, 2 in the same region, 3 elsewhere (spec D-23)."""
    if there.region != here.region:
        return 3
    if there.zone != here.zone:
        return 2
    return 0 if there.subzone == here.subzone else 1


def covers(pattern: str, locality: Locality) -> bool:
    """`region/zone/subzone`, of which the last given part may be `*`; what is left out is anything (spec D-20)."""
    wanted = pattern.split("/")
    parts = (locality.region, locality.zone, locality.subzone)
    return all(part in {"*", found} for part, found in zip(wanted, parts, strict=False))
