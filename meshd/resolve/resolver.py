"""Keeps the addresses of the names that the plan names: looked up once each, again by TTL, the last known good kept.

Runs on the event loop. Names in, answers out; it refuses to know what a name is for.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType
from typing import Final

import structlog

from meshd.names import DnsName, is_srv
from meshd.resolve.answer import Answer, expired, is_too_old
from meshd.resolve.clock import Clock, Timer
from meshd.resolve.entry import Entry
from meshd.resolve.keeping import Keeping
from meshd.resolve.local import LocalFile, hosts, nameservers
from meshd.resolve.lookup import Lookup
from meshd.resolve.merging import family_of, from_hosts, merged, volunteered, within
from meshd.resolve.nameservers import Nameservers
from meshd.resolve.reading import Found, FoundRecords
from meshd.resolve.settings import ResolverSettings
from meshd.resolve.srv import Service, composed, found_service, remembered_service
from meshd.resolve.waiting import Waiting

log = structlog.get_logger()

_UPKEEP_EVERY: Final = timedelta(seconds=5)
_APART: Final = timedelta(milliseconds=5)
"""Between two look-ups, on average, so that 1 000 names with a TTL of 0 (Consul's) do not take a CPU."""


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
        self._names: dict[DnsName, Entry] = {}
        self._waiting = Waiting(clock)
        self._keeping = Keeping(settings.answers_file, clock)
        self._announced = False
        self._upkeep: Timer = clock.call_later(_UPKEEP_EVERY, self._keep_up)

    def want(self, names: Iterable[DnsName]) -> None:
        """The complete set of names from now on: new ones are looked up at once, others forgotten."""
        wanted = set(names)
        for name in sorted(wanted, key=lambda name: (is_srv(name), name)):  # targets before who leads to them
            self._entry(name).wanted = True
        for entry in [entry for name, entry in self._names.items() if name not in wanted]:
            entry.wanted = False
            self._forget_unused(entry)

    def retry_within(self, ceiling: timedelta) -> None:
        """The longest pause after failures from now on, as the mesh has it. A shorter one begins at once."""
        sooner = ceiling < self._retry_ceiling
        self._retry_ceiling = ceiling
        if sooner:
            self._again(entry for entry in self._names.values() if entry.failures)

    def answers(self) -> Mapping[DnsName, Answer]:
        """Of every wanted name of which anything is known. The mapping does not change afterwards."""
        return MappingProxyType(
            {name: each.answer for name, each in self._names.items() if each.wanted and each.answer is not None}
        )

    async def settle(self, names: Iterable[DnsName], deadline: timedelta) -> None:
        """Waits until each of the wanted names among these was tried once, or the deadline passes.

        A name for which a deadline has passed already holds up nobody again.
        """
        untried = [name for name in names if name in self._names and not self._names[name].tried]
        await self._waiting.until_tried(untried, deadline)

    async def close(self) -> None:
        """Stops every look-up and leaves the answers on disk."""
        self._upkeep.cancel()
        tasks = [entry.task for entry in self._names.values() if entry.task is not None]
        for entry in self._names.values():
            entry.stop()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._keeping.close(self._everything())

    # --- names come and go ---------------------------------------------------------------------------------------

    def _entry(self, name: DnsName) -> Entry:
        """What is known from an earlier run counts at once."""
        if name not in self._names:
            entry = self._names[name] = Entry(name=name)
            before = self._keeping.known.pop(name, None)
            if before is not None:
                self._put(entry, before)
                entry.service = remembered_service(before) if entry.is_srv else None
                self._lead(entry, frozenset())
                self._expire(entry)
            self._start(entry)
        return self._names[name]

    def _forget_unused(self, entry: Entry) -> None:
        if not entry.is_used and self._names.pop(entry.name, None) is not None:
            entry.stop()
            self._waiting.tried(entry.name)
            self._leave(entry, entry.targets)

    def _lead(self, entry: Entry, before: frozenset[DnsName]) -> None:
        """The targets of an SRV name are looked up too, each once, whoever else leads there."""
        for target in sorted(entry.targets):
            self._entry(target).users.add(entry.name)
        self._leave(entry, before - entry.targets)

    def _leave(self, entry: Entry, targets: frozenset[DnsName]) -> None:
        for target in sorted(targets):
            self._names[target].users.discard(entry.name)
            self._forget_unused(self._names[target])

    # --- one name ------------------------------------------------------------------------------------------------

    def _start(self, entry: Entry) -> None:
        entry.timer = None
        addresses = self._in_hosts(entry.name)
        if addresses:
            self._record(entry, from_hosts(addresses, self._clock.now()))
        elif entry.task is None or entry.task.done():
            look_up = self._look_up_service(entry) if entry.is_srv else self._look_up(entry)
            entry.task = asyncio.get_running_loop().create_task(look_up, name=f"look up {entry.name}")

    async def _look_up(self, entry: Entry) -> None:
        results = await self._lookup.families(entry.name)
        if self._in_hosts(entry.name):
            return  # the file has named it meanwhile, and goes first
        answer = merged(results, entry.answer, self._clock.now(), self._settings.max_staleness)
        self._record(entry, answer)
        self._look_up_later(entry, answer, failed=answer.source != "dns")

    async def _look_up_service(self, entry: Entry) -> None:
        result = await self._lookup.srv(entry.name)
        before = entry.targets
        entry.service = found_service(result, entry.service, self._clock.now())
        self._lead(entry, before)
        for target, found in result.additional.items() if isinstance(result, FoundRecords) else ():
            self._volunteer(self._names[target], found)
        self._compose(entry)
        self._look_up_later(entry, entry.service, failed=bool(entry.service.error))

    def _look_up_later(self, entry: Entry, got: Answer | Service, *, failed: bool) -> None:
        entry.failures = entry.failures + 1 if failed else 0
        pause = self._pause(entry.failures, got.expires - got.looked_up)
        entry.timer = self._clock.call_later(pause, lambda: self._start(entry))

    def _pause(self, failures: int, ttl: timedelta) -> timedelta:
        """After a failure ever longer; else by TTL, a little late rather than early, when a cache has a fresh one."""
        if failures:
            doubled: timedelta = self._settings.retry_first * (1 << min(failures - 1, 20))
            return min(doubled, self._retry_ceiling) * random.uniform(0.8, 1.2)  # noqa: S311 - no secret
        floor = max(self._settings.floor, _APART * len(self._names))
        bounded = within(ttl, floor, self._settings.ceiling)
        return bounded * random.uniform(1.0, 1.1)  # noqa: S311 - no secret

    def _volunteer(self, entry: Entry, found: Found) -> None:
        """A server's words on a target that was not its question: better than nothing, and no more than that."""
        known = entry.answer
        answer = volunteered(found, self._settings.families, self._clock.now())
        if answer is not None and (known is None or (known.error and known.source != "hosts")):
            self._record(entry, answer)

    def _record(self, entry: Entry, answer: Answer) -> None:
        self._put(entry, answer)
        self._tried(entry)
        for user in sorted(entry.users):
            self._compose(self._names[user])

    def _compose(self, entry: Entry) -> None:
        """The answer of an SRV name, of what is known of its records and of their targets."""
        if entry.service is None:
            return
        known = {target: self._names[target].answer for target in entry.targets}
        pending = not all(self._names[target].tried for target in entry.targets)
        answer = composed(entry.service, known, entry.answer, self._clock.now(), pending=pending)
        if answer is not None:
            self._put(entry, answer)
        if not pending:
            self._tried(entry)

    def _put(self, entry: Entry, answer: Answer) -> None:
        before = entry.answer
        entry.answer = answer
        places = (before.addresses, before.targets) if before is not None else ((), ())
        if (answer.addresses, answer.targets) != places:
            self._keeping.unsaved = True
            self._announce()

    def _tried(self, entry: Entry) -> None:
        entry.tried = True
        self._waiting.tried(entry.name)

    def _announce(self) -> None:
        if not self._announced:
            self._announced = True
            asyncio.get_running_loop().call_soon(self._call_changed)

    def _call_changed(self) -> None:
        self._announced = False
        self._changed()

    # --- what this host says, and what grows too old ---------------------------------------------------------------

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
        for entry in sorted(self._names.values(), key=lambda entry: entry.is_srv):
            self._expire(entry)
        self._keeping.keep_up(self._everything())

    def _use(self, fresh: Mapping[str, tuple[str, ...]]) -> None:
        before, self._hosts = self._hosts, fresh
        self._again(entry for entry in self._names.values() if before.get(entry.name) != fresh.get(entry.name))

    def _again(self, entries: Iterable[Entry]) -> None:
        for entry in tuple(entries):
            if entry.timer is not None:
                entry.timer.cancel()
            self._start(entry)

    def _expire(self, entry: Entry) -> None:
        """Drops what is older than the operator wants to use. What leads nowhere any more is looked up no longer."""
        now, limit = self._clock.now(), self._settings.max_staleness
        if limit is None or entry.answer is None or not is_too_old(entry.answer, limit, now):
            return
        age = round((now - entry.answer.looked_up).total_seconds())
        log.error(
            "answer.expired",
            name=entry.name,
            age=age,
            reason=entry.answer.error,
            addresses=len(entry.answer.addresses),
            next="repair DNS: resolver.maxStaleness has passed, and its endpoints are gone",
        )
        self._put(entry, expired(entry.answer))
        if entry.service is not None and now - entry.service.looked_up > limit:
            before = entry.targets
            entry.service = replace(entry.service, records=())
            self._lead(entry, before)
        for user in sorted(entry.users):
            self._compose(self._names[user])

    def _everything(self) -> Mapping[DnsName, Answer]:
        return {name: entry.answer for name, entry in self._names.items() if entry.answer is not None}
