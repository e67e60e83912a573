"""What could not be read may be what others miss: their problems say so, rather than send somebody astray."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from meshd.problems import Problem, ResourceId

_MISSED: Final = {
    "E-DEST-UNKNOWN": "ServiceEntry",
    "E-EGRESS-NO-GATEWAY": "WorkloadEntry",
    "E-VS-DELEGATE-MISSING": "VirtualService",
    "E-VS-DEST-UNKNOWN": "ServiceEntry",
    "E-VS-GATEWAY-UNKNOWN": "Gateway",
    "E-VS-SUBSET-UNDEFINED": "DestinationRule",
    "E-WE-GROUP-UNKNOWN": "WorkloadGroup",
    "W-DEST-UNKNOWN": "ServiceEntry",
    "W-DR-UNUSED": "ServiceEntry",
    "W-IN-UNRESOLVED": "ServiceEntry",
    "W-POLICY-UNROUTED": "RouteRule",
}
"""The kind that each of these codes says is missing."""
_UNPARSED: Final = frozenset({"E-YAML", "E-LIMIT", "E-DUP-KEY", "E-KIND"})
"""Errors that leave open which objects the file would have had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """The objects of each kind that have an error, with the first of it, and the first file that is none at all."""

    objects: dict[str, dict[ResourceId, Problem]]
    file: Problem | None

    @classmethod
    def of(cls, problems: Iterable[Problem]) -> Unread:
        objects: dict[str, dict[ResourceId, Problem]] = {}
        file = None
        for problem in problems:
            if problem.is_error and problem.at.resource:
                objects.setdefault(problem.at.resource.kind, {}).setdefault(problem.at.resource, problem)
            elif problem.code in _UNPARSED:
                file = file or problem
        return cls(objects=objects, file=file)

    def cause_of(self, problem: Problem) -> Problem | None:
        """The very object that is missed, where the problem names it; else the first that it may be."""
        kind = _MISSED.get(problem.code)
        if kind is None:
            return None
        candidates = self.objects.get(kind, {})
        missed = (each for resource, each in candidates.items() if _names(problem, resource))
        return next(missed, None) or next(iter(candidates.values()), self.file)


def in_the_light_of(problems: Iterable[Problem], unread: Unread) -> Iterator[Problem]:
    """Errors name what may have caused them; warnings that something is missing are left out."""
    for problem in problems:
        cause = unread.cause_of(problem)
        if cause is None:
            yield problem
        elif problem.is_error:
            yield replace(problem, hint=_hint(problem, cause))


def _hint(problem: Problem, cause: Problem) -> str:
    """What is near in spelling is a guess, and none is needed of an object that is there and has an error."""
    resource = cause.at.resource
    if resource and _names(problem, resource):
        return f"{resource} ({cause.at}) has an error"
    what = f"{resource} ({cause.at})" if resource else str(cause.at)
    return problem.hint or f"perhaps because {what} has an error"


def _names(problem: Problem, resource: ResourceId) -> bool:
    return problem.message.partition(";")[0] == f"no {resource}"
