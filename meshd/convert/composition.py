"""Two matches -> one that asks for both (C-IN-06), and the rewrite that then is meant (C-IN-07)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import re2

from meshd.resources.answers import HTTPRewrite, RegexRewrite
from meshd.resources.http_match import HTTPMatchRequest
from meshd.resources.legacy.string_match import StringMatch as OldMatch
from meshd.resources.string_match import StringMatch

_PROPERTIES: Final = ("uri", "scheme", "method", "authority")


@dataclass(frozen=True, slots=True, kw_only=True)
class Both:
    """`also`: conditions for which the match has no room, since it asks something of the same already."""

    match: HTTPMatchRequest
    also: Mapping[str, OldMatch] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Texts:
    """What remains of two conditions on one text; the second where no one condition says both."""

    first: StringMatch
    second: StringMatch | None = None


def both(one: HTTPMatchRequest, other: HTTPMatchRequest) -> Both | None:
    """None where no request fits both. `one` keeps its port, its place and its source."""
    texts: dict[str, _Texts] = {}
    for name, first, second in _pairs(one, other):
        found = _both_texts(first, second)
        if found is None:
            return None
        texts[name] = found
    headers = {name: found.first for name, found in texts.items() if name not in _PROPERTIES}
    properties = {name: texts[name].first for name in _PROPERTIES if name in texts}
    match = replace(one, headers=headers, **properties)  # type: ignore[arg-type]
    also = {name: _old(found.second) for name, found in sorted(texts.items()) if found.second}
    return Both(match=match, also=also)


def _pairs(
    one: HTTPMatchRequest, other: HTTPMatchRequest
) -> Iterator[tuple[str, StringMatch | None, StringMatch | None]]:
    for name in _PROPERTIES:
        first, second = getattr(one, name), getattr(other, name)
        if first or second:
            yield name, first, second
    for name in sorted(one.headers.keys() | other.headers.keys()):
        yield name, one.headers.get(name), other.headers.get(name)


def _both_texts(one: StringMatch | None, other: StringMatch | None) -> _Texts | None:
    if one is None or other is None:
        given = one or other
        assert given is not None
        return _Texts(first=given)
    if one == other:
        return _Texts(first=one)
    if one.exact is not None or other.exact is not None:
        exact, rest = (one, other) if one.exact is not None else (other, one)
        return _Texts(first=exact) if _takes(rest, exact.exact or "") else None
    if one.prefix is not None and other.prefix is not None:
        shorter, longer = sorted((one, other), key=lambda match: len(match.prefix or ""))
        return _Texts(first=longer) if (longer.prefix or "").startswith(shorter.prefix or "") else None
    regex, rest = (one, other) if one.regex is not None else (other, one)
    return _Texts(first=regex, second=rest)


def _takes(match: StringMatch, text: str) -> bool:
    if match.exact is not None:
        return match.exact == text
    if match.prefix is not None:
        return text.startswith(match.prefix)
    return re2.fullmatch(match.regex or "", text) is not None


def _old(match: StringMatch | None) -> OldMatch:
    assert match is not None
    return OldMatch(exact=match.exact, prefix=match.prefix, regex=match.regex)


def corrected(
    rewrite: HTTPRewrite | None, rule: HTTPMatchRequest | None, composed: HTTPMatchRequest
) -> HTTPRewrite | None:
    """C-IN-07: of the prefix that the rule rewrites, what the composed match asks for beyond it is kept."""
    prefix = (rule.uri.prefix if rule.uri else "/") if rule else "/"
    uri = composed.uri
    if rewrite is None or rewrite.uri is None or prefix is None or uri is None:
        return rewrite
    if uri.regex is not None:
        return _of_prefix(rewrite, prefix)
    asked = (uri.exact if uri.exact is not None else uri.prefix) or ""
    return replace(rewrite, uri=rewrite.uri + asked[len(prefix) :]) if asked.startswith(prefix) else rewrite


def _of_prefix(rewrite: HTTPRewrite, prefix: str) -> HTTPRewrite:
    """Where the match is a regex, a `uri` would be the whole path."""
    literal = (rewrite.uri or "").replace("\\", r"\\")
    pattern = re2.escape(prefix).replace(r"\/", "/")
    by_regex = RegexRewrite(match=f"^{pattern}", rewrite=literal, origin=rewrite.origin.at("uri"))
    return replace(rewrite, uri=None, uri_regex_rewrite=by_regex)
