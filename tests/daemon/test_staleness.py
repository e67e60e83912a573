"""What an operator reads of names that cannot be looked up: which, why, since when, and what is used meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from meshd.daemon.staleness import stale_names
from meshd.names import DnsName
from meshd.resolve.answer import Answer

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
NAME = DnsName("db.shop")


def an_answer(**more):
    got = NOW - timedelta(hours=5, minutes=10)
    fields = {"addresses": ("10.0.0.1",), "looked_up": got, "expires": got, "source": "kept", "error": "SERVFAIL"}
    return Answer(**(fields | {"failing_since": NOW - timedelta(hours=5)} | more))


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (an_answer(), "db.shop: SERVFAIL for 5h; 1 address, 5h 10m old, in use"),
        (
            an_answer(addresses=("10.0.0.1", "10.0.0.2"), failing_since=NOW - timedelta(days=3, hours=2, minutes=9)),
            "db.shop: SERVFAIL for 3d 2h; 2 addresses, 5h 10m old, in use",
        ),
        (
            an_answer(addresses=(), source="none", error="NXDOMAIN", failing_since=NOW),
            "db.shop: NXDOMAIN for 0s; no address is known",
        ),
        (
            an_answer(addresses=(), source="expired", error="Timeout"),
            "db.shop: Timeout for 5h; what was known is 5h 10m old and used no longer",
        ),
        (
            an_answer(source="srv", culprit="b.shop"),
            "db.shop, by b.shop: SERVFAIL for 5h; 1 address, 5h 10m old, in use",
        ),
    ],
)
def test_a_name_that_is_not_fresh_is_told_in_a_sentence(answer, text):
    (told,) = stale_names({NAME: answer}, NOW)

    assert told.text == text


def test_the_age_is_that_of_what_was_known_and_nothing_has_none():
    kept, never, expired = (
        stale_names({NAME: answer}, NOW)[0]
        for answer in (
            an_answer(),
            an_answer(addresses=(), source="none"),
            an_answer(addresses=(), source="expired"),
        )
    )

    assert (kept.age, kept.expired, kept.kept) == (18_600.0, False, 1)
    assert (never.age, never.expired) == (None, False)
    assert (expired.age, expired.expired) == (18_600.0, True)


def test_fresh_names_are_not_told():
    assert stale_names({NAME: an_answer(error="", failing_since=None, source="dns")}, NOW) == ()
