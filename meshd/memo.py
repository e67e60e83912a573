"""Results remembered by the identity of their inputs, from one pass to the next.

Resources and plans are frozen, and the decoder hands out the same object for the same blob; so "these very
objects again" means "the same answer", and finding that out costs no deep hash and no comparison.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

Key = tuple[object, ...]
Entry = tuple[object, tuple[object, ...], tuple[Key, ...]]
"""A result, the inputs it came from, and the keys of the steps that it recalled on the way."""

_BY_VALUE = frozenset((str, int, bool, type(None)))

T = TypeVar("T")


def together(*parts: T) -> tuple[T, ...]:
    """To be recalled: the very same tuple while its parts are, so that it can be an input itself."""
    return parts


class _ByValue:
    """A key that is hashed once: a pass asks for the hash of each key several times, and that of a plan is deep."""

    __slots__ = ("_hash", "_value")

    def __init__(self, value: object) -> None:
        self._value = value
        self._hash = hash(value)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ByValue) and self._value == other._value


class Memo:
    """One memory for a chain of passes. Not for use by two threads at once.

    >>> memo = Memo()
    >>> memo.recall(render_cluster, cluster)  # computed
    >>> memo.recall(render_cluster, cluster)  # the same object as before
    >>> memo.turn()                           # the pass is over: forget what it did not use
    """

    __slots__ = ("_computing", "_last", "_now")

    def __init__(self) -> None:
        self._last: dict[Key, Entry] = {}
        self._now: dict[Key, Entry] = {}
        self._computing: list[list[Key]] = []

    def recall(self, function: Callable[P, R], *inputs: P.args, **_none: P.kwargs) -> R:
        """`function(*inputs)`. Inputs are frozen: strings and numbers count by value, all else by identity.

        A function may be given the memo to recall its own steps: they are kept for as long as its result is.
        """
        # A pass over 10 000 services recalls some 50 000 times: hence one input apart, and no generator.
        if len(inputs) == 1:
            only = inputs[0]
            key: Key = (function, only if type(only) in _BY_VALUE else id(only))
        else:
            key = (function, *[value if type(value) in _BY_VALUE else id(value) for value in inputs])
        entry = self._now.get(key)
        if entry is None:
            entry = self._kept(key) or self._computed(key, partial(function, *inputs), inputs)
        if self._computing:
            self._computing[-1].append(key)
        return entry[0]  # type: ignore[return-value]

    def recall_named(self, name: Key, compute: Callable[[], R]) -> R:
        """`compute()`, known by `name` alone: for what is cheaper to name than to have, such as a blob by its id."""
        entry = self._now.get(name) or self._kept(name) or self._computed(name, compute, ())
        if self._computing:
            self._computing[-1].append(name)
        return entry[0]  # type: ignore[return-value]

    def same(self, value: R) -> R:
        """The equal value that was here before, if there was one: so that who comes next need not think again.

        For what is made anew more often than it changes, and has a hash.
        """
        return self.recall_named((_ByValue(value),), lambda: value)

    def turn(self) -> None:
        """Ends a pass: what it did not recall is forgotten."""
        self._last, self._now = self._now, {}

    def _computed(self, key: Key, compute: Callable[[], object], inputs: tuple[object, ...]) -> Entry:
        steps: list[Key] = []
        self._computing.append(steps)
        try:
            entry = (compute(), inputs, tuple(steps))
        finally:
            self._computing.pop()
        self._now[key] = entry  # keeps the inputs alive, so their ids stay theirs
        return entry

    def _kept(self, key: Key) -> Entry | None:
        """What the last pass knew, with all the steps that led to it: its next change will ask for most of them."""
        entry = self._last.get(key)
        if entry is None:
            return None
        self._now[key] = entry
        steps = list(entry[2])
        while steps:
            step = steps.pop()
            if step not in self._now and step in self._last:
                self._now[step] = self._last[step]
                steps.extend(self._last[step][2])
        return entry
