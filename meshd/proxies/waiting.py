"""What the supervisors wait for: work that must not be left half done, and the end of a process."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from typing import Any, TypeVar

from meshd.proxies.process import Process, open_handle

R = TypeVar("R")


async def to_its_end(work: Coroutine[Any, Any, R]) -> R:
    """Whole: who is cancelled meanwhile waits, and keeps its lock that long.

    Neither a thread nor a job of systemd ends with who waits for it. Without this, who stops the proxies next finds
    none, and then one comes up; and a bootstrap that does not come up would stay the one to start with.
    """
    working = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait({working})
        if not working.cancelled():
            working.exception()  # of no interest to whoever is ending; unasked for, asyncio would log it
        raise


async def ended(process: Process) -> None:
    """A pidfd becomes readable when its process ends, though it is no child of ours."""
    descriptor = open_handle(process)
    if descriptor is None:
        return
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, over.set)
    try:
        await over.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
