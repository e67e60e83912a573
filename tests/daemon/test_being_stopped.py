"""SIGTERM, at whatever moment."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path

from meshd.config import AgentConfig, RepositoryConfig
from meshd.daemon import main


def test_a_signal_that_comes_just_when_a_timeout_is_over_is_not_lost(monkeypatch):
    """Asyncio ends what takes too long by cancelling the task for a moment; a poll that is due is such an end."""

    async def serve(*_: object) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(0):
                await _told_to_stop_when_it_ends()
        await asyncio.Event().wait()

    monkeypatch.setattr(main, "serve", serve)

    config = AgentConfig(repository=RepositoryConfig(url="/mesh.git"))

    assert asyncio.run(_ended(main.until_told(Path("meshd.yaml"), config)))


async def _ended(running: Coroutine[None, None, None]) -> bool:
    task = asyncio.create_task(running)
    done, _ = await asyncio.wait({task}, timeout=10)
    task.cancel()
    return task in done


async def _told_to_stop_when_it_ends() -> None:
    try:
        await asyncio.Event().wait()
    finally:
        os.kill(os.getpid(), signal.SIGTERM)
        for _ in range(100):
            await asyncio.sleep(0)
