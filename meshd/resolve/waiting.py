"""Who waits for names to be tried a first time: not longer than a deadline, and for each name once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import timedelta

from meshd.names import DnsName
from meshd.resolve.clock import Clock


class Waiting:
    """A name that was waited for in vain holds up nobody any more, however many come after."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._groups: list[tuple[set[DnsName], asyncio.Event]] = []
        self._in_vain: set[DnsName] = set()

    async def until_tried(self, names: Iterable[DnsName], deadline: timedelta) -> None:
        left, over = set(names) - self._in_vain, asyncio.Event()
        if not left:
            return
        timer = self._clock.call_later(deadline, over.set)
        self._groups.append((left, over))
        try:
            await over.wait()
            self._in_vain |= left
        finally:
            timer.cancel()
            self._groups.remove((left, over))

    def tried(self, name: DnsName) -> None:
        """Or nobody wants it any more."""
        self._in_vain.discard(name)
        for left, over in self._groups:
            left.discard(name)
            if not left:
                over.set()
