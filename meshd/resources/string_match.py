"""StringMatch: exact, prefix or regex (spec 5.3); and RE2, Envoy's own dialect of regular expressions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar, Final

import re2

from meshd.fields import Count, Later, Message
from meshd.problems import Origin, Problem
from meshd.resources.finding import doubtful, invalid

_ESCAPE: Final = re.compile(r"\\(.?)", re.DOTALL)

_QUIET: Final = re2.Options()
_QUIET.log_errors = False  # RE2 would write to stderr what we return


@dataclass(frozen=True, slots=True, kw_only=True)
class StringMatch(Message):
    """None of the three is allowed: what that means, the field that holds it says, and it runs `check_text`."""

    ONEOFS: ClassVar = (("exact", "prefix", "regex"),)

    exact: str | None = None
    prefix: str | None = None
    regex: Annotated[str, Count(1, 1024)] | None = None
    suffix: Later = None

    @property
    def is_empty(self) -> bool:
        return self.exact is None and self.prefix is None and self.regex is None


def takes_empty(match: StringMatch) -> bool:
    """Whether an empty value fits. For a match that `check_text` passed."""
    if match.regex is not None:
        return re2.fullmatch(match.regex, "", _QUIET) is not None
    return match.exact == "" or match.prefix == ""


def check_text(match: StringMatch | None, *, empty_prefix: bool = False, star: bool = False) -> Iterator[Problem]:
    """`empty_prefix`: a prefix may be empty, as that of a uri; `star`: the regex may be `*`, as in withoutHeaders."""
    if match is None:
        return
    if match.prefix == "" and not empty_prefix:
        yield invalid(match.origin.at("prefix"), "an empty prefix matches everything", "leave it out")
    if match.regex is not None and not (star and match.regex == "*"):
        yield from check_regex(match.regex, match.origin.at("regex"))


def check_regex(pattern: str, at: Origin) -> Iterator[Problem]:
    try:
        re2.compile(pattern, _QUIET)
    except re2.error as error:
        hint = "write '.*' to match everything" if pattern == "*" else "Envoy's regular expressions are RE2"
        yield invalid(at, f"{pattern!r} is not a regular expression: {reason(error)}", hint)


def check_substitution(substitution: str, pattern: str, at: Origin) -> Iterator[Problem]:
    """RE2 leaves a text as it is when what is to be put in is more than the pattern has to give."""
    escaped = _ESCAPE.findall(substitution)
    if any(letter != "\\" and not ("0" <= letter <= "9") for letter in escaped):
        yield doubtful(
            at, f"nothing is rewritten: in {substitution!r} a '\\' stands before neither a digit nor another"
        )
    try:
        groups = re2.compile(pattern, _QUIET).groups
    except re2.error:
        return  # told at the pattern
    for group in sorted({letter for letter in escaped if letter.isdecimal() and int(letter) > groups}):
        yield doubtful(at, f"nothing is rewritten: the pattern has no group \\{group}, its groups are {groups}")


def reason(error: re2.error) -> str:
    text = error.args[0]
    return text.decode(errors="replace") if isinstance(text, bytes) else str(text)
