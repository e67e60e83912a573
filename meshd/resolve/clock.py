"""The time, and being called later; tests move theirs by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Timer(Protocol):
    def cancel(self) -> None: ...


class Clock(Protocol):
    """`call_later` counts on a clock that no operator sets back; `now` is the time of day, aware."""

    def now(self) -> datetime: ...

    def call_later(self, delay: timedelta, callback: Callable[[], object]) -> Timer: ...


class SystemClock:
    """For use inside a running event loop."""

    def now(self) -> datetime:
        return datetime.now(UTC)  # noqa: TID251 - this is the clock that is handed in

    def call_later(self, delay: timedelta, callback: Callable[[], object]) -> Timer:
        return asyncio.get_running_loop().call_later(delay.total_seconds(), callback)
