"""Where the pass blocks and computes: one thread, one call at a time, so the event loop stays free."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Aside:
    """Resources and plans form no cycles, so nothing is lost by keeping the collector away while they are made."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="pass")

    async def __call__(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        def uncollected() -> R:
            gc.disable()
            try:
                return function(*args, **kwargs)
            finally:
                gc.enable()

        return await asyncio.get_running_loop().run_in_executor(self._thread, uncollected)

    def close(self) -> None:
        """Does not wait: a fetch that hangs is ended by its source."""
        self._thread.shutdown(wait=False, cancel_futures=True)
