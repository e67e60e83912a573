"""Answers of DNS that are not fresh: why, since when, and what is in use meanwhile, in one sentence each."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from meshd.daemon.status import StaleName
from meshd.names import DnsName
from meshd.resolve.answer import Answer

_UNITS: Final = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def stale_names(answers: Mapping[DnsName, Answer], now: datetime) -> tuple[StaleName, ...]:
    return tuple(_stale(name, answer, now) for name, answer in sorted(answers.items()) if answer.error)


def _stale(name: DnsName, answer: Answer, now: datetime) -> StaleName:
    known = answer.source not in {"none", "srv"} or bool(answer.addresses)
    return StaleName(
        name=name,
        error=answer.error,
        culprit=answer.culprit,
        kept=len(answer.addresses),
        age=(now - answer.looked_up).total_seconds() if known else None,
        since=answer.failing_since,
        expired=answer.source == "expired",
        text=_sentence(name, answer, now),
    )


def _sentence(name: DnsName, answer: Answer, now: datetime) -> str:
    who = f"{name}, by {answer.culprit}" if answer.culprit else name
    since = f" for {_span(now - answer.failing_since)}" if answer.failing_since is not None else ""
    return f"{who}: {answer.error}{since}; {_in_use(answer, now)}"


def _in_use(answer: Answer, now: datetime) -> str:
    age = _span(now - answer.looked_up)
    if answer.source == "expired":
        return f"what was known is {age} old and used no longer"
    count = len(answer.addresses)
    if not count:
        return "no address is known"
    return f"{count} address{'' if count == 1 else 'es'}, {age} old, in use"


def _span(time: timedelta) -> str:
    """In its two largest units: `3h 5m`."""
    left = max(0, int(time.total_seconds()))
    parts: list[str] = []
    for size, unit in _UNITS:
        if left >= size or (unit == "s" and not parts):
            parts.append(f"{left // size}{unit}")
        left %= size
    return " ".join(parts[:2])
