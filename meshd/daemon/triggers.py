"""Why a pass is due. However often and from wherever it is asked for before it begins, it is one pass."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final, Literal

Trigger = Literal["start", "push", "poll", "sync", "reload", "endpoints", "proxy", "again"]

SMALL: Final[frozenset[Trigger]] = frozenset({"endpoints", "proxy"})
"""These do not look at the repository: however often they come, a poll or a retry is due when it was."""


class Triggers:
    """Pulled on the event loop; other threads go through `loop.call_soon_threadsafe`."""

    def __init__(self) -> None:
        self._pulled: set[Trigger] = set()
        self._any = asyncio.Event()

    def pull(self, trigger: Trigger) -> None:
        self._pulled.add(trigger)
        self._any.set()

    async def wait(self, seconds: float) -> frozenset[Trigger]:
        """All that was pulled since the last wait; empty when the seconds passed without any."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._any.wait()
        pulled = frozenset(self._pulled)
        self._pulled.clear()
        self._any.clear()
        return pulled
