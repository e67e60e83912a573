"""What is wrong, where, and what to do about it. Bad input is expected: problems are values, never exceptions."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

Severity = Literal["error", "warning", "note"]
_SEVERITIES: dict[str, Severity] = {"E": "error", "W": "warning", "N": "note", "L": "warning"}

CHANGES: Final = frozenset({"L-WS-OPEN", "N-ALLOW-ANY", "N-EG-DNS", "N-THRESHOLDS", "N-TLS-VERIFY"})
"""Codes by which a conversion of older kinds says that something behaves in another way than it did."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class ResourceId:
    """Which object of the mesh: kind, namespace and name."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Origin:
    """A place in a file of the mesh: 1-based line and column, and the path of the field that stands there.

    An origin of a mapping also knows where each of its given fields stands (`host`), and the entries of those that
    are lists or maps of values (`hosts[1]`, `labels.app`), so that a problem can point at the value that is wrong
    rather than at the object around it.
    """

    file: str
    line: int
    column: int
    path: str = ""
    resource: ResourceId | None = None
    fields: tuple[tuple[str, int, int], ...] = ()

    def at(self, field: str) -> Origin:
        """The place of the value of `field` (as YAML spells it); this place when it is absent."""
        return self._place(field, f"{self.path}.{field}" if self.path else field)

    def item(self, index: int | str) -> Origin:
        """The place of an entry of the list or map at this place, or as near as is known."""
        step = f"[{index}]" if isinstance(index, int) else f".{index}"
        return self._place(step, self.path + step)

    def _place(self, name: str, path: str) -> Origin:
        found = ((line, column) for known, line, column in self.fields if known == name)
        line, column = next(found, (self.line, self.column))
        within = (each for each in self.fields if each[0].startswith((f"{name}[", f"{name}.")))
        fields = tuple((known[len(name) :], line, column) for known, line, column in within)
        return Origin(self.file, line, column, path, self.resource, fields)

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


NOWHERE = Origin("", 0, 0)
"""The origin of what no file asked for: a built-in default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong. `code` is permanent, and its first letter tells the severity.

    That is E, W or N; L is what a conversion loses, which is a warning, as is what it changes.
    """

    code: str
    at: Origin
    message: str
    hint: str = ""

    @property
    def severity(self) -> Severity:
        return "warning" if self.code in CHANGES else _SEVERITIES[self.code[0]]

    @property
    def is_error(self) -> bool:
        return self.code.startswith("E")

    def __str__(self) -> str:
        """`file:line:column: path: what is wrong; what to do [code]`; the parts that are absent are left out."""
        place = f"{self.at}: " if self.at.file else ""
        path = f"{self.at.path}: " if self.at.path else ""
        hint = f"; {self.hint}" if self.hint else ""
        return f"{place}{path}{self.message}{hint} [{self.code}]"

    def as_json(self) -> dict[str, object]:
        """The stable keys of `validate -o json`."""
        resource = self.at.resource
        return {
            "severity": self.severity,
            "code": self.code,
            "message": self.message,
            "hint": self.hint,
            "file": self.at.file,
            "line": self.at.line,
            "column": self.at.column,
            "path": self.at.path,
            "resource": resource and {"kind": resource.kind, "namespace": resource.namespace, "name": resource.name},
        }


Problems = tuple[Problem, ...]


def errors(problems: Iterable[Problem]) -> Problems:
    return tuple(problem for problem in problems if problem.is_error)


def in_order(problems: Iterable[Problem]) -> Problems:
    """By file, line and column, then code; each problem once."""
    return tuple(sorted(set(problems), key=_place))


def _place(problem: Problem) -> tuple[object, ...]:
    """Total: problems of one place would otherwise come in the order of a set, another in each process."""
    at = problem.at
    return (at.file, at.line, at.column, problem.code, at.path, problem.message, problem.hint)


def nearest(word: str, known: Iterable[str]) -> str:
    """`did you mean 'v2'?`, or the empty string when nothing known is near."""
    near = closest(word, known)
    return f"did you mean {near!r}?" if near else ""


def closest(word: str, known: Iterable[str]) -> str | None:
    return next(iter(difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.6)), None)
