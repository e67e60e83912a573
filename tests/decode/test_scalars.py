"""Which scalars are taken for what, and which are refused because parsers disagree about them."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

import pytest
import yaml

from meshd.decode.scalars import reading
from meshd.fields import Between, Count

AMBIGUOUS = (
    *("y", "Y", "n", "N", "yes", "Yes", "YES", "no", "No", "NO", "on", "On", "ON", "off", "Off", "OFF"),
    *(
        "010",
        "08",
        "-012",
        "0o10",
        "0b11",
        "0x1F",
        "1_000",
        "+5",
        "12:30",
        "1:30:00",
        "190:20:30.15",
        "11:22:33:44:55:06",
    ),
    *("1e3", "12e4567", "1.5e3", "1_0.5", ".5", "5.", "+1.5", ".inf", "-.INF", ".nan"),
)


@pytest.mark.parametrize("text", AMBIGUOUS)
def test_a_scalar_that_parsers_read_differently_is_refused_whatever_is_needed(value, text: str):
    for needed in (str, int, float, bool, timedelta, Literal["yes", "010"]):
        (said,) = value(needed, text)
        assert said.startswith(f"1:3: it: {text!r} is read differently by different YAML parsers; ")
        assert said.endswith(" [E-SCALAR]")


@pytest.mark.parametrize("text", AMBIGUOUS)
def test_a_quoted_scalar_is_always_text(value, text: str):
    assert value(str, f"'{text}'") == text


@pytest.mark.parametrize(
    "text",
    [
        *("reviews", "5s", "v1", "10.0.0.7", "10.0.0.0/8", "127.0.0.1:80", "fe80::1", "2001:db8::7", "a:b", "1.2.3"),
        *(
            "2024-01-31",
            "2018-01-01T00:00:00Z",
            "1a",
            ".",
            "...x",
            "_1",
            "yes!",
            "None",
            "x-y",
            "12:60:00",
            "=",
            "0x",
            "1e",
        ),
    ],
)
def test_what_no_parser_takes_for_anything_else_is_text(value, text: str):
    assert value(str, text) == text


def test_what_is_read_as_text_number_or_boolean_is_what_pyyaml_reads_too():
    words = (
        "5",
        "-5",
        "0",
        "1.5",
        "-0.25",
        "1.5e+3",
        "true",
        "False",
        "TRUE",
        "~",
        "null",
        "abc",
        "10.0.0.7",
        "a: b"[:1],
    )
    named = {int: "integer", float: "number", bool: "boolean", type(None): "null", str: "text"}

    assert [reading(word) for word in words] == [named[type(yaml.load(word, yaml.CSafeLoader))] for word in words]


@pytest.mark.parametrize(
    ("needed", "text", "expected"),
    [
        (int, "5", 5),
        (int, "-0", 0),
        (int, "80.0", 80),
        (int, "8.0e+1", 80),
        (float, "5", 5.0),
        (float, "0.5", 0.5),
        (float, "1.5e+3", 1500.0),
        (bool, "true", True),
        (bool, "FALSE", False),
        (str, '""', ""),
        (str, "'5'", "5"),
        (timedelta, "5s", timedelta(seconds=5)),
        (timedelta, "'5s'", timedelta(seconds=5)),
        (Literal["A", "B"], "B", "B"),
        (Annotated[int, Between(1, 9)], "9", 9),
        (int | None, "9", 9),
    ],
)
def test_a_value_of_the_right_type_is_that_value(value, needed: object, text: str, expected: object):
    decoded = value(needed, text)

    assert decoded == expected
    assert type(decoded) is type(expected)


@pytest.mark.parametrize(
    ("needed", "text", "said"),
    [
        (str, "1", 'it: needs text, not a number; quote it: "1" [E-TYPE]'),
        (str, "1.10", 'it: needs text, not a decimal number; quote it: "1.10" [E-TYPE]'),
        (str, "true", 'it: needs text, not a boolean; quote it: "true" [E-TYPE]'),
        (str, "[a]", "it: needs text, not a list [E-TYPE]"),
        (str, "{a: b}", "it: needs text, not a mapping [E-TYPE]"),
        (int, "'80'", "it: needs a whole number, not text; remove the quotes [E-TYPE]"),
        (int, "http", "it: needs a whole number, not text [E-TYPE]"),
        (int, "1.5", "it: needs a whole number, not a decimal number [E-TYPE]"),
        (int, "1.0e+300", "it: 1.0e+300… is too large a number [E-VALUE]"),
        (int, "true", "it: needs a whole number, not a boolean [E-TYPE]"),
        (int, "9" * 5000, "it: 99999999999999999999… is too large a number [E-VALUE]"),
        (float, "'0.5'", "it: needs a number, not text; remove the quotes [E-TYPE]"),
        (float, "1.0e+999", "it: 1.0e+999… is too large a number [E-VALUE]"),
        (float, "[]", "it: needs a number, not a list [E-TYPE]"),
        (bool, "'true'", "it: needs true or false, not text; write true without quotes [E-TYPE]"),
        (bool, "'No'", "it: needs true or false, not text; write false without quotes [E-TYPE]"),
        (bool, "1", "it: needs true or false, not a number [E-TYPE]"),
        (bool, "maybe", "it: needs true or false, not text [E-TYPE]"),
        (bool, "{}", "it: needs true or false, not a mapping [E-TYPE]"),
        (timedelta, "5", "it: a duration needs a unit; write 5s [E-TYPE]"),
        (timedelta, "true", "it: needs a duration such as 5s, not a boolean [E-TYPE]"),
        (timedelta, "[5s]", "it: needs a duration such as 5s, not a list [E-TYPE]"),
        (
            timedelta,
            "5 s",
            "it: '5 s' is not a duration; write numbers with the units ms, s, m, h or d, such as 1h30m [E-VALUE]",
        ),
        (
            Literal["RANDOM", "ROUND_ROBIN"],
            "random",
            "it: 'random' is not known here; did you mean 'RANDOM'? [E-VALUE]",
        ),
        (Literal["A", "B", "C"], "quite", "it: 'quite' is not known here; use A, B or C [E-VALUE]"),
        (Literal["A", "B"], "1", "it: needs a word, not a number; use A or B [E-TYPE]"),
        (Annotated[int, Between(1, 9)], "10", "it: 10 is more than 9 [E-VALUE]"),
        (Annotated[str, Count(1)], '""', "it: must not be empty [E-VALUE]"),
    ],
)
def test_a_value_of_the_wrong_type_says_what_is_needed(value, needed: object, text: str, said: str):
    assert value(needed, text) == [f"1:3: {said}"]


@pytest.mark.parametrize(
    ("needed", "text", "hint"),
    [
        (str, "yes", 'quote it: "yes"'),
        (bool, "yes", "write true"),
        (bool, "off", "write false"),
        (bool, "010", "write true or false"),
        (int, "010", "write 8 if it is octal, 10 if not"),
        (int, "08", "write 8"),
        (int, "007", "write 7"),
        (int, "1_000", "write 1000"),
        (int, "+5", "write 5"),
        (int, "0x1F", "write 31"),
        (int, "0o10", "write 8"),
        (int, "0b11", "write 3"),
        (float, ".5", "write 0.5"),
        (float, "1_000.5", "write 1000.5"),
        (float, "1e3", "write 1000"),
        (float, "12e4567", "write it as a plain decimal number"),
        (float, "1:30", "write it as a plain decimal number"),
        (timedelta, "12:30", "write a duration with its units, such as 1h30m"),
    ],
)
def test_the_hint_says_how_to_write_what_is_meant(value, needed: object, text: str, hint: str):
    (said,) = value(needed, text)

    assert f"; {hint} [E-SCALAR]" in said
