"""The Envoys are units of their own, `meshd-envoy@<proxy>.service`: systemd starts, watches and restarts them.

meshd only asks for it, over D-Bus, and only when something must change.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from meshd.names import ProxyName
from meshd.proxies.error import ProxyError
from meshd.proxies.launch import EnvoySettings
from meshd.proxies.paths import ProxyPaths
from meshd.proxies.process import alive, identify
from meshd.proxies.record import Record, digest, find
from meshd.proxies.supervisor import (
    Event,
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
from meshd.systemd.error import SystemdError
from meshd.systemd.units import Systemd
from meshd.systemd.words import Verb


def unit(proxy: ProxyName) -> str:
    return f"meshd-envoy@{proxy}.service"


class SystemdSupervisor:
    def __init__(self, settings: EnvoySettings, told: Told, systemd: Systemd | None = None) -> None:
        self._settings = settings
        self._told = told
        self._systemd = systemd or Systemd()
        self._seen: dict[ProxyName, tuple[ProxyPaths, ProxyState]] = {}
        self._watches: dict[ProxyName, asyncio.Task[None]] = {}
        self._refused: dict[str, str] = {}
        self._one_at_a_time = asyncio.Lock()

    async def ensure(self, paths: ProxyPaths, bootstrap: bytes, /) -> None:
        async with self._one_at_a_time:
            if paths.proxy in self._seen:
                await self._look_again(paths.proxy)
            event = await self._bring_up(paths, bootstrap)
            if event is not None and event.kind == "started":
                self._tell_death(paths.proxy)
            state = await asyncio.to_thread(look, paths)
            self._see(paths, state)
            if event is not None:
                self._told(replace(event, pid=state.pid))

    def _tell_death(self, proxy: ProxyName) -> None:
        """Of the one that was still on its way out when it was looked at, so that it had to be started is the news."""
        before = self._seen[proxy][1] if proxy in self._seen else None
        if before is not None and before.pid is not None:
            self._told(Event(proxy=proxy, kind="died", pid=before.pid))

    async def retire(self, paths: ProxyPaths, /) -> None:
        """Of what does not run systemd is told nothing, but asked: it may be about to start it once more."""
        async with self._one_at_a_time:
            self._forget(paths.proxy)
            running = await asyncio.to_thread(find, paths)
            if running is None and not await self._is_up(paths.proxy):
                return
            await self._ask("stop", paths.proxy)
            self._told(Event(proxy=paths.proxy, kind="stopped", pid=running.process.pid if running else None))

    async def states(self) -> tuple[ProxyState, ...]:
        """Also tells what systemd did since the last look: it restarts a dead Envoy without asking us."""
        async with self._one_at_a_time:
            return tuple([await self._look_again(proxy) for proxy in sorted(self._seen)])

    async def stop(self, *, leave_running: bool) -> None:
        if not leave_running:
            for paths, _ in tuple(self._seen.values()):
                await self.retire(paths)
        for proxy in tuple(self._watches):
            self._watches.pop(proxy).cancel()

    async def _bring_up(self, paths: ProxyPaths, bootstrap: bytes) -> Event | None:
        refuse_again(self._refused, bootstrap)
        before = await asyncio.to_thread(stage_bootstrap, paths, self._settings, bootstrap)
        running = await asyncio.to_thread(find, paths)
        if running is None:
            await self._ask("start", paths.proxy)
            return Event(proxy=paths.proxy, kind="started", pid=None)
        if not await asyncio.to_thread(responds, paths, running):
            await self._ask("restart", paths.proxy)
            return Event(proxy=paths.proxy, kind="restarted", pid=None, why="it did not answer on its admin socket")
        why = await asyncio.to_thread(outdated, paths, self._settings, running, bootstrap)
        if why:
            await to_its_end(self._reload(paths, running, bootstrap, before))
            return Event(proxy=paths.proxy, kind="handed-over", pid=None, why=why)
        return None if paths.proxy in self._seen else Event(proxy=paths.proxy, kind="adopted", pid=None)

    async def _reload(self, paths: ProxyPaths, running: Record, bootstrap: bytes, before: bytes | None) -> None:
        try:
            await self._ask("reload", paths.proxy)
        except ProxyError as error:
            if before is not None and before != bootstrap:
                await asyncio.to_thread(restore_bootstrap, paths, before)
                if not alive(running.process):
                    # It failed half-way, and systemd restarts the unit; from here on with what is known to work.
                    self._refused[digest(bootstrap)] = str(error)
            raise

    async def _look_again(self, proxy: ProxyName) -> ProxyState:
        paths, before = self._seen[proxy]
        now = await asyncio.to_thread(look, paths)
        self._see(paths, now)
        if now.pid is not None and before.pid is not None and now.epoch > before.epoch:
            self._told(Event(proxy=proxy, kind="handed-over", pid=now.pid, why="systemd was asked to reload it"))
            return now
        if now.pid != before.pid and before.pid is not None:
            self._told(Event(proxy=proxy, kind="died", pid=before.pid))
        if now.pid != before.pid and now.pid is not None:
            self._told(Event(proxy=proxy, kind="restarted", pid=now.pid, why="by systemd"))
        return now

    def _see(self, paths: ProxyPaths, state: ProxyState) -> None:
        before = self._seen.get(paths.proxy)
        self._seen[paths.proxy] = (paths, state)
        if before is None or before[1].pid != state.pid:
            self._watch(paths.proxy, state.pid)

    def _forget(self, proxy: ProxyName) -> None:
        self._seen.pop(proxy, None)
        self._watch(proxy, None)

    def _watch(self, proxy: ProxyName, pid: int | None) -> None:
        """The kernel tells of a death at once, and whatever becomes of the bus; systemd's own signals would not."""
        before = self._watches.pop(proxy, None)
        if before is not None:
            before.cancel()
        if pid is not None:
            self._watches[proxy] = asyncio.create_task(self._look_when_ended(proxy, pid), name=f"watch {proxy}")

    async def _look_when_ended(self, proxy: ProxyName, pid: int) -> None:
        process = identify(pid)
        if process is not None:
            await ended(process)
        async with self._one_at_a_time:
            if self._watches.get(proxy) is asyncio.current_task():
                del self._watches[proxy]
                await self._look_again(proxy)

    async def _is_up(self, proxy: ProxyName) -> bool:
        try:
            return await self._systemd.active_state(unit(proxy)) not in {"inactive", "failed"}
        except SystemdError as error:
            raise ProxyError(str(error), error.hint) from error

    async def _ask(self, verb: Verb, proxy: ProxyName) -> None:
        within = self._settings.live_within + self._settings.parent_shutdown + self._settings.drain
        try:
            await self._systemd.carry_out(verb, unit(proxy), within)
        except SystemdError as error:
            raise ProxyError(str(error), error.hint) from error
