"""Which part of a value is at fault, when all that is known is whether a value is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import reduce
from typing import Any, Final

from meshd.fields import Json

Step = int | str
Steps = tuple[Step, ...]

TYPE: Final = "@type"
"""Without it nobody could tell what a message is: so it stays beside what is looked at."""


def smallest_refused(value: Mapping[str, Json], is_refused: Callable[[Mapping[str, Json]], bool]) -> Steps:
    """The way to the smallest part of a refused value that is refused without its neighbours too.

    A part that is refused whatever it holds (a mapping where text belongs) is not looked into.
    """
    steps: Steps = ()
    while not is_refused(_along(value, steps, _emptied)):
        longer = next((each for each in _further(value, steps) if is_refused(only(value, each))), None)
        if longer is None:
            break
        steps = longer
    return steps


def only(value: Mapping[str, Json], steps: Steps) -> Mapping[str, Json]:
    """The value without the neighbours of what stands along the way; a message keeps its type."""
    kept: Mapping[str, Json] = _along(value, steps, lambda part: part)
    return kept


def _along(value: Any, steps: Steps, end: Callable[[Any], Any]) -> Any:  # noqa: ANN401  (whatever JSON has)
    if not steps:
        return end(value)
    inner = _along(value[steps[0]], steps[1:], end)
    return (inner,) if isinstance(value, tuple) else {**_emptied(value), steps[0]: inner}


def _emptied(part: Any) -> Any:  # noqa: ANN401
    if isinstance(part, tuple):
        return ()
    return {key: part[key] for key in part if key == TYPE} if isinstance(part, Mapping) else part


def _further(value: Any, steps: Steps) -> Iterator[Steps]:  # noqa: ANN401
    part = reduce(lambda whole, step: whole[step], steps, value)
    if isinstance(part, tuple | Mapping):
        yield from ((*steps, step) for step in (range(len(part)) if isinstance(part, tuple) else part))
