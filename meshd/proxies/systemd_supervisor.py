"""The Envoys are units of their own, `meshd-envoy@<proxy>.service`: systemd starts, watches and restarts them.

meshd only asks for it, through systemctl, and only when something must change.
"""

from __future__ import annotations

import asyncio
import subprocess
from dataclasses import replace
from typing import Literal

from meshd.names import ProxyName
from meshd.proxies.error import ProxyError
from meshd.proxies.launch import EnvoySettings
from meshd.proxies.paths import ProxyPaths
from meshd.proxies.process import alive
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

Verb = Literal["start", "stop", "reload", "restart"]


def unit(proxy: ProxyName) -> str:
    return f"meshd-envoy@{proxy}.service"


class SystemdSupervisor:
    def __init__(self, settings: EnvoySettings, told: Told, systemctl: str = "systemctl") -> None:
        self._settings = settings
        self._told = told
        self._systemctl = systemctl
        self._seen: dict[ProxyName, tuple[ProxyPaths, ProxyState]] = {}
        self._refused: dict[str, str] = {}
        self._one_at_a_time = asyncio.Lock()

    async def ensure(self, paths: ProxyPaths, bootstrap: bytes, /) -> None:
        async with self._one_at_a_time:
            if paths.proxy in self._seen:
                await self._look_again(paths.proxy)
            event = await asyncio.to_thread(self._ensure, paths, bootstrap)
            if event is not None and event.kind == "started":
                self._tell_death(paths.proxy)
            state = await asyncio.to_thread(look, paths)
            self._seen[paths.proxy] = (paths, state)
            if event is not None:
                self._told(replace(event, pid=state.pid))

    def _tell_death(self, proxy: ProxyName) -> None:
        """Of the one that was still on its way out when it was looked at, so that it had to be started is the news."""
        before = self._seen[proxy][1] if proxy in self._seen else None
        if before is not None and before.pid is not None:
            self._told(Event(proxy=proxy, kind="died", pid=before.pid))

    async def retire(self, paths: ProxyPaths, /) -> None:
        async with self._one_at_a_time:
            self._seen.pop(paths.proxy, None)
            await asyncio.to_thread(self._ask, "stop", paths.proxy)
            self._told(Event(proxy=paths.proxy, kind="stopped", pid=None))

    async def states(self) -> tuple[ProxyState, ...]:
        """Also tells what systemd did since the last look: it restarts a dead Envoy without asking us."""
        async with self._one_at_a_time:
            return tuple([await self._look_again(proxy) for proxy in sorted(self._seen)])

    async def stop(self, *, leave_running: bool) -> None:
        if not leave_running:
            for paths, _ in tuple(self._seen.values()):
                await self.retire(paths)

    def _ensure(self, paths: ProxyPaths, bootstrap: bytes) -> Event | None:
        refuse_again(self._refused, bootstrap)
        before = stage_bootstrap(paths, self._settings, bootstrap)
        running = find(paths)
        if running is None:
            self._ask("start", paths.proxy)
            return Event(proxy=paths.proxy, kind="started", pid=None)
        if not responds(paths, running):
            self._ask("restart", paths.proxy)
            return Event(proxy=paths.proxy, kind="restarted", pid=None, why="it did not answer on its admin socket")
        why = outdated(paths, self._settings, running, bootstrap)
        if why:
            self._reload(paths, running, bootstrap, before)
            return Event(proxy=paths.proxy, kind="handed-over", pid=None, why=why)
        return None if paths.proxy in self._seen else Event(proxy=paths.proxy, kind="adopted", pid=None)

    def _reload(self, paths: ProxyPaths, running: Record, bootstrap: bytes, before: bytes | None) -> None:
        try:
            self._ask("reload", paths.proxy)
        except ProxyError as error:
            if before is not None and before != bootstrap:
                restore_bootstrap(paths, before)
                if not alive(running.process):
                    # It failed half-way, and systemd restarts the unit; from here on with what is known to work.
                    self._refused[digest(bootstrap)] = str(error)
            raise

    async def _look_again(self, proxy: ProxyName) -> ProxyState:
        paths, before = self._seen[proxy]
        now = await asyncio.to_thread(look, paths)
        self._seen[proxy] = (paths, now)
        if now.pid is not None and before.pid is not None and now.epoch > before.epoch:
            self._told(Event(proxy=proxy, kind="handed-over", pid=now.pid, why="systemd was asked to reload it"))
            return now
        if now.pid != before.pid and before.pid is not None:
            self._told(Event(proxy=proxy, kind="died", pid=before.pid))
        if now.pid != before.pid and now.pid is not None:
            self._told(Event(proxy=proxy, kind="restarted", pid=now.pid, why="by systemd"))
        return now

    def _ask(self, verb: Verb, proxy: ProxyName) -> None:
        deadline = self._settings.live_within + self._settings.parent_shutdown + self._settings.drain
        command = (self._systemctl, "--no-ask-password", verb, unit(proxy))
        try:
            done = subprocess.run(  # noqa: S603
                command, capture_output=True, text=True, check=False, timeout=deadline.total_seconds()
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ProxyError(
                f"systemctl {verb} {unit(proxy)}: {error}", "without systemd: set envoy.supervisor to child"
            ) from error
        if done.returncode != 0:
            raise ProxyError(f"systemctl {verb} {unit(proxy)}: {done.stderr.strip()}", _hint(done.stderr, proxy))


def _hint(said: str, proxy: ProxyName) -> str:
    if "not been booted with systemd" in said:
        return "set envoy.supervisor to child"
    if "not found" in said:
        return "install the units: `meshd install-units`"
    if "authentication required" in said or "Access denied" in said or "not permitted" in said.lower():
        return "install the rule for polkit that lets user meshd manage its proxies: `meshd install-units`"
    return f"journalctl -u {unit(proxy)}"
