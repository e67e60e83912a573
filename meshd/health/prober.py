"""Probes of local workloads -> who of them is unhealthy, and a word whenever that changes.

It is told what to probe and tells what it found; what is done about it, it does not know.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Final, Protocol

import structlog

from meshd.health.health import Health, after, again_unknown, unknown
from meshd.health.kept import load, save
from meshd.health.result import Result
from meshd.health.run import run
from meshd.plan import Probe
from meshd.problems import NOWHERE

log = structlog.get_logger()

_SCATTER: Final = timedelta(seconds=1)
"""Within this time, but never longer than a period, the probes of a host begin: not all at the same instant."""


class Clock(Protocol):
    """`now` is the time of day, aware."""

    def now(self) -> datetime: ...
    async def sleep(self, span: timedelta, /) -> None: ...


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)  # noqa: TID251 - this is the clock that is handed in

    async def sleep(self, span: timedelta, /) -> None:
        await asyncio.sleep(span.total_seconds())


Run = Callable[[Probe], Awaitable[Result]]
Changed = Callable[[Health], None]


@dataclass(slots=True, kw_only=True)
class _Probed:
    probe: Probe
    health: Health
    task: asyncio.Task[None]


class Prober:
    """For one event loop. `changed` is called with each workload that became healthy or unhealthy."""

    def __init__(self, clock: Clock, changed: Changed, *, kept: Path | None = None, run: Run = run) -> None:
        self._clock = clock
        self._changed = changed
        self._run = run
        self._file = kept
        self._before = load(kept) if kept else {}
        self._probed: dict[str, _Probed] = {}
        self._random = Random()  # noqa: S311 - no secret
        self._saving: asyncio.Task[None] | None = None
        self._unsaved = False

    def want(self, probes: Iterable[Probe]) -> None:
        """The complete set from now on. What is probed as before goes on, wherever its probe is written now."""
        wanted = {probe.workload: replace(probe, origin=NOWHERE) for probe in probes}
        for workload in self._probed.keys() - wanted.keys():
            self._probed.pop(workload).task.cancel()
        for workload, probe in sorted(wanted.items()):
            old = self._probed.get(workload)
            if old is None or old.probe != probe:
                self._start(probe, old)

    def states(self) -> tuple[Health, ...]:
        """Of every wanted workload, by name."""
        return tuple(self._probed[workload].health for workload in sorted(self._probed))

    @property
    def unhealthy(self) -> frozenset[str]:
        return frozenset(workload for workload, each in self._probed.items() if not each.health.healthy)

    async def close(self) -> None:
        """Ends every run, commands among them. What was known is on disk."""
        tasks = [each.task for each in self._probed.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._saving is not None:
            await self._saving

    def _start(self, probe: Probe, old: _Probed | None) -> None:
        if old is not None:
            old.task.cancel()
            health = again_unknown(old.health)
        else:
            health = self._before_us(probe.workload)
        task = asyncio.get_running_loop().create_task(self._keep_probing(probe), name=f"probe {probe.workload}")
        self._probed[probe.workload] = _Probed(probe=probe, health=health, task=task)

    def _before_us(self, workload: str) -> Health:
        if workload in self._before:
            return self._before.pop(workload)
        return unknown(workload, self._clock.now())

    async def _keep_probing(self, probe: Probe) -> None:
        """A run begins a period after the one before began, and not before that one is over."""
        scatter = min(_SCATTER, probe.period) * self._random.random()
        await self._clock.sleep(probe.initial_delay + scatter)
        while True:
            await asyncio.gather(self._probe(probe), self._clock.sleep(probe.period))

    async def _probe(self, probe: Probe) -> None:
        try:
            result = await self._run(probe)
        except Exception:
            log.exception("probe.crashed", workload=probe.workload, next="please report this; it is tried again")
            return
        probed = self._probed[probe.workload]
        before, probed.health = probed.health, after(probed.health, result, probe, self._clock.now())
        if before.decided != probed.health.decided or before.healthy != probed.health.healthy:
            self._keep()
        if before.healthy != probed.health.healthy:
            self._changed(probed.health)

    # --- on disk ---

    def _keep(self) -> None:
        self._unsaved = True
        if self._file is not None and (self._saving is None or self._saving.done()):
            self._saving = asyncio.get_running_loop().create_task(self._save(self._file), name="save health")

    async def _save(self, file: Path) -> None:
        """Aside, for the disk may be slow; once for all that changed meanwhile."""
        while self._unsaved:
            self._unsaved = False
            decided = [health for health in self.states() if health.decided]
            try:
                await asyncio.to_thread(save, file, decided)
            except OSError as error:
                log.warning("health.unsaved", file=str(file), error=error.strerror, next="check stateDirectory")
