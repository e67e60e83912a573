"""What a conversion has to say: problems like all others, and how much each of them matters to who migrates."""

from __future__ import annotations

from typing import Final, Literal

from meshd.problems import CHANGES, Origin, Problem, Problems, in_order

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


class Report:
    """Collects. What holds for a revision as a whole is told `once`, of the first object that it is true of."""

    __slots__ = ("_problems", "_told")

    def __init__(self) -> None:
        self._problems: list[Problem] = []
        self._told: set[str] = set()

    def add(self, code: str, at: Origin, message: str, hint: str = "") -> None:
        self._problems.append(Problem(code=code, at=at, message=message, hint=hint))

    def once(self, code: str, at: Origin, message: str, hint: str = "") -> None:
        if code not in self._told:
            self._told.add(code)
            self.add(code, at, message, hint)

    def problems(self) -> Problems:
        return in_order(self._problems)
