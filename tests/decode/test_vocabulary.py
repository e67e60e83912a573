"""What an annotation may say of a field beside its type: codes of its own, short forms, words in any case, JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import pytest

from meshd.decode.json_values import plain_json
from meshd.documents import Mapping, Scalar, Sequence
from meshd.documents.json_text import json_node
from meshd.fields import AnyCase, Between, Coded, Json, Message, Needed


@dataclass(frozen=True, slots=True, kw_only=True)
class Short(Message):
    SHORT: ClassVar[str] = "exact"

    exact: str = ""
    prefix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coding(Message):
    size: Annotated[int, Coded("E-SIZE", Between(1, 9)), Needed("E-NO-SIZE")]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{size: 1}", Coding(size=1)),
        ("{size: 10}", ["1:10: it.size: 10 is more than 9 [E-SIZE]"]),
        ("{}", ["1:3: it.size: is required [E-NO-SIZE]"]),
        ("{size: null}", ["1:3: it.size: is required [E-NO-SIZE]"]),
    ],
)
def test_a_wrong_value_and_its_absence_may_have_codes_of_their_own(value: Any, text: str, found: object):
    assert value(Coding, text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a", Short(exact="a")),
        ("{exact: a}", Short(exact="a")),
        ("{prefix: a}", Short(prefix="a")),
        ("1", ['1:3: it.exact: needs text, not a number; quote it: "1" [E-TYPE]']),
        ("[a]", ["1:3: it: needs a mapping, not a list; its fields are exact, prefix [E-TYPE]"]),
    ],
)
def test_a_single_value_may_stand_for_a_mapping(value: Any, text: str, found: object):
    assert value(Short, text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("HTTP", "HTTP"),
        ("http", "HTTP"),
        ("Http", "HTTP"),
        ("htp", ["1:3: it: 'htp' is not known here; use HTTP or TCP [E-VALUE]"]),
    ],
)
def test_a_word_in_any_case(value: Any, text: str, found: object):
    assert value(Annotated[Literal["HTTP", "TCP"], AnyCase()], text) == found


@pytest.mark.parametrize(("text", "found"), [("14", 14), ("'14'", "14"), ("OK", "OK"), ("-1", -1)])
def test_a_word_or_a_number(value: Any, text: str, found: object):
    assert value(str | int, text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{a: [1, 1.5, true, null, x, '1'], b: {}}", {"a": (1, 1.5, True, None, "x", "1"), "b": {}}),
        ("~", None),
        (
            "{a: {b: yes}}",
            ["""1:11: it.a.b: 'yes' is read differently by different YAML parsers; quote it: "yes" [E-SCALAR]"""],
        ),
        ("[010]", ["1:4: it[0]: '010' is read differently by different YAML parsers; quote it: \"010\" [E-SCALAR]"]),
    ],
)
def test_any_json(value: Any, text: str, found: object):
    assert value(Json, text) == found


def test_json_is_plain_again_for_those_who_write_it():
    assert plain_json(Json({"a": (1, {"b": ()})})) == {"a": [1, {"b": []}]}


def test_a_json_text_is_a_node_without_a_place():
    node = json_node('{"a": [1.50, "1", true, null, "\\u00e9"]}')

    written = (("1.50", True), ("1", False), ("true", True), ("null", True), ("é", False))
    items = tuple(Scalar(text, plain, 0, 0) for text, plain in written)
    assert node == Mapping(((Scalar("a", False, 0, 0), Sequence(items, 0, 0)),), 0, 0)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Expecting value"),
        ("{", "Expecting property name"),
        ("{'a': 1}", "Expecting property name"),
        ("a: 1", "Expecting value"),
        ("[1,]", "Expecting value"),
        ('{"a": 1, "a": 1}', "'a' is given twice"),
        ("NaN", "NaN is no number"),
        ("[-Infinity]", "-Infinity is no number"),
        (66 * "[" + 66 * "]", "more than 64 levels deep"),
        (1_000_000 * "[", "too deep"),
    ],
)
def test_what_is_no_json_is_a_value_error(text: str, reason: str):
    with pytest.raises(ValueError, match=reason):
        json_node(text)
