"""Keeps the addresses of the names that the plan names: looked up once each, again by TTL, the last known good kept.

Runs on the event loop. Names in, answers out; it refuses to know what a name is for.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Final

import structlog

from meshd.names import DnsName
from meshd.resolve.answer import Answer, load, save
from meshd.resolve.clock import Clock, Timer
from meshd.resolve.local import LocalFile, hosts, nameservers
from meshd.resolve.lookup import Lookup
from meshd.resolve.merging import family_of, from_hosts, merged, within
from meshd.resolve.nameservers import Nameservers
from meshd.resolve.settings import ResolverSettings

log = structlog.get_logger()

_UPKEEP_EVERY: Final = timedelta(seconds=5)
_AGES_EVERY: Final = timedelta(minutes=1)


@dataclass(slots=True, kw_only=True)
class _Name:
    """One name that somebody wants. `tried` when one look-up of this run has ended, whatever it brought."""

    name: DnsName
    answer: Answer | None = None
    tried: bool = False
    failures: int = 0
    timer: Timer | None = None
    task: asyncio.Task[None] | None = None

    def stop(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
        if self.task is not None:
            self.task.cancel()


@dataclass(slots=True, kw_only=True)
class _Waiting:
    names: set[DnsName]
    over: asyncio.Event = field(default_factory=asyncio.Event)


class Resolver:
    """`changed` is called, soon and once for many, when the addresses of some name are others than before."""

    def __init__(self, settings: ResolverSettings, clock: Clock, changed: Callable[[], None]) -> None:
        self._settings = settings
        self._clock = clock
        self._changed = changed
        self._hosts_file = LocalFile(settings.hosts_file)
        self._hosts: Mapping[str, tuple[str, ...]] = hosts(self._hosts_file)
        self._resolv_conf = LocalFile(settings.resolv_conf)
        self._lookup = Lookup(settings, self._nameservers())
        self._retry_ceiling = settings.retry_ceiling
        self._names: dict[DnsName, _Name] = {}
        self._known = load(settings.answers_file) if settings.answers_file else {}
        self._waiting: list[_Waiting] = []
        self._announced = False
        self._unsaved = False
        self._saved_at = clock.now()
        self._saving: asyncio.Task[None] | None = None
        self._upkeep: Timer = clock.call_later(_UPKEEP_EVERY, self._keep_up)

    def want(self, names: Iterable[DnsName]) -> None:
        """The complete set of names from now on: new ones are looked up at once, others forgotten."""
        wanted = set(names)
        for name in self._names.keys() - wanted:
            self._names.pop(name).stop()
            self._tried(name)
        for name in sorted(wanted - self._names.keys()):
            self._add(name)

    def retry_within(self, ceiling: timedelta) -> None:
        """The longest pause after failures from now on, as the mesh has it. A shorter one begins at once."""
        sooner = ceiling < self._retry_ceiling
        self._retry_ceiling = ceiling
        if sooner:
            self._again(entry for entry in self._names.values() if entry.failures)

    def answers(self) -> Mapping[DnsName, Answer]:
        """Of every wanted name of which anything is known. The mapping does not change afterwards."""
        known = {name: entry.answer for name, entry in self._names.items() if entry.answer is not None}
        return MappingProxyType(known)

    async def settle(self, names: Iterable[DnsName], deadline: timedelta) -> None:
        """Waits until each of the wanted names among these was tried once, or the deadline passes."""
        waiting = _Waiting(names={name for name in names if name in self._names and not self._names[name].tried})
        if not waiting.names:
            return
        timer = self._clock.call_later(deadline, waiting.over.set)
        self._waiting.append(waiting)
        try:
            await waiting.over.wait()
        finally:
            timer.cancel()
            self._waiting.remove(waiting)

    async def close(self) -> None:
        """Stops every look-up and leaves the answers on disk."""
        self._upkeep.cancel()
        tasks = [entry.task for entry in self._names.values() if entry.task is not None]
        for entry in self._names.values():
            entry.stop()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._idle()
        self._save()
        await self._idle()

    # --- one name --------------------------------------------------------------------------------------------

    def _add(self, name: DnsName) -> None:
        entry = self._names[name] = _Name(name=name, answer=self._known.pop(name, None))
        if entry.answer is not None:
            self._announce()
        self._start(entry)

    def _start(self, entry: _Name) -> None:
        entry.timer = None
        addresses = self._in_hosts(entry.name)
        if addresses:
            self._record(entry, from_hosts(addresses, self._clock.now()))
        elif entry.task is None or entry.task.done():
            entry.task = asyncio.get_running_loop().create_task(self._look_up(entry), name=f"look up {entry.name}")

    async def _look_up(self, entry: _Name) -> None:
        results = await self._lookup.families(entry.name)
        if self._in_hosts(entry.name):
            return  # the file has named it meanwhile, and goes first
        answer = merged(results, entry.answer, self._clock.now())
        self._record(entry, answer)
        failed = answer.source == "kept" or not answer.addresses
        entry.failures = entry.failures + 1 if failed else 0
        entry.timer = self._clock.call_later(self._pause(entry, answer), lambda: self._start(entry))

    def _pause(self, entry: _Name, answer: Answer) -> timedelta:
        """After a failure ever longer; else by TTL, a little late rather than early, when a cache has a fresh one."""
        if entry.failures:
            doubled: timedelta = self._settings.retry_first * (1 << min(entry.failures - 1, 20))
            return min(doubled, self._retry_ceiling) * random.uniform(0.8, 1.2)  # noqa: S311 - no secret
        ttl = within(answer.expires - answer.looked_up, self._settings.floor, self._settings.ceiling)
        return ttl * random.uniform(1.0, 1.1)  # noqa: S311 - no secret

    def _record(self, entry: _Name, answer: Answer) -> None:
        before = entry.answer.addresses if entry.answer is not None else ()
        entry.answer = answer
        self._tried(entry.name)
        self._unsaved = self._unsaved or answer.addresses != before
        if answer.addresses != before:
            self._announce()

    def _tried(self, name: DnsName) -> None:
        if name in self._names:
            self._names[name].tried = True
        for waiting in self._waiting:
            waiting.names.discard(name)
            if not waiting.names:
                waiting.over.set()

    def _announce(self) -> None:
        if not self._announced:
            self._announced = True
            asyncio.get_running_loop().call_soon(self._call_changed)

    def _call_changed(self) -> None:
        self._announced = False
        self._changed()

    # --- what this host says, and what it keeps ------------------------------------------------------------------

    def _in_hosts(self, name: DnsName) -> tuple[str, ...]:
        addresses = self._hosts.get(name, ())
        return tuple(address for address in addresses if family_of(address) in self._settings.families)

    def _nameservers(self) -> Nameservers:
        return Nameservers(self._settings.nameservers or nameservers(self._resolv_conf), self._clock)

    def _keep_up(self) -> None:
        self._upkeep = self._clock.call_later(_UPKEEP_EVERY, self._keep_up)
        if self._hosts_file.reread():
            self._use(hosts(self._hosts_file))
        if self._resolv_conf.reread() and not self._settings.nameservers:
            self._lookup.nameservers = self._nameservers()
            self._again(entry for entry in self._names.values() if entry.failures)
        if self._unsaved or self._clock.now() - self._saved_at >= _AGES_EVERY:
            self._save()

    def _use(self, fresh: Mapping[str, tuple[str, ...]]) -> None:
        before, self._hosts = self._hosts, fresh
        self._again(entry for entry in self._names.values() if before.get(entry.name) != fresh.get(entry.name))

    def _again(self, entries: Iterable[_Name]) -> None:
        for entry in tuple(entries):
            if entry.timer is not None:
                entry.timer.cancel()
            self._start(entry)

    def _save(self) -> None:
        """Aside, for the disk may be slow. What cannot be saved now is tried again at the next upkeep."""
        file = self._settings.answers_file
        if file is None or (self._saving is not None and not self._saving.done()):
            return
        good = {name: answer for name, answer in self.answers().items() if answer.addresses}
        self._unsaved = False
        self._saved_at = self._clock.now()
        self._saving = asyncio.get_running_loop().create_task(self._saved(file, good), name="save answers")

    async def _idle(self) -> None:
        if self._saving is not None:
            await self._saving

    async def _saved(self, file: Path, answers: Mapping[DnsName, Answer]) -> None:
        try:
            await asyncio.to_thread(save, file, answers)
        except OSError as error:
            self._unsaved = True
            log.warning("answers.unsaved", file=str(file), error=error.strerror, next="check stateDirectory")
