"""Scalars come in; text, numbers, booleans, durations and words of closed sets go out. Doubt is refused."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Final

from meshd.decode.durations import parse_duration
from meshd.decode.report import WRONG, Report
from meshd.documents import Mapping, Node, Scalar

Decoder = Callable[[Node, str, Report], object]
"""From a node and its path to the value; or to `WRONG`, when what is wrong has been reported."""

# How YAML 1.1 (PyYAML, Go) and YAML 1.2 (its core and its JSON schema) read a plain scalar. What all of them read
# alike is null, boolean, integer or number; what none of them takes for anything else is text. The rest is ambiguous.
# Dates are text here: the parsers of this field leave them as written. So are addresses, of course.
_READING: Final = re.compile(
    r"""
      (?P<null>    | ~ | null | Null | NULL )
    | (?P<boolean> true | True | TRUE | false | False | FALSE )
    | (?P<integer> -?(?:0|[1-9][0-9]*) )
    | (?P<number>  -?(?:0|[1-9][0-9]*)\.[0-9]+(?:[eE][-+][0-9]+)? )
    | (?P<ambiguous>
          y | Y | n | N | yes | Yes | YES | no | No | NO | on | On | ON | off | Off | OFF
        | [-+]?[0-9][0-9_]*                                       # 010, 08, 1_000, +5
        | [-+]?0b[01_]+ | [-+]?0o[0-7_]+ | [-+]?0x[0-9a-fA-F_]+
        | [-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?        # 12:30 is 750 to base 60
        | [-+]?[0-9][0-9_]*(?:\.[0-9_]*)?[eE][-+]?[0-9]+          # 12e4567
        | [-+]?[0-9][0-9_]*\.[0-9_]* | [-+]?\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?
        | [-+]?\.(?:inf|Inf|INF) | \.(?:nan|NaN|NAN)
      )
    """,
    re.VERBOSE,
)
_TRUE: Final = frozenset({"y", "yes", "on", "true"})
_FALSE: Final = frozenset({"n", "no", "off", "false"})
_MOST_DIGITS: Final = 20
_EXACT: Final = 2**53
"""Below it a float is the number that was written."""


_WORDS: Final = {
    "ambiguous": "a single value",
    "boolean": "a boolean",
    "integer": "a number",
    "number": "a decimal number",
}


def reading(text: str) -> str:
    """How a plain scalar is read: null, boolean, integer, number, text or ambiguous."""
    match = _READING.fullmatch(text)
    return match.lastgroup or "null" if match else "text"


def describe(node: Node) -> str:
    """What a node is, in a message: `needs a list, not text`."""
    if type(node) is not Scalar:
        return "a mapping" if type(node) is Mapping else "a list"
    kind = reading(node.text) if node.plain else "text"
    return _WORDS.get(kind, kind)


# --- text -----------------------------------------------------------------------------------------------------


def text(node: Node, path: str, report: Report) -> object:
    if type(node) is not Scalar:
        return report.wrong("E-TYPE", node, path, f"needs text, not {describe(node)}")
    if not node.plain or not (match := _READING.fullmatch(node.text)):
        return node.text
    quoted = f'quote it: "{node.text}"'
    if match.lastgroup == "ambiguous":
        return _ambiguous(node, path, report, quoted)
    return report.wrong("E-TYPE", node, path, f"needs text, not {describe(node)}", quoted)


def _ambiguous(node: Scalar, path: str, report: Report, hint: str) -> object:
    return report.wrong("E-SCALAR", node, path, f"{node.text!r} is read differently by different YAML parsers", hint)


def one_of(values: tuple[str, ...]) -> Decoder:
    """One of a closed set of words."""

    def decode(node: Node, path: str, report: Report) -> object:
        if type(node) is Scalar and node.plain and reading(node.text) in {"integer", "number"}:
            message = f"needs a word, not {describe(node)}"  # the numbers of an enum are no part of its API
            return report.wrong("E-TYPE", node, path, message, f"use {alternatives(values)}")
        word = text(node, path, report)
        if word is WRONG or word in values:
            return word
        hint = report.nearest(str(word), values) or f"use {alternatives(values)}"
        return report.wrong("E-VALUE", node, path, f"{word!r} is not known here", hint)

    return decode


def one_of_any_case(values: tuple[str, ...]) -> Decoder:
    """One of a closed set of words in upper case, however it is written."""
    exactly = one_of(values)

    def decode(node: Node, path: str, report: Report) -> object:
        upper = node._replace(text=node.text.upper()) if type(node) is Scalar else node
        return upper.text if type(upper) is Scalar and upper.text in values else exactly(node, path, report)

    return decode


def word_or_number(node: Node, path: str, report: Report) -> object:
    """For what has both a name and a number."""
    is_number = type(node) is Scalar and node.plain and reading(node.text) == "integer"
    return integer(node, path, report) if is_number else text(node, path, report)


def alternatives(words: Iterable[str]) -> str:
    """`a`, `a or b`, `a, b or c`."""
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last


# --- numbers and booleans -------------------------------------------------------------------------------------


def integer(node: Node, path: str, report: Report) -> object:
    if type(node) is Scalar and node.plain:
        kind = reading(node.text)
        if kind == "ambiguous":
            return _ambiguous(node, path, report, _decimal(node.text))
        if kind == "integer":
            return _sized(int, node, path, report)
        if kind == "number" and float(node.text).is_integer():  # 80.0 is 80 to JSON, and so to Kubernetes
            return _sized(_whole, node, path, report)
    return _not_a_number(node, path, report, "a whole number")


def number(node: Node, path: str, report: Report) -> object:
    if type(node) is Scalar and node.plain:
        kind = reading(node.text)
        if kind == "ambiguous":
            return _ambiguous(node, path, report, _decimal(node.text))
        if kind in {"integer", "number"}:
            return _sized(float, node, path, report)
    return _not_a_number(node, path, report, "a number")


def _whole(text: str) -> float:
    value = float(text)
    return int(value) if abs(value) < _EXACT else math.inf


def _sized(make: Callable[[str], float], node: Scalar, path: str, report: Report) -> object:
    if len(node.text) > _MOST_DIGITS or not math.isfinite(value := make(node.text)):
        return report.wrong("E-VALUE", node, path, f"{node.text[:_MOST_DIGITS]}… is too large a number")
    return value


def _not_a_number(node: Node, path: str, report: Report, needed: str) -> object:
    unquoted = type(node) is Scalar and not node.plain and reading(node.text) in {"integer", "number"}
    hint = "remove the quotes" if unquoted else ""
    return report.wrong("E-TYPE", node, path, f"needs {needed}, not {describe(node)}", hint)


def _decimal(text: str) -> str:
    """How to write what an ambiguous number may mean."""
    digits = text.replace("_", "").lstrip("+")
    if re.fullmatch(r"0[0-7]{1,12}", digits) and int(digits, 8) != int(digits):
        return f"write {int(digits, 8)} if it is octal, {int(digits)} if not"
    for prefix, base in (("0x", 16), ("0o", 8), ("0b", 2)):
        if digits.startswith(prefix) and len(digits) <= _MOST_DIGITS:
            return f"write {int(digits[2:], base)}"
    if re.fullmatch(r"-?[0-9]{1,18}", digits):
        return f"write {int(digits)}"
    if (
        re.fullmatch(r"-?[0-9]{0,15}\.?[0-9]{0,15}(?:[eE][-+]?[0-9]{1,2})?", digits)
        and 1e-4 <= abs(float(digits)) < 1e15
    ):
        return f"write {float(digits):.15g}"
    return "write it as a plain decimal number"


def boolean(node: Node, path: str, report: Report) -> object:
    if type(node) is Scalar:
        word = node.text.lower()
        kind = reading(node.text) if node.plain else "text"
        if kind == "boolean":
            return word == "true"
        meant = "true" if word in _TRUE else "false" if word in _FALSE else ""
        if kind == "ambiguous":
            return _ambiguous(node, path, report, f"write {meant or 'true or false'}")
        if meant:
            return report.wrong("E-TYPE", node, path, "needs true or false, not text", f"write {meant} without quotes")
    return report.wrong("E-TYPE", node, path, f"needs true or false, not {describe(node)}")


# --- durations ------------------------------------------------------------------------------------------------


def duration(node: Node, path: str, report: Report) -> object:
    if type(node) is not Scalar:
        return report.wrong("E-TYPE", node, path, f"needs a duration such as 5s, not {describe(node)}")
    kind = reading(node.text) if node.plain else "text"
    if kind == "ambiguous":
        return _ambiguous(node, path, report, "write a duration with its units, such as 1h30m")
    if kind in {"integer", "number"}:
        return report.wrong("E-TYPE", node, path, "a duration needs a unit", f"write {node.text[:_MOST_DIGITS]}s")
    if kind != "text":
        return report.wrong("E-TYPE", node, path, f"needs a duration such as 5s, not {describe(node)}")
    value = parse_duration(node.text)
    if isinstance(value, timedelta):
        return value
    return report.wrong("E-VALUE", node, path, value, "write numbers with the units ms, s, m, h or d, such as 1h30m")
