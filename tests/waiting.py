"""Waiting for a condition with a deadline: the only way a test waits."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(condition: Callable[[], T], *, seconds: float = 20.0, what: str = "") -> T:
    """The first true value of `condition`; fails the test, saying what was last seen, when the seconds are over.

    Whoever is waited for needs the processor: looking takes a third of the time.
    """
    deadline = time.monotonic() + seconds
    while True:
        before = time.monotonic()
        seen = condition()
        if seen:
            return seen
        now = time.monotonic()
        assert now < deadline, f"waited {seconds:g} s for {what or condition}; last seen: {seen!r}"
        time.sleep(min(0.5, max(0.01, 2 * (now - before))))
