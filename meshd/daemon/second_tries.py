"""Revisions that no proxy refused, but that were not acknowledged in time -> when each is tried again.

A busy machine gets over it by itself, and a revision that is too much for it is not tried all the time: it waits twice
as long after each try, so a good one comes into force within twice the time for which the machine was busy.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from meshd.names import RevisionId
from meshd.problems import Problems

FIRST: Final = timedelta(seconds=5)
LONGEST: Final = timedelta(hours=1)
_REMEMBERED: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class _Late:
    tries: int
    due: float
    problems: Problems


@dataclass(slots=True)
class SecondTries:
    """`clock`: in seconds, from any moment on. Nothing is kept across restarts: after one it is tried at once."""

    clock: Callable[[], float] = time.monotonic
    _late: dict[RevisionId, _Late] = field(default_factory=dict)

    def put_off(self, revision: RevisionId, problems: Problems) -> None:
        tries = self.tries(revision) + 1
        wait = min(FIRST * 2 ** min(tries - 1, 20), LONGEST)
        self._late.pop(revision, None)
        self._late[revision] = _Late(tries=tries, due=self.clock() + wait.total_seconds(), problems=problems)
        while len(self._late) > _REMEMBERED:
            del self._late[next(iter(self._late))]

    def forget(self, revision: RevisionId) -> None:
        """It came into force, or somebody asks for it at once."""
        self._late.pop(revision, None)

    def tries(self, revision: RevisionId) -> int:
        """So far, in vain."""
        late = self._late.get(revision)
        return late.tries if late else 0

    def is_due(self, revision: RevisionId) -> bool:
        late = self._late.get(revision)
        return late is not None and self.clock() >= late.due

    def problems(self, revision: RevisionId) -> Problems | None:
        """None: it is not late."""
        late = self._late.get(revision)
        return late.problems if late else None
