"""SRV records and where their targets are -> one answer, with a port, weight and priority for each address (RFC 2782).

Records and targets are looked up apart, and each keeps what it knew: one target that fails is no more than that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from meshd.names import DnsName
from meshd.plan import SrvTarget
from meshd.resolve.answer import Answer, Trouble
from meshd.resolve.merging import failing, first_of
from meshd.resolve.reading import Failed, FoundRecords, SrvRecord

MOST_ENDPOINTS: Final = 1024
"""Of one SRV name, whose targets may have hundreds of addresses each; of more, those that come first."""

Known = Mapping[DnsName, Answer | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What the SRV records of a name say, when that was looked up, and why it could not be looked up since then."""

    records: tuple[SrvRecord, ...]
    looked_up: datetime
    expires: datetime
    error: Trouble = ""
    failing_since: datetime | None = None

    @property
    def targets(self) -> frozenset[DnsName]:
        return frozenset(record.target for record in self.records)


def found_service(result: FoundRecords | Failed, before: Service | None, now: datetime) -> Service:
    """As with addresses, a failure keeps what was known. That there is no such service is no failure to find it."""
    if isinstance(result, FoundRecords):
        return Service(records=result.records, looked_up=now, expires=now + result.ttl)
    since = (before.failing_since if before is not None else None) or now
    if before is None or result.reason == "NoService":
        return Service(records=(), looked_up=now, expires=now, error=result.reason, failing_since=since)
    return replace(before, error=result.reason, failing_since=since)


def remembered_service(answer: Answer) -> Service | None:
    """The records that were behind an answer of an earlier run."""
    records = {
        SrvRecord(priority=each.priority, target=each.target, port=each.port, weight=each.weight)
        for each in answer.targets
    }
    if not records:
        return None
    return Service(records=tuple(sorted(records)), looked_up=answer.looked_up, expires=answer.expires)


def composed(service: Service, known: Known, before: Answer | None, now: datetime, *, pending: bool) -> Answer | None:
    """`pending`: some targets were not tried yet. Until then what was known stays beside, and nothing is said to fail.

    None when there is nothing to tell yet.
    """
    if service.error == "NoService":
        gone = Answer(addresses=(), looked_up=now, expires=now, source="srv")
        return replace(gone, error=service.error, failing_since=service.failing_since)
    beside = before if pending and before is not None and before.targets else None
    targets = {*_targets(service, known), *(beside.targets if beside is not None else ())}
    if targets:
        parts = [answer for answer in (beside, *known.values()) if answer is not None and answer.addresses]
        return _answer(service, known, before, tuple(sorted(targets)[:MOST_ENDPOINTS]), parts)
    if service.error:
        return failing(before, service.error, now)
    culprit, its = next(_failing(service, known), ("", None))
    return before if pending or its is None or not its.error else failing(before, its.error, now, culprit)


def _targets(service: Service, known: Known) -> Iterator[SrvTarget]:
    for record in service.records:
        answer = known[record.target]
        for ip in answer.addresses if answer is not None else ():
            yield SrvTarget(
                priority=record.priority, target=record.target, ip=ip, port=record.port, weight=record.weight
            )


def _answer(
    service: Service, known: Known, before: Answer | None, targets: tuple[SrvTarget, ...], parts: list[Answer]
) -> Answer:
    """As old as the oldest of the parts."""
    culprit, its = next(_failing(service, known), ("", None))
    broken = service if service.error or its is None else its
    return Answer(
        addresses=tuple(sorted({target.ip for target in targets})),
        targets=targets,
        first=_first(targets, known, before),
        looked_up=min([service.looked_up, *(part.looked_up for part in parts)]),
        expires=min([service.expires, *(part.expires for part in parts)]),
        error=broken.error,
        failing_since=broken.failing_since,
        culprit="" if service.error else culprit,
        source="kept" if service.error else "srv",
    )


def _failing(service: Service, known: Known) -> Iterator[tuple[DnsName, Answer]]:
    for name in sorted(service.targets):
        answer = known[name]
        if answer is not None and answer.error:
            yield name, answer


def _first(targets: tuple[SrvTarget, ...], known: Known, before: Answer | None) -> str:
    """Of those that come first, the heaviest."""
    leading = [target for target in targets if target.priority == targets[0].priority]
    heaviest = max(leading, key=lambda target: target.weight)
    own = known.get(heaviest.target)
    first = own.first if own is not None and own.first else heaviest.ip
    return first_of(before, tuple(target.ip for target in leading), first)
