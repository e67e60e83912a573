"""What is wrong with what became of older objects is told at these, but by a path of today's kinds.

Problems and the older objects come in; problems go out, with as much of their paths as the older objects have.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from meshd.decode.messages import snake_case
from meshd.fields import Message
from meshd.problems import Problem
from meshd.resources.legacy import LegacyResource

_STEP: Final = re.compile(r"\[\d+\]|\.?[^.\[]+")
_SPEC: Final = "spec"


def at_older_places(problems: Iterable[Problem], older: Iterable[LegacyResource]) -> Iterator[Problem]:
    by_id = {each.id: each for each in older}
    for problem in problems:
        resource = by_id.get(problem.at.resource) if problem.at.resource and by_id else None
        yield replace(problem, at=replace(problem.at, path=_path(resource, problem.at.path))) if resource else problem


def _path(resource: LegacyResource, path: str) -> str:
    first, *steps = _STEP.findall(path) or [path]
    if first != _SPEC:
        return path
    value: object = resource
    kept = [first]
    for step in steps:
        if not _is_within(value, step):
            break
        value = _within(value, step)
        kept.append(step)
    return "".join(kept)


def _is_within(value: object, step: str) -> bool:
    if isinstance(value, Message):
        return step.startswith(".") and hasattr(value, snake_case(step[1:]))
    if isinstance(value, tuple):
        return step.startswith("[") and int(step[1:-1]) < len(value)
    return isinstance(value, Mapping) and step[1:] in value


def _within(value: object, step: str) -> object:
    if isinstance(value, Message):
        return getattr(value, snake_case(step[1:]))
    if isinstance(value, tuple):
        return value[int(step[1:-1])]
    assert isinstance(value, Mapping)
    return value[step[1:]]
