"""A coroutine that is ended by signals, and then tidies up undisturbed."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import TypeVar

T = TypeVar("T")


async def until_told(work: Coroutine[None, None, T]) -> T:
    """The first SIGINT, SIGTERM or SIGHUP cancels `work`; more of them do not cut short its tidying up."""
    loop = asyncio.get_running_loop()
    working = asyncio.create_task(work)
    told = False

    def end() -> None:
        nonlocal told
        if not told:
            told = True
            working.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, end)
    return await working
