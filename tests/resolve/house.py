"""A resolver on a clock that is moved by hand, asking a real DNS server on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import wraps
from pathlib import Path

from meshd.names import DnsName
from meshd.resolve.answer import Answer
from meshd.resolve.resolver import Resolver
from meshd.resolve.settings import ResolverSettings
from tests.dns_server import DnsServer


@dataclass(slots=True, eq=False)
class FakeTimer:
    due: datetime
    callback: Callable[[], object]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


class FakeClock:
    def __init__(self) -> None:
        self.time = datetime(2026, 1, 1, tzinfo=UTC)
        self.timers: list[FakeTimer] = []

    def now(self) -> datetime:
        return self.time

    def call_later(self, delay: timedelta, callback: Callable[[], object]) -> FakeTimer:
        timer = FakeTimer(self.time + delay, callback)
        self.timers.append(timer)
        return timer

    def advance(self, delay: timedelta) -> None:
        """Calls what is due on the way, in the order in which it is."""
        until = self.time + delay
        while due := [timer for timer in self.timers if not timer.cancelled and timer.due <= until]:
            timer = min(due, key=lambda timer: timer.due)
            self.timers.remove(timer)
            self.time = max(self.time, timer.due)
            timer.callback()
        self.time = until


@dataclass(slots=True, kw_only=True)
class House:
    """Everything a test touches. `settings` are for further resolvers on the same files and server."""

    server: DnsServer
    clock: FakeClock
    settings: ResolverSettings
    resolver: Resolver
    changes: list[int] = field(default_factory=list)

    def answer(self, name: str) -> Answer:
        return self.resolver.answers()[DnsName(name)]

    async def want(self, *names: str) -> None:
        self.resolver.want([DnsName(name) for name in names])
        await self.settled(*names)

    async def settled(self, *names: str) -> None:
        async with asyncio.timeout(20):
            await self.resolver.settle([DnsName(name) for name in names], timedelta(days=1))
            await asyncio.sleep(0)

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(20):
            while not condition():  # noqa: ASYNC110 - there is no event to wait for
                await asyncio.sleep(0.002)

    async def look_up_again(self, name: str, after: timedelta) -> None:
        """Moves the clock, and waits for the look-up that this starts to end."""
        entry = self.resolver._names[DnsName(name)]
        entry.tried = False
        self.clock.advance(after)
        await self.settled(name)


def settings(directory: Path, *servers: str, **more: object) -> ResolverSettings:
    defaults: dict[str, object] = {
        "nameservers": servers,
        "answers_file": directory / "answers.json",
        "hosts_file": directory / "hosts",
        "resolv_conf": directory / "resolv.conf",
        "timeouts": (timedelta(milliseconds=200), timedelta(milliseconds=200)),
    }
    return ResolverSettings(**{**defaults, **more})


@asynccontextmanager
async def a_house(directory: Path, **more: object) -> AsyncIterator[House]:
    server = DnsServer()
    await server.start()
    clock = FakeClock()
    changes: list[int] = []
    chosen = settings(directory, server.address, **more)
    resolver = Resolver(chosen, clock, lambda: changes.append(1))
    try:
        yield House(server=server, clock=clock, settings=chosen, resolver=resolver, changes=changes)
    finally:
        await resolver.close()
        await server.stop()


def on_a_loop(test: Callable[..., Coroutine[object, object, None]]) -> Callable[..., None]:
    """Runs an async test; pytest sees its fixtures."""

    @wraps(test)
    def run(*args: object, **fixtures: object) -> None:
        asyncio.run(test(*args, **fixtures))

    return run
