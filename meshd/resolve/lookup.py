"""One look-up of one name: its families asked in parallel, nameserver after nameserver, over TCP what is truncated."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import dns.asyncquery
import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype

from meshd.names import DnsName
from meshd.resolve.answer import Reason
from meshd.resolve.nameservers import Nameserver, Nameservers
from meshd.resolve.settings import Family, ResolverSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """In the order of the server; `ttl` is the least of the whole chain of aliases."""

    addresses: tuple[str, ...]
    canonical: str
    ttl: timedelta


@dataclass(frozen=True, slots=True)
class Failed:
    reason: Reason


Result = Found | Failed


class Lookup:
    """Shared by all names. The first try of a query and its later ones wait in different queues, so that names whose
    servers are slow or dead do not hold up the others.
    """

    def __init__(self, settings: ResolverSettings, nameservers: Nameservers) -> None:
        self.nameservers = nameservers
        self._settings = settings
        self._first_tries = asyncio.Semaphore(settings.queries)
        self._later_tries = asyncio.Semaphore(settings.patient_queries)

    async def families(self, name: DnsName) -> dict[Family, Result]:
        families = self._settings.families
        results = await asyncio.gather(*(self._family(name, family) for family in families))
        return dict(zip(families, results, strict=True))

    async def _family(self, name: DnsName, family: Family) -> Result:
        try:
            query = dns.message.make_query(dns.name.from_text(name), dns.rdatatype.from_text(family))
        except (dns.exception.DNSException, UnicodeError):
            return Failed("BadName")
        result: Result = Failed("Timeout")
        for number, (server, patience) in enumerate(self._tries()):
            async with self._later_tries if number else self._first_tries:
                result = await self._asked(query, server, patience)
            if not _ask_another(result):
                break
        return result

    def _tries(self) -> Iterator[tuple[Nameserver, timedelta]]:
        for patience in self._settings.timeouts:
            for server in self.nameservers.in_order():
                yield server, patience

    async def _asked(self, query: dns.message.Message, server: Nameserver, patience: timedelta) -> Result:
        seconds = patience.total_seconds()
        try:
            response, _ = await dns.asyncquery.udp_with_fallback(
                query, server.ip, timeout=seconds, port=server.port, ignore_unexpected=True
            )
            result = _read(response)
        except dns.exception.Timeout:
            self.nameservers.was_silent(server)
            return Failed("Timeout")
        except OSError:
            self.nameservers.was_silent(server)
            return Failed("Unreachable")
        except Exception:  # noqa: BLE001 - whatever a lying server makes the parser raise, the next one is asked
            return Failed("Malformed")
        self.nameservers.answered(server)
        return result


def _read(response: dns.message.Message) -> Result:
    match response.rcode():
        case dns.rcode.NXDOMAIN:
            return Failed("NXDOMAIN")
        case dns.rcode.NOERROR:
            return _found(response)
        case dns.rcode.REFUSED:
            return Failed("REFUSED")
        case _:
            return Failed("SERVFAIL")


def _found(response: dns.message.Message) -> Result:
    if not isinstance(response, dns.message.QueryMessage):
        return Failed("Malformed")
    chain = response.resolve_chaining()
    if chain.answer is None:
        return Failed("NoAnswer")
    return Found(
        addresses=tuple(record.address for record in chain.answer),
        canonical=chain.canonical_name.to_text(omit_final_dot=True).lower(),
        ttl=timedelta(seconds=chain.minimum_ttl),
    )


def _ask_another(result: Result) -> bool:
    """Whether another nameserver, or the same once more, could know better."""
    return isinstance(result, Failed) and result.reason in (
        "Timeout",
        "Unreachable",
        "SERVFAIL",
        "REFUSED",
        "Malformed",
    )
