"""A second condition on what a match asks of already, as extras say it (C-IN-06) -> one more condition on a header."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

import re2

from meshd.plan import HeaderMatch, RouteMatch, TextMatch
from meshd.resources.legacy.string_match import StringMatch

_PSEUDO_HEADERS: Final = {"scheme": ":scheme", "method": ":method", "authority": ":authority"}
_QUERY: Final = r"(?:\?.*)?"
"""What follows the path in `:path`; a condition on the uri does not look at it."""


def with_second_conditions(match: RouteMatch, also: Mapping[str, StringMatch]) -> RouteMatch:
    """`also`: by the keys of a RouteRule's `headers`."""
    headers = (*match.headers, *_conditions(also))
    return replace(match, headers=tuple(sorted(headers, key=lambda header: (header.name, header.invert))))


def _conditions(also: Mapping[str, StringMatch]) -> Iterator[HeaderMatch]:
    for name, match in sorted(also.items()):
        if name == "uri":
            yield HeaderMatch(name=":path", text=_path(match))
        else:
            yield HeaderMatch(name=_PSEUDO_HEADERS.get(name, name.lower()), text=_text(match))


def _path(match: StringMatch) -> TextMatch:
    if match.prefix is not None:
        return TextMatch(kind="prefix", value=match.prefix)
    path = f"(?:{match.regex})" if match.regex is not None else re2.escape(match.exact or "")
    return TextMatch(kind="regex", value=path + _QUERY)


def _text(match: StringMatch) -> TextMatch:
    if match.prefix is not None:
        return TextMatch(kind="prefix", value=match.prefix)
    if match.regex is not None:
        return TextMatch(kind="regex", value=match.regex)
    return TextMatch(kind="exact", value=match.exact or "")
