"""What could not be read may be what others miss: their problems say so, rather than send somebody astray."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from meshd.problems import Problem

_MISSED: Final = {
    "E-VS-DELEGATE-MISSING": "VirtualService",
    "E-VS-DEST-UNKNOWN": "ServiceEntry",
    "E-VS-SUBSET-UNDEFINED": "DestinationRule",
    "W-DR-UNUSED": "ServiceEntry",
}
"""The kind that each of these codes says is missing."""
_UNPARSED: Final = frozenset({"E-YAML", "E-LIMIT", "E-DUP-KEY", "E-KIND"})
"""Errors that leave open which objects the file would have had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """The first object of each kind that has an error, and the first file that is none at all."""

    objects: dict[str, Problem]
    file: Problem | None

    @classmethod
    def of(cls, problems: Iterable[Problem]) -> Unread:
        objects: dict[str, Problem] = {}
        file = None
        for problem in problems:
            if problem.is_error and problem.at.resource:
                objects.setdefault(problem.at.resource.kind, problem)
            elif problem.code in _UNPARSED:
                file = file or problem
        return cls(objects=objects, file=file)

    def cause_of(self, problem: Problem) -> Problem | None:
        kind = _MISSED.get(problem.code)
        return None if kind is None else self.objects.get(kind) or self.file


def in_the_light_of(problems: Iterable[Problem], unread: Unread) -> Iterator[Problem]:
    """Errors name what may have caused them; warnings that something is missing are left out."""
    for problem in problems:
        cause = unread.cause_of(problem)
        if cause is None:
            yield problem
        elif problem.is_error:
            what = f"{cause.at.resource} ({cause.at})" if cause.at.resource else str(cause.at)
            yield replace(problem, hint=problem.hint or f"perhaps because {what} has an error")
