"""The daemon's conditions, in the field's words: what is so, since when, and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

Type = Literal[
    "Ready",
    "Reconciling",
    "Stalled",
    "FetchFailed",
    "SourceVerified",
    "EndpointsFresh",
    "ProxiesHealthy",
    "WorkloadsHealthy",
    "Captured",
    "CertificatesValid",
]
Status = Literal["True", "False", "Unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """`since` is when `status` last changed, not when the message did."""

    type: Type
    status: Status
    reason: str
    message: str
    since: datetime


class Conditions:
    """`changed` is told each condition whose status or reason is new."""

    def __init__(self, now: Callable[[], datetime], changed: Callable[[Condition], None]) -> None:
        self._now = now
        self._changed = changed
        self._known: dict[Type, Condition] = {}

    def set(self, kind: Type, status: Status, reason: str, message: str = "") -> None:
        before = self._known.get(kind)
        since = before.since if before and before.status == status else self._now()
        condition = Condition(type=kind, status=status, reason=reason, message=message, since=since)
        self._known[kind] = condition
        if before is None or (before.status, before.reason) != (status, reason):
            self._changed(condition)

    def forget(self, kind: Type) -> None:
        """Nobody asks for it on this host any more."""
        self._known.pop(kind, None)

    def get(self, kind: Type) -> Condition | None:
        return self._known.get(kind)

    def all(self) -> tuple[Condition, ...]:
        """In the order of `Type`: what matters most comes first."""
        return tuple(self._known[kind] for kind in get_args(Type) if kind in self._known)
