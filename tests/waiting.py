"""Waiting for a condition with a deadline: the only way a test waits."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(condition: Callable[[], T], *, seconds: float = 20.0, what: str = "") -> T:
    """The first true value of `condition`; fails the test, saying what was last seen, when the seconds are over."""
    deadline = time.monotonic() + seconds
    while True:
        seen = condition()
        if seen:
            return seen
        assert time.monotonic() < deadline, f"waited {seconds:g} s for {what or condition}; last seen: {seen!r}"
        time.sleep(0.01)
