"""The daemon's one loop: a trigger, a pass, and what is told of it. Never two passes at once."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import structlog

from meshd.daemon.triggers import SMALL, Trigger, Triggers

log = structlog.get_logger()

FIRST_RETRY: Final = timedelta(seconds=1)


@dataclass(slots=True)
class Passes:
    """Runs `work` whenever a trigger is pulled, or the poll is due; after a failure sooner, but ever less often.

    `work` returns whether the world let it do its job. `begun` and `done` count passes.
    """

    work: Callable[[frozenset[Trigger]], Awaitable[bool]]
    poll: Callable[[], timedelta]
    triggers: Triggers = field(default_factory=Triggers)
    begun: int = 0
    done: int = 0
    failures: int = 0
    _began: float = 0.0
    _due: float = 0.0
    _crash: str = ""
    _finished: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def run(self) -> None:
        """Until cancelled."""
        self._due = time.monotonic() + self.pause().total_seconds()
        while True:
            pulled = await self.triggers.wait(self._due - time.monotonic())
            await self._one(pulled if time.monotonic() < self._due else pulled | {"poll"})

    async def asked(self, trigger: Trigger) -> None:
        """Returns when a pass that began after this call is over."""
        next_one = self.begun + 1
        self.triggers.pull(trigger)
        await self.until(lambda: self.done >= next_one)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Looks at the condition now, after every pass, and when a pass has something to tell before its end."""
        async with self._finished:
            await self._finished.wait_for(condition)

    async def tell(self) -> None:
        """Lets those who wait look again."""
        async with self._finished:
            self._finished.notify_all()

    def age(self) -> timedelta:
        """How long the present pass has been running; zero between passes."""
        return timedelta(seconds=time.monotonic() - self._began) if self.begun > self.done else timedelta()

    def pause(self) -> timedelta:
        if not self.failures:
            return self.poll()
        backoff: timedelta = FIRST_RETRY * 2 ** min(self.failures - 1, 20) * random.uniform(0.8, 1.2)  # noqa: S311
        return min(backoff, max(self.poll(), FIRST_RETRY))

    async def _one(self, pulled: frozenset[Trigger]) -> None:
        self.begun += 1
        self._began = time.monotonic()
        good = await self._worked(pulled)
        self.done = self.begun
        if not good or not pulled <= SMALL:
            self.failures = 0 if good else self.failures + 1
            self._due = time.monotonic() + self.pause().total_seconds()
        await self.tell()

    async def _worked(self, pulled: frozenset[Trigger]) -> bool:
        try:
            good = await self.work(pulled)
        except Exception as error:
            # A fault that stays is one event, not one per retry.
            if repr(error) != self._crash:
                log.exception("pass.crashed", triggers=sorted(pulled), next="please report this; meshd tries again")
            self._crash = repr(error)
            return False
        self._crash = ""
        return good
