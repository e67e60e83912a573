"""Where the pass blocks and computes: one thread, one call at a time, so the event loop stays free."""

from __future__ import annotations

import asyncio
import gc
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_A_WHOLE_MESH: Final = 20_000
"""So many more objects than before a call are no small change. A host of 100 services has five times as many."""


class Aside:
    """A daemon thread, unlike an executor's: meshd ends when it is told to, whatever libgit2 is waiting for."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        threading.Thread(target=self._work, name="pass", daemon=True).start()

    async def __call__(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._calls.put(partial(_call, future, partial(function, *args, **kwargs)))
        return await future

    def close(self) -> None:
        """Does not wait: a fetch that hangs is ended by its source."""
        self._calls.put(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()


def _call(future: asyncio.Future[R], function: Callable[[], R]) -> None:
    if future.cancelled():
        return
    # Resources and plans form no cycles, so nothing is lost by keeping the collector away while they are made.
    gc.disable()
    try:
        tell = partial(future.set_result, function())
    except BaseException as error:  # noqa: BLE001  (it belongs to who awaits it)
        tell = partial(future.set_exception, error)
    finally:
        if gc.get_count()[0] > _A_WHOLE_MESH:
            gc.freeze()  # it stays, and the collector would go through all of it again and again
        gc.enable()
    with suppress(RuntimeError):  # the loop is closed: meshd is ending, and nobody awaits this any more
        future.get_loop().call_soon_threadsafe(_unless_cancelled, future, tell)


def _unless_cancelled(future: asyncio.Future[R], tell: Callable[[], None]) -> None:
    if not future.cancelled():
        tell()
