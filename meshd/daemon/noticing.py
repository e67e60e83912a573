"""Pushes to a repository on this machine, noticed at once: its refs are watched, also once it was replaced."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import structlog

from meshd.daemon.aside import Aside
from meshd.source.watch import Watch, watch

log = structlog.get_logger()


class Noticing:
    """`pushed` is called on the event loop that keeps it up."""

    def __init__(self, aside: Aside, pushed: Callable[[], object]) -> None:
        self._aside = aside
        self._pushed = pushed
        self._watch: Watch | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.ailment = ""

    @property
    def alive(self) -> bool:
        return self._watch is not None and self._watch.alive

    async def keep_up(self, repository: Callable[[], Path | None]) -> None:
        """`repository`: where it is, if it is on this machine. One that was replaced or came back is watched again."""
        self._loop = asyncio.get_running_loop()
        self._watch = await self._aside(self._renewed, repository)
        ailment = self._watch.ailment if self._watch is not None else ""
        if ailment and ailment != self.ailment:
            log.warning("watch.failed", error=ailment, next="pushes are noticed by polling, later")
        self.ailment = ailment

    async def stop(self) -> None:
        watching, self._watch = self._watch, None
        if watching is not None:
            await asyncio.to_thread(watching.stop)

    def _renewed(self, repository: Callable[[], Path | None]) -> Watch | None:
        if self._watch is not None:
            self._watch.renew()
            return self._watch
        directory = repository()
        return watch(directory, self._tell) if directory is not None else None

    def _tell(self) -> None:
        """Called on the watch's own thread."""
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed: meshd is ending
                self._loop.call_soon_threadsafe(self._pushed)
