"""Plan matches -> Envoy's matchers of text, header, query and path."""

from __future__ import annotations

from typing import Final, assert_never

from envoy.config.route.v3 import route_components_pb2 as route
from envoy.type.matcher.v3.regex_pb2 import RegexMatcher
from envoy.type.matcher.v3.string_pb2 import StringMatcher

from meshd.envoy.scalars import boolean, share
from meshd.plan import HeaderMatch, QueryMatch, RouteMatch, TextMatch

_ALL: Final = 1_000_000


def regex(pattern: str) -> RegexMatcher:
    return RegexMatcher(regex=pattern)


def string_matcher(text: TextMatch) -> StringMatcher:
    match text.kind:
        case "exact":
            return StringMatcher(exact=text.value)
        case "prefix":
            return StringMatcher(prefix=text.value)
        case "regex":
            return StringMatcher(safe_regex=regex(text.value))
        case _ as unknown:
            assert_never(unknown)


def header_matcher(match: HeaderMatch) -> route.HeaderMatcher:
    if match.text is None:
        return route.HeaderMatcher(name=match.name, present_match=True, invert_match=match.invert)
    return route.HeaderMatcher(
        name=match.name,
        string_match=string_matcher(match.text),
        invert_match=match.invert,
        # Envoy's inverted match of a missing header is false; ours is true (spec V-35).
        treat_missing_header_as_empty=match.invert,
    )


def query_matcher(match: QueryMatch) -> route.QueryParameterMatcher:
    if match.text is None:
        return route.QueryParameterMatcher(name=match.name, present_match=True)
    return route.QueryParameterMatcher(name=match.name, string_match=string_matcher(match.text))


def route_match(match: RouteMatch) -> route.RouteMatch:
    headers = [header_matcher(header) for header in match.headers]
    query = [query_matcher(parameter) for parameter in match.query]
    case_sensitive = boolean(False) if match.ignore_case else None
    asked = {
        "headers": headers,
        "query_parameters": query,
        "runtime_fraction": share(match.millionths) if match.millionths < _ALL else None,
    }
    path = match.path.value
    match match.path.kind:
        case "exact":
            return route.RouteMatch(path=path, case_sensitive=case_sensitive, **asked)
        case "prefix":
            return route.RouteMatch(prefix=path, case_sensitive=case_sensitive, **asked)
        case "regex":  # its case is written in the pattern
            return route.RouteMatch(safe_regex=regex(path), **asked)
        case _ as unknown:
            assert_never(unknown)
