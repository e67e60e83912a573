"""A fixed time, and a way to write tests of one event loop."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime


def now() -> datetime:
    return datetime(2026, 11, 22, 7, 0, tzinfo=UTC)


def on_a_loop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """The test on an event loop of its own, and a minute at most."""

    @functools.wraps(test)
    def run(**fixtures: object) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(60):
                await test(**fixtures)

        asyncio.run(bounded())

    return run
