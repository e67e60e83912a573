"""A plan as text."""

from __future__ import annotations

from datetime import timedelta

import pytest

from meshd.compiler.show import duration


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (timedelta(), "0s"),
        (timedelta(hours=24), "24h"),
        (timedelta(seconds=90), "90s"),
        (timedelta(minutes=30), "30m"),
        (timedelta(milliseconds=1500), "1500ms"),
    ],
)
def test_a_duration_is_written_in_the_largest_unit_without_fraction(value: timedelta, text: str):
    assert duration(value) == text
