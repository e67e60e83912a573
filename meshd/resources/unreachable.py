"""Matches that nothing can reach, because an earlier one takes it all (spec V-9 and the end of 5.2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from meshd.problems import Origin, Problem
from meshd.resources.http_match import HTTPMatchRequest
from meshd.resources.l4_routes import TCPRoute, TLSRoute

Rule = tuple[Origin, tuple[HTTPMatchRequest, ...]]

_NOTHING: Final = HTTPMatchRequest().conditions()


def unreachable(rules: Iterable[Rule]) -> Iterator[Problem]:
    """`rules`: each route's place and matches, in order; a rule after a catch-all is told once, not per match."""
    catch_all: Origin | None = None
    earlier = _Earlier()
    for origin, matches in rules:
        if catch_all:
            yield _problem(origin, f"the rule at line {catch_all.line} takes every request")
            continue
        for match in matches:
            taker = earlier.taker_of(match)
            if taker:
                yield _problem(match.origin, f"the match at line {taker.line} takes all of its requests")
            earlier.add(match)
        takers = [match.origin for match in matches if match.takes_everything]
        catch_all = takers[0] if takers else None if matches else origin


def unreachable_connections(rules: Iterable[TLSRoute | TCPRoute]) -> Iterator[Problem]:
    """The same of rules for connections: after one that asks nothing, or asking what one before has asked."""
    catch_all: Origin | None = None
    asked: dict[tuple[object, ...], Origin] = {}
    for rule in rules:
        if catch_all:
            yield _problem(rule.origin, f"the rule at line {catch_all.line} takes every connection", "connection")
            continue
        for match in rule.match:
            taker = asked.setdefault(match.conditions(), match.origin)
            if taker is not match.origin:
                yield _problem(match.origin, f"the match at line {taker.line} asks the same", "connection")
        takers = [match.origin for match in rule.match if not any(match.conditions())]
        catch_all = takers[0] if takers else None if rule.match else rule.origin


class _Earlier:
    """The matches seen so far: by what they ask, and their prefixes by what they ask beside the path."""

    __slots__ = ("_prefixes", "_same")

    def __init__(self) -> None:
        self._same: dict[tuple[object, ...], Origin] = {}
        self._prefixes: dict[tuple[object, ...], dict[str, Origin]] = {}

    def add(self, match: HTTPMatchRequest) -> None:
        self._same.setdefault((match.path_prefix, str(match.uri), *_beside_path(match)), match.origin)
        if match.path_prefix is not None:
            self._prefixes.setdefault(_beside_path(match), {}).setdefault(match.path_prefix, match.origin)

    def taker_of(self, match: HTTPMatchRequest) -> Origin | None:
        """An equal match, or one whose prefix this one's prefix or exact path begins with, and that asks no more."""
        if same := self._same.get((match.path_prefix, str(match.uri), *_beside_path(match))):
            return same
        exact = match.uri.exact if match.uri else None
        path = exact if match.path_prefix is None else match.path_prefix
        if path is None:
            return None
        takers = (
            prefixes[path[:end]]
            for asked in (_beside_path(match), (match.ignore_uri_case, *_NOTHING))
            if (prefixes := self._prefixes.get(asked))
            for end in range(len(path) + 1)
            if path[:end] in prefixes
        )
        return next(takers, None)


def _beside_path(match: HTTPMatchRequest) -> tuple[object, ...]:
    return (match.ignore_uri_case, *match.conditions())


def _problem(at: Origin, why: str, what: str = "request") -> Problem:
    message = f"no {what} gets here: {why}"
    return Problem(code="W-VS-UNREACHABLE", at=at, message=message, hint="put the narrower one first")
