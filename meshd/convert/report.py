"""What a conversion has to say: problems like all others, and how much each of them matters to who migrates."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, Literal

from meshd.names import ServiceHost
from meshd.problems import CHANGES, Origin, Problem, Problems, in_order
from meshd.registry.did_you_mean import Known

Verdict = Literal["error", "loss", "changed", "warning", "note"]
"""loss: YAML cannot say it, extras do; changed: it behaves in another way, as stated; note: a default is written."""

VERDICTS: Final[tuple[Verdict, ...]] = ("error", "loss", "changed", "warning", "note")
"""In the order in which to read them."""


def verdict(problem: Problem) -> Verdict:
    if problem.code in CHANGES:
        return "changed"
    if problem.code.startswith("L"):
        return "loss"
    return problem.severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`once`: it holds for a revision as a whole. `near`: a host that is not there; the hint is one that is."""

    problem: Problem
    once: bool = False
    near: ServiceHost | None = None


Findings = tuple[Finding, ...]


class Report:
    """Collects what one part of a conversion finds."""

    __slots__ = ("_found",)

    def __init__(self) -> None:
        self._found: list[Finding] = []

    def add(self, code: str, at: Origin, message: str, hint: str = "", *, near: ServiceHost | None = None) -> None:
        self._found.append(Finding(problem=Problem(code=code, at=at, message=message, hint=hint), near=near))

    def once(self, code: str, at: Origin, message: str, hint: str = "") -> None:
        """Told of the first object that it is true of."""
        self._found.append(Finding(problem=Problem(code=code, at=at, message=message, hint=hint), once=True))

    def findings(self) -> Findings:
        return tuple(self._found)


def told(found: Iterable[Finding], known: Known) -> Problems:
    """`found`: by all parts, in their order."""
    problems: list[Problem] = []
    before: set[str] = set()
    for each in found:
        if each.once and each.problem.code in before:
            continue
        if each.once:
            before.add(each.problem.code)
        problem = each.problem
        problems.append(replace(problem, hint=_near(each.near, known)) if each.near else problem)
    return in_order(problems)


def _near(host: ServiceHost, known: Known) -> str:
    """Only `service` gives a name without a dot: it is taken as it stands (C-HOST-01)."""
    return known.near(host) if "." in host else f"service is a full name; for a service of the mesh, write name: {host}"
