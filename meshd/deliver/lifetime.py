"""From when until when something holds, and what time it is -> whether that has to be told, and how urgently."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

Stage = Literal["ok", "early", "expires", "urgent", "expired"]
"""`early`: it does not hold yet. `expires`: within a month; `urgent`: within a week."""

_MONTH: Final = timedelta(days=30)
_WEEK: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetime:
    """`short`: it is renewed far more often than once in a month, so that a month ahead would be always."""

    begins: datetime
    ends: datetime | None
    short: bool = False

    def stage(self, now: datetime) -> Stage:
        if now < self.begins:
            return "early"
        if self.ends is None:
            return "ok"
        if now >= self.ends:
            return "expired"
        left, (notice, alarm) = self.ends - now, self._ahead(self.ends - self.begins)
        return "urgent" if left < alarm else "expires" if left < notice else "ok"

    def _ahead(self, whole: timedelta) -> tuple[timedelta, timedelta]:
        """What lives for a week or less is renewed by a machine: it is late when two thirds of it are over."""
        if self.short or whole <= _WEEK:
            return min(_MONTH, whole / 3), min(_WEEK, whole / 10)
        return _MONTH, _WEEK
