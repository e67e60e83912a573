from __future__ import annotations

import asyncio
from types import SimpleNamespace

from meshd.daemon.history import History
from meshd.names import RevisionId
from meshd.source.revision import SourceError

HEAD, PARENT, LOST = (RevisionId(letter * 40) for letter in "abc")


class Source:
    def __init__(self):
        self.asked = []

    def commit(self, revision):
        self.asked.append(revision)
        if revision == LOST:
            raise SourceError("RevisionNotFound", "a force-push took it away")
        return SimpleNamespace(id=revision)

    def ancestors(self, revision):
        return iter([PARENT])


async def here(function, *given):
    return function(*given)


def test_a_commit_that_a_force_push_took_away_is_no_failure():
    history = History(here)

    asyncio.run(history.remember(Source(), [HEAD, LOST]))

    assert history.commit(HEAD).id == HEAD
    assert history.commit(LOST) is None


def test_a_commit_is_read_once_and_kept_as_long_as_it_is_talked_of():
    history, source = History(here), Source()

    for revisions in ([HEAD], [HEAD], [PARENT]):
        asyncio.run(history.remember(source, revisions))

    assert source.asked == [HEAD, PARENT]
    assert history.commit(HEAD) is None


def test_what_is_behind_the_head_is_known_of_that_head_alone():
    history = History(here)

    asyncio.run(history.follow(Source(), HEAD))

    assert history.is_behind("bbbb", HEAD)
    assert not history.is_behind("aaaa", HEAD)
    assert not history.is_behind("bbbb", PARENT)
