"""One look-up of one name: its families asked in parallel, nameserver after nameserver, with ever more patience."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TypeVar

import dns.exception
import dns.message
import dns.name
import dns.rdatatype

from meshd.names import DnsName
from meshd.resolve.answer import Reason, most_telling
from meshd.resolve.exchange import GarbledError, ask
from meshd.resolve.nameservers import Nameserver, Nameservers
from meshd.resolve.reading import Failed, Found, FoundRecords, addresses, records
from meshd.resolve.settings import Family, ResolverSettings

Result = Found | Failed

T = TypeVar("T")
Read = Callable[[dns.message.Message], T | Failed]


class Lookup:
    """Shared by all names. Who has waited in vain at every nameserver waits on in a queue of its own, so that names
    whose servers are slow or dead do not hold up the others.
    """

    def __init__(self, settings: ResolverSettings, nameservers: Nameservers) -> None:
        self.nameservers = nameservers
        self._settings = settings
        self._queries = asyncio.Semaphore(settings.queries)
        self._patient_queries = asyncio.Semaphore(settings.patient_queries)

    async def families(self, name: DnsName) -> dict[Family, Result]:
        families = self._settings.families
        results = await asyncio.gather(*(self._asked_around(name, family, addresses) for family in families))
        return dict(zip(families, results, strict=True))

    async def srv(self, name: DnsName) -> FoundRecords | Failed:
        return await self._asked_around(name, "SRV", records)

    async def _asked_around(self, name: DnsName, kind: str, read: Read[T]) -> T | Failed:
        try:
            query = dns.message.make_query(dns.name.from_text(name), dns.rdatatype.from_text(kind))
        except (dns.exception.DNSException, UnicodeError):
            return Failed("BadName")
        reasons: list[Reason] = []
        for server, patience, queue in self._tries():
            async with queue:
                result = await self._asked(query, server, patience, read)
            if not isinstance(result, Failed):
                return result
            reasons.append(result.reason)
            if not _ask_another(result):
                return result
        return Failed(most_telling(reasons))

    def _tries(self) -> Iterator[tuple[Nameserver, timedelta, asyncio.Semaphore]]:
        for number, patience in enumerate(self._settings.timeouts):
            for server in self.nameservers.in_order():
                yield server, patience, self._patient_queries if number else self._queries

    async def _asked(
        self, query: dns.message.Message, server: Nameserver, patience: timedelta, read: Read[T]
    ) -> T | Failed:
        try:
            response = await ask(query, server, patience.total_seconds())
        except GarbledError:
            self.nameservers.was_silent(server)
            return Failed("Malformed")
        except OSError as error:
            self.nameservers.was_silent(server)
            return Failed("Timeout" if isinstance(error, TimeoutError) else "Unreachable")
        self.nameservers.answered(server)
        try:
            return read(response)
        except dns.exception.DNSException:  # such as aliases in a circle
            return Failed("Malformed")


def _ask_another(failed: Failed) -> bool:
    """Whether another nameserver, or the same once more, could know better."""
    return failed.reason not in ("NXDOMAIN", "NoAnswer", "NoService", "BadName")
