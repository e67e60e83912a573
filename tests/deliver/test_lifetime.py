"""How far ahead the end of something is told."""

from __future__ import annotations

from datetime import timedelta

import pytest

from meshd.deliver.lifetime import Lifetime
from tests.deliver.clock import now

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


def ending_in(left: timedelta, whole: timedelta = 365 * DAY, *, short: bool = False) -> Lifetime:
    return Lifetime(begins=now() + left - whole, ends=now() + left, short=short)


@pytest.mark.parametrize(
    ("left", "stage"),
    [
        (31 * DAY, "ok"),
        (30 * DAY, "ok"),
        (30 * DAY - HOUR, "expires"),
        (7 * DAY, "expires"),
        (7 * DAY - HOUR, "urgent"),
        (HOUR, "urgent"),
        (timedelta(), "expired"),
        (-DAY, "expired"),
    ],
)
def test_thirty_and_seven_days_ahead(left: timedelta, stage: str):
    assert ending_in(left).stage(now()) == stage
    assert ending_in(left, 10 * DAY if left < 10 * DAY else 40 * DAY).stage(now()) == stage


@pytest.mark.parametrize(
    ("left", "stage"), [(9 * HOUR, "ok"), (7 * HOUR, "expires"), (2 * HOUR, "urgent"), (-HOUR, "expired")]
)
def test_what_lives_for_a_day_is_not_always_about_to_end(left: timedelta, stage: str):
    assert ending_in(left, DAY).stage(now()) == stage


def test_a_list_of_revocations_is_renewed_before_its_month_is_over():
    assert ending_in(20 * DAY, 30 * DAY, short=True).stage(now()) == "ok"
    assert ending_in(9 * DAY, 30 * DAY, short=True).stage(now()) == "expires"


def test_what_does_not_hold_yet_and_what_never_ends():
    assert ending_in(20 * DAY, 10 * DAY).stage(now()) == "early"
    assert Lifetime(begins=now(), ends=None).stage(now()) == "ok"
