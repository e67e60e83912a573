"""What a look-up makes of the answer of before: fresh addresses replace old ones, a failure never empties a name."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, Literal

from meshd.resolve.answer import Answer, Reason, kept
from meshd.resolve.lookup import Failed, Found, Result
from meshd.resolve.settings import Family

# When the families fail differently, the reason that says most.
_TELLING: Final[tuple[Reason, ...]] = (
    "BadName",
    "NXDOMAIN",
    "REFUSED",
    "SERVFAIL",
    "Malformed",
    "Unreachable",
    "Timeout",
    "NoAnswer",
)


def merged(results: Mapping[Family, Result], before: Answer | None, now: datetime) -> Answer:
    found = {family: result for family, result in results.items() if isinstance(result, Found)}
    failed = {family: result.reason for family, result in results.items() if isinstance(result, Failed)}
    if found:
        return _fresh(found, failed, before, now)
    reason = min(failed.values(), key=_TELLING.index)
    since = (before.failing_since if before is not None else None) or now
    if before is not None and before.addresses:
        return kept(before, reason, since)
    return Answer(addresses=(), looked_up=now, expires=now, error=reason, failing_since=since, source="none")


def from_hosts(addresses: tuple[str, ...], now: datetime) -> Answer:
    """Good until the file changes."""
    return Answer(
        addresses=tuple(sorted(set(addresses))), first=addresses[0], looked_up=now, expires=now, source="hosts"
    )


def family_of(address: str) -> Family:
    return "AAAA" if ":" in address else "A"


def _fresh(
    found: Mapping[Family, Found], failed: Mapping[Family, Reason], before: Answer | None, now: datetime
) -> Answer:
    in_order = tuple(address for family in sorted(found) for address in found[family].addresses)
    stale = _stale(failed, before)
    addresses = tuple(sorted({*in_order, *stale}))
    still_first = before is not None and before.first in addresses
    error: Reason | Literal[""] = next((failed[family_of(address)] for address in stale), "")
    return Answer(
        addresses=addresses,
        first=before.first if before is not None and still_first else in_order[0],
        canonical=next(iter(found.values())).canonical,
        looked_up=now,
        expires=now + min(result.ttl for result in found.values()),
        error=error,
        failing_since=((before.failing_since if before is not None else None) or now) if error else None,
    )


def _stale(failed: Mapping[Family, Reason], before: Answer | None) -> tuple[str, ...]:
    """Of a family that could not be looked up this time, what is known; a family that has no addresses has none."""
    if before is None:
        return ()
    unknown = {family for family, reason in failed.items() if reason != "NoAnswer"}
    return tuple(address for address in before.addresses if family_of(address) in unknown)


def within(ttl: timedelta, floor: timedelta, ceiling: timedelta) -> timedelta:
    return min(max(ttl, floor), ceiling)
