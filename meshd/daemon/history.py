"""What status and waiters ask about revisions, remembered while nobody reads the repository."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final, Protocol

from meshd.daemon.status import Commit
from meshd.names import RevisionId
from meshd.reconcile import Aside
from meshd.source.revision import SourceError

_PASSED_OVER: Final = 200
"""How many ancestors of the head are remembered, for who waits for one of them."""


class Source(Protocol):
    def commit(self, revision: RevisionId, /) -> Commit: ...
    def ancestors(self, revision: RevisionId, /) -> Iterator[RevisionId]: ...


class History:
    def __init__(self, aside: Aside) -> None:
        self._aside = aside
        self._commits: dict[RevisionId, Commit] = {}
        self._line: tuple[RevisionId, ...] = ()

    async def remember(self, source: Source, revisions: Iterable[RevisionId]) -> None:
        """Of these, and of no others. Of one that a force-push took away and that is in force here, the id is all."""
        found = {revision: await self._commit(source, revision) for revision in revisions}
        self._commits = {revision: commit for revision, commit in found.items() if commit is not None}

    async def follow(self, source: Source, head: RevisionId) -> None:
        if self._line[:1] != (head,):
            self._line = await self._aside(lambda: (head, *islice(source.ancestors(head), _PASSED_OVER)))

    def commit(self, revision: RevisionId) -> Commit | None:
        return self._commits.get(revision)

    def is_behind(self, revision: str, head: RevisionId) -> bool:
        """Whether it is among the recent ancestors of the head: then no later pass will make it active."""
        return self._line[:1] == (head,) and any(each.startswith(revision) for each in self._line[1:])

    async def _commit(self, source: Source, revision: RevisionId) -> Commit | None:
        if revision in self._commits:
            return self._commits[revision]
        try:
            return await self._aside(source.commit, revision)
        except SourceError:
            return None
