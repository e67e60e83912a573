"""meshd starts its Envoys itself, and they outlive it: one that a killed meshd left behind is adopted, not restarted.

For installations without systemd, the demo and the tests. It refuses to know what the bootstrap says.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from meshd.names import ProxyName
from meshd.proxies import stop as stopping
from meshd.proxies.error import HotRestartError, OtherProtocolError, ProxyError
from meshd.proxies.hot_restart import hot_restart
from meshd.proxies.launch import EnvoySettings, await_live, choose, rotate_under_way, start
from meshd.proxies.paths import ProxyPaths
from meshd.proxies.process import Process
from meshd.proxies.record import Record, digest, find
from meshd.proxies.supervisor import (
    Event,
    EventKind,
    ProxyState,
    Told,
    look,
    outdated,
    refuse_again,
    responds,
    restore_bootstrap,
    stage_bootstrap,
)
from meshd.proxies.waiting import ended, to_its_end

SETTLED: Final = timedelta(seconds=60)
"""An Envoy that lived this long has started well: its death begins a new count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """The pause before start number n after a death; the first one comes at once."""

    step: timedelta = timedelta(milliseconds=500)
    ceiling: timedelta = timedelta(seconds=30)

    def pause(self, failures: int) -> timedelta:
        return min(self.ceiling, self.step * (2 ** min(failures - 1, 16))) if failures > 0 else timedelta()


@dataclass(slots=True, kw_only=True)
class _Kept:
    """One proxy in our care. `lock` is held by whoever changes which process it is."""

    paths: ProxyPaths
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    process: Process | None = None
    failures: int = 0
    refused: dict[str, str] = field(default_factory=dict)


class ChildSupervisor:
    def __init__(self, settings: EnvoySettings, told: Told, backoff: Backoff | None = None) -> None:
        self._settings = settings
        self._told = told
        self._backoff = backoff or Backoff()
        self._kept: dict[ProxyName, _Kept] = {}
        self._watches: set[asyncio.Task[None]] = set()

    async def ensure(self, paths: ProxyPaths, bootstrap: bytes, /) -> None:
        kept = self._kept.setdefault(paths.proxy, _Kept(paths=paths))
        async with kept.lock:
            refuse_again(kept.refused, bootstrap)
            before = await asyncio.to_thread(stage_bootstrap, paths, self._settings, bootstrap)
            running = await asyncio.to_thread(find, paths)
            if running is None:
                await self._start(kept, "started")
            elif not await asyncio.to_thread(self._answers_soon, paths, running):
                await self._start_anew(kept, running, "it did not answer on its admin socket")
            else:
                self._adopt(kept, running)
                await asyncio.to_thread(rotate_under_way, paths.log)
                await self._update(kept, running, bootstrap, before)

    async def retire(self, paths: ProxyPaths, /) -> None:
        kept = self._kept.pop(paths.proxy, None) or _Kept(paths=paths)
        async with kept.lock:
            await self._stop(kept)

    async def states(self) -> tuple[ProxyState, ...]:
        looks = (asyncio.to_thread(look, kept.paths) for _, kept in sorted(self._kept.items()))
        return tuple(await asyncio.gather(*looks))

    async def stop(self, *, leave_running: bool) -> None:
        everything, self._kept = tuple(self._kept.values()), {}
        if not leave_running:
            await asyncio.gather(*(self._stop_when_free(kept) for kept in everything))
        for watch in tuple(self._watches):
            watch.cancel()
        await asyncio.gather(*self._watches, return_exceptions=True)

    async def _stop_when_free(self, kept: _Kept) -> None:
        async with kept.lock:
            await self._stop(kept)

    async def _stop(self, kept: _Kept) -> None:
        process, kept.process = kept.process, None
        if await to_its_end(asyncio.to_thread(stopping.stop, kept.paths, self._settings.drain)):
            self._tell(kept, "stopped", process)

    def _adopt(self, kept: _Kept, running: Record) -> None:
        if kept.process != running.process:
            self._watch(kept, running.process)
            self._tell(kept, "adopted", running.process)

    async def _update(self, kept: _Kept, running: Record, bootstrap: bytes, before: bytes | None) -> None:
        why = await asyncio.to_thread(outdated, kept.paths, self._settings, running, bootstrap)
        if not why:
            return
        try:
            record = await to_its_end(asyncio.to_thread(hot_restart, kept.paths, self._settings, kept.paths.log))
        except OtherProtocolError as error:
            await self._start_anew(kept, running, str(error))
            return
        except HotRestartError as error:
            await self._recover(kept, running, bootstrap, before, str(error))
            return
        self._watch(kept, record.process)
        self._tell(kept, "handed-over", record.process, why)

    async def _recover(self, kept: _Kept, running: Record, bootstrap: bytes, before: bytes | None, why: str) -> None:
        """The old epoch is crippled, so there must be a plain restart; with the new bootstrap only if it is proven."""
        if before is not None and before != bootstrap:
            kept.refused[digest(bootstrap)] = why
            await asyncio.to_thread(restore_bootstrap, kept.paths, before)
        await self._start_anew(kept, running, why)
        refuse_again(kept.refused, bootstrap)

    async def _start_anew(self, kept: _Kept, running: Record, why: str) -> None:
        kept.process = None  # so that its watch does not take the end of it for a death
        await to_its_end(asyncio.to_thread(stopping.end_crippled, kept.paths, running))
        await self._start(kept, "restarted", why)

    async def _start(self, kept: _Kept, kind: EventKind, why: str = "") -> None:
        record = await to_its_end(asyncio.to_thread(self._start_chosen, kept.paths))
        self._watch(kept, record.process)
        self._tell(kept, kind, record.process, why or f"from its {record.mode} bootstrap")

    def _start_chosen(self, paths: ProxyPaths) -> Record:
        return start(paths, self._settings, choose(paths, self._settings.binary))

    def _answers_soon(self, paths: ProxyPaths, running: Record) -> bool:
        """A starting Envoy is given its time; a hung or crippled one has none left."""
        return responds(paths, running) or await_live(paths, running.process, self._settings.live_within)

    def _watch(self, kept: _Kept, process: Process) -> None:
        kept.process = process
        watch = asyncio.create_task(self._revive_when_dead(kept, process), name=f"watch {kept.paths.proxy}")
        self._watches.add(watch)
        watch.add_done_callback(self._watches.discard)

    async def _revive_when_dead(self, kept: _Kept, process: Process) -> None:
        loop = asyncio.get_running_loop()
        since = loop.time()
        await ended(process)
        async with kept.lock:
            if kept.process != process:
                return  # an old epoch that left, or one that we ended
            kept.process = None
            self._tell(kept, "died", process)
        kept.failures = 0 if loop.time() - since > SETTLED.total_seconds() else kept.failures
        while not await self._revived(kept):
            pass

    async def _revived(self, kept: _Kept) -> bool:
        await asyncio.sleep(self._backoff.pause(kept.failures).total_seconds())
        kept.failures += 1
        async with kept.lock:
            if kept.process is not None or self._kept.get(kept.paths.proxy) is not kept:
                return True  # somebody else started it meanwhile, or it is no longer wanted
            try:
                await self._start(kept, "restarted", "it had died")
            except ProxyError as error:
                self._tell(kept, "start-failed", None, str(error))
                return False
            return True

    def _tell(self, kept: _Kept, kind: EventKind, process: Process | None, why: str = "") -> None:
        pid = None if process is None else process.pid
        self._told(Event(proxy=kept.paths.proxy, kind=kind, pid=pid, why=why))
