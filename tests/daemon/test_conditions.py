from __future__ import annotations

from datetime import UTC, datetime, timedelta

from meshd.daemon.conditions import Conditions


def test_since_is_when_the_status_changed_and_only_news_is_told():
    now = datetime(2026, 1, 1, tzinfo=UTC)
    told = []
    conditions = Conditions(lambda: now, told.append)

    conditions.set("Ready", "False", "NoRevision", "nothing was fetched yet")
    now += timedelta(minutes=1)
    conditions.set("Ready", "False", "NoRevision", "still nothing")
    conditions.set("Ready", "False", "RepositoryEmpty")
    now += timedelta(minutes=1)
    conditions.set("Ready", "True", "Serving")

    assert [(condition.status, condition.reason) for condition in told] == [
        ("False", "NoRevision"),
        ("False", "RepositoryEmpty"),
        ("True", "Serving"),
    ]
    assert [condition.since.minute for condition in told] == [0, 0, 2]
