"""Results remembered by the identity of their inputs, from one pass to the next.

Resources and plans are frozen, and the decoder hands out the same object for the same blob; so "these very
objects again" means "the same answer", and finding that out costs no deep hash and no comparison.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_BY_VALUE = frozenset((str, int, bool, type(None)))


T = TypeVar("T")


def together(*parts: T) -> tuple[T, ...]:
    """To be recalled: the very same tuple while its parts are, so that it can be an input itself."""
    return parts


class Memo:
    """One memory for a chain of passes. Not for use by two threads at once.

    >>> memo = Memo()
    >>> memo.recall(render_cluster, cluster)  # computed
    >>> memo.recall(render_cluster, cluster)  # the same object as before
    >>> memo.turn()                           # the pass is over: forget what it did not use
    """

    __slots__ = ("_last", "_now")

    def __init__(self) -> None:
        self._last: dict[tuple[object, ...], tuple[object, tuple[object, ...]]] = {}
        self._now: dict[tuple[object, ...], tuple[object, tuple[object, ...]]] = {}

    def recall(self, function: Callable[P, R], *inputs: P.args, **_none: P.kwargs) -> R:
        """`function(*inputs)`. Inputs are frozen: strings and numbers count by value, all else by identity."""
        # A pass over 10 000 services recalls some 50 000 times: hence one input apart, and no generator.
        if len(inputs) == 1:
            only = inputs[0]
            key: tuple[object, ...] = (function, only if type(only) in _BY_VALUE else id(only))
        else:
            key = (function, *[value if type(value) in _BY_VALUE else id(value) for value in inputs])
        entry = self._now.get(key)
        if entry is None:
            entry = self._last.get(key) or (function(*inputs), inputs)  # type: ignore[call-arg]
            self._now[key] = entry  # keeps the inputs alive, so their ids stay theirs
        return entry[0]  # type: ignore[return-value]

    def recall_named(self, name: tuple[str, ...], compute: Callable[[], R]) -> R:
        """`compute()`, known by `name` alone: for what is cheaper to name than to have, such as a blob by its id."""
        entry = self._now.get(name) or self._last.get(name)
        if entry is None:
            entry = (compute(), ())
        self._now[name] = entry
        return entry[0]  # type: ignore[return-value]

    def turn(self) -> None:
        """Ends a pass: what it did not recall is forgotten."""
        self._last, self._now = self._now, {}
