"""A clock that is moved by hand, and workloads on loopback that answer as they are told to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any

from meshd.plan import HttpProbe, Probe, TcpProbe


class FakeClock:
    """`advance` wakes whoever is due on the way, in that order, and lets each do what it can before the next."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 1, tzinfo=UTC)
        self._sleepers: list[tuple[datetime, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        return self.time

    async def sleep(self, span: timedelta, /) -> None:
        future = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.time + span, future))
        await future

    async def advance(self, seconds: float) -> None:
        await settled()
        end = self.time + timedelta(seconds=seconds)
        while due := [each for each in self._sleepers if each[0] <= end and not each[1].done()]:
            sleeper = min(due, key=lambda each: each[0])
            self._sleepers.remove(sleeper)
            self.time = max(self.time, sleeper[0])
            sleeper[1].set_result(None)
            await settled()
        self.time = end


async def settled() -> None:
    """All that can go on without a clock or a socket has gone on."""
    for _ in range(20):
        await asyncio.sleep(0)


def on_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    @wraps(test)
    def run(*arguments: Any, **named: Any) -> None:
        asyncio.run(test(*arguments, **named))

    return run


def a_probe(workload: str = "default/shop-1", **given: Any) -> Probe:
    return Probe(workload=workload, **{"action": TcpProbe(host="127.0.0.1", port=1), **given})


def an_http_probe(port: int, **given: Any) -> Probe:
    return a_probe(action=HttpProbe(**{"host": "127.0.0.1", "port": port, **given}))
