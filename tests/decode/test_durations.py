"""Durations as text: read exactly, or not at all; written so that reading gives the same again."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd.decode import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5s", 5),
        ("100ms", 0.1),
        ("1.5s", 1.5),
        (".5s", 0.5),
        ("5.s", 5),
        ("1h30m", 5400),
        ("1d", 86400),
        ("86400s", 86400),
        ("1h1m1s1ms", 3661.001),
        ("0s", 0),
        ("10us", 0.00001),
        ("3000ns", 0.000003),
        ("0.1h", 360),
    ],
)
def test_a_duration_is_a_sequence_of_numbers_with_units(text: str, seconds: float):
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text", ["", "5", "s", "-5s", "+5s", "5 s", "5S", "1h 30m", "1e3s", "5sec", "\u0665s", ".s", "1" * 65 + "s"]
)
def test_anything_else_is_no_duration(text: str):
    assert parse_duration(text) == f"{text!r} is not a duration"


def test_nothing_is_rounded():
    assert parse_duration("100ns") == "'100ns' is finer than a microsecond"
    assert parse_duration("0.0000001s") == "'0.0000001s' is finer than a microsecond"
    assert parse_duration("1000.5us500ns") == timedelta(microseconds=1001)


def test_a_duration_that_no_protobuf_can_hold_is_refused():
    assert parse_duration("315576000000s") == timedelta(seconds=315576000000)
    assert parse_duration("315576000001s") == "'315576000001s' is more than 10 000 years"
    assert parse_duration("9" * 60 + "d") == f"{'9' * 60 + 'd'!r} is more than 10 000 years"


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(), "0s"),
        (timedelta(minutes=90), "1h30m"),
        (timedelta(seconds=1.5), "1s500ms"),
        (timedelta(days=1), "24h"),
        (timedelta(microseconds=1), "1us"),
    ],
)
def test_a_duration_is_written_in_whole_numbers(duration: timedelta, text: str):
    assert format_duration(duration) == text


@given(st.timedeltas(min_value=timedelta(), max_value=timedelta(days=3_652_500)))
def test_what_is_written_reads_back_as_the_same(duration: timedelta):
    assert parse_duration(format_duration(duration)) == duration


@given(st.text(max_size=80))
def test_any_text_is_a_duration_or_says_why_not(text: str):
    assert isinstance(parse_duration(text), timedelta | str)
