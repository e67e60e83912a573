"""Where decoders put what is wrong: with its place, its path and the object it is part of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from meshd.documents import Node
from meshd.problems import Origin, Problem, ResourceId, nearest

WRONG: Final = object()
"""What a decoder answers for a value that it has reported as wrong."""

_MOST: Final = 1_000
"""Problems of one file; nobody reads more, and a hostile file could ask for millions."""

_LONGEST: Final = 400
"""A message repeats a value of the file only so far."""


class Report:
    """The problems of one file, in the order in which they are found."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.resource: ResourceId | None = None
        self.problems: list[Problem] = []
        self.errors = 0

    def add(self, code: str, node: Node, path: str, message: str, hint: str = "") -> None:
        self.add_at(code, self.origin(node, path), message, hint)

    def add_at(self, code: str, at: Origin, message: str, hint: str = "") -> None:
        self.collect([Problem(code=code, at=at, message=_clip(message), hint=_clip(hint))])

    def wrong(self, code: str, node: Node, path: str, message: str, hint: str = "") -> object:
        """Reports an error, and answers what the decoder is to answer."""
        self.add(code, node, path, message, hint)
        return WRONG

    def collect(self, problems: Iterable[Problem]) -> None:
        for problem in problems:
            self.errors += problem.is_error
            if len(self.problems) < _MOST:
                self.problems.append(problem)
            elif len(self.problems) == _MOST:
                message = f"more than {_MOST} problems in this file; the rest is left out"
                self.problems.append(Problem(code="E-LIMIT", at=Origin(self.file, 1, 1), message=message))

    def origin(self, node: Node, path: str, fields: tuple[tuple[str, int, int], ...] = ()) -> Origin:
        return Origin(self.file, node.line, node.column, path, self.resource, fields)

    def nearest(self, word: str, known: Iterable[str]) -> str:
        """A guess at what was meant; none for what is no word, or when nobody would read it any more."""
        if len(word) > 64 or len(self.problems) > _MOST:
            return ""
        names = list(known)
        return next((f"did you mean {n!r}?" for n in names if n.casefold() == word.casefold()), nearest(word, names))


def _clip(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
