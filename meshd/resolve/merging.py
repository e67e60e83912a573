"""What a look-up makes of the answer of before: fresh addresses replace old ones, a failure never empties a name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from meshd.resolve.answer import Answer, Reason, Trouble, kept, most_telling, nothing
from meshd.resolve.lookup import Result
from meshd.resolve.reading import Failed, Found
from meshd.resolve.settings import Family


def merged(
    results: Mapping[Family, Result], before: Answer | None, now: datetime, max_staleness: timedelta | None = None
) -> Answer:
    found = {family: result for family, result in results.items() if isinstance(result, Found)}
    failed = {family: result.reason for family, result in results.items() if isinstance(result, Failed)}
    if found:
        return _fresh(found, failed, before, now, max_staleness)
    return failing(before, most_telling(failed.values()), now)


def failing(before: Answer | None, reason: Reason, now: datetime, culprit: str = "") -> Answer:
    since = began(before, now)
    if before is None or before.source == "none":
        return nothing(reason, since, now, culprit)
    if before.source == "expired":
        return replace(before, error=reason, failing_since=since, culprit=culprit)
    return kept(before, reason, since, culprit) if before.addresses else nothing(reason, since, now, culprit)


def began(before: Answer | None, now: datetime) -> datetime:
    """When look-ups began to fail, if the present one does."""
    return (before.failing_since if before is not None else None) or now


def from_hosts(addresses: tuple[str, ...], now: datetime) -> Answer:
    """Good until the file changes."""
    return Answer(
        addresses=tuple(sorted(set(addresses))), first=addresses[0], looked_up=now, expires=now, source="hosts"
    )


def volunteered(found: Found, families: tuple[Family, ...], now: datetime) -> Answer | None:
    """What the answer to another question tells of a name."""
    told = tuple(address for address in found.addresses if family_of(address) in families)
    return _fresh({"A": replace(found, addresses=told)}, {}, None, now, None) if told else None


def family_of(address: str) -> Family:
    return "AAAA" if ":" in address else "A"


def first_of(before: Answer | None, among: tuple[str, ...], otherwise: str) -> str:
    return before.first if before is not None and before.first in among else otherwise


def _fresh(
    found: Mapping[Family, Found],
    failed: Mapping[Family, Reason],
    before: Answer | None,
    now: datetime,
    max_staleness: timedelta | None,
) -> Answer:
    in_order = tuple(address for family in sorted(found) for address in found[family].addresses)
    stale = _stale(failed, before, now, max_staleness)
    addresses = tuple(sorted({*in_order, *stale}))
    error: Trouble = next((failed[family_of(address)] for address in stale), "")
    return Answer(
        addresses=addresses,
        first=first_of(before, addresses, in_order[0]),
        canonical=next(iter(found.values())).canonical,
        looked_up=now,
        expires=now + min(result.ttl for result in found.values()),
        error=error,
        failing_since=began(before, now) if error else None,
    )


def _stale(
    failed: Mapping[Family, Reason], before: Answer | None, now: datetime, max_staleness: timedelta | None
) -> tuple[str, ...]:
    """Of a family that could not be looked up this time, what is known; a family that has no addresses has none."""
    if before is None or (max_staleness is not None and now - began(before, now) > max_staleness):
        return ()
    unknown = {family for family, reason in failed.items() if reason != "NoAnswer"}
    return tuple(address for address in before.addresses if family_of(address) in unknown)


def within(ttl: timedelta, floor: timedelta, ceiling: timedelta) -> timedelta:
    return min(max(ttl, floor), ceiling)
