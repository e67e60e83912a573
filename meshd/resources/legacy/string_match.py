"""StringMatch: how a text of a request has to be (inventory SM). A text in its place is the whole text (GP-03)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar, Final

import re2

from meshd.fields import Count, Message
from meshd.problems import Origin, Problem
from meshd.resources.string_match import check_regex

_CONSTRUCTS: Final = {
    "(?=": "lookahead",
    "(?!": "negative lookahead",
    "(?<=": "lookbehind",
    "(?<!": "negative lookbehind",
    r"\k": "a backreference",
    r"\c": "a control letter",
    r"\u": "a code point, which is \\x{...} here",
    **{rf"\{digit}": "a backreference" for digit in range(1, 10)},
}
"""What ECMAScript has and RE2 has not, as RE2's complaints end."""

_QUIET: Final = re2.Options()
_QUIET.log_errors = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StringMatch(Message):
    """Whether it may be empty, the field that holds it says."""

    ONEOFS: ClassVar = (("exact", "prefix", "regex"),)
    SHORT: ClassVar[str] = "exact"

    exact: str | None = None
    prefix: str | None = None
    regex: Annotated[str, Count(0, 1024)] | None = None

    @property
    def text(self) -> str | None:
        """What is given, whichever of the three it is."""
        return next((text for text in (self.exact, self.prefix, self.regex) if text is not None), None)

    def check(self) -> Iterator[Problem]:
        """SM-05 and MR-07."""
        if self.text is None:
            message = "a match needs one of exact, prefix or regex"
            yield Problem(code="E-SM-EMPTY", at=self.origin, message=message)
        if self.regex:
            yield from _check_ecma_regex(self.regex, self.origin.at("regex"))


def _check_ecma_regex(pattern: str, at: Origin) -> Iterator[Problem]:
    construct = _beyond_re2(pattern)
    if not construct:
        yield from check_regex(pattern, at)
        return
    yield Problem(
        code="E-REGEX-ECMA",
        at=at,
        message=f"{pattern!r} has {construct}, which Envoy's regular expressions (RE2) have not",
        hint="write the pattern without it",
    )


def _beyond_re2(pattern: str) -> str:
    """The construct of ECMAScript for which RE2 refuses a pattern; empty when it does not, or for another reason."""
    try:
        re2.compile(pattern, _QUIET)
    except re2.error as error:
        text = error.args[0]
        reason = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
        _, _, fragment = reason.rpartition(": ")
        return f"{_CONSTRUCTS[fragment]} ({fragment})" if fragment in _CONSTRUCTS else ""
    return ""
