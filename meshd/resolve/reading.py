"""A nameserver's response comes in; what it says of a name goes out, or the reason why that is of no use."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from meshd.names import DnsName, is_srv
from meshd.resolve.answer import Reason

MOST_ADDRESSES: Final = 512
"""Of one family of one name. No service has more behind one name, but a faulty zone or a hostile one may."""

MOST_TARGETS: Final = 256
"""Of one SRV name: each has to be looked up in turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """In the order of the server; `ttl` is the least of the whole chain of aliases."""

    addresses: tuple[str, ...]
    canonical: str
    ttl: timedelta


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class SrvRecord:
    """Smaller `priority` is tried first; the share is in proportion to `weight`, and 0 is hardly any (RFC 2782)."""

    priority: int
    target: DnsName
    port: int
    weight: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundRecords:
    """Sorted. `additional`: what the server told of the targets unasked."""

    records: tuple[SrvRecord, ...]
    ttl: timedelta
    additional: Mapping[DnsName, Found] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failed:
    reason: Reason


def addresses(response: dns.message.Message) -> Found | Failed:
    chain = _chain(response)
    if isinstance(chain, Failed):
        return chain
    assert chain.answer is not None
    usable = _usable(chain.answer)
    if not usable:
        return Failed("Malformed")
    return Found(addresses=usable, canonical=_plain(chain.canonical_name), ttl=timedelta(seconds=chain.minimum_ttl))


def records(response: dns.message.Message) -> FoundRecords | Failed:
    chain = _chain(response)
    if isinstance(chain, Failed):
        return chain
    assert chain.answer is not None
    told = {
        SrvRecord(priority=each.priority, target=_plain(each.target), port=each.port, weight=each.weight)
        for each in chain.answer
    }
    somewhere = sorted(each for each in told if each.target)
    if not somewhere:
        return Failed("NoService")
    leading = [each for each in somewhere if each.port and not is_srv(each.target)][:MOST_TARGETS]
    if not leading:
        return Failed("Malformed")
    targets = {each.target for each in leading}
    return FoundRecords(
        records=tuple(leading),
        ttl=timedelta(seconds=chain.minimum_ttl),
        additional=_additional(response.additional, targets),
    )


def _chain(response: dns.message.Message) -> dns.message.ChainingResult | Failed:
    """The answer at the end of all aliases."""
    match response.rcode():
        case dns.rcode.NXDOMAIN:
            return Failed("NXDOMAIN")
        case dns.rcode.REFUSED:
            return Failed("REFUSED")
        case dns.rcode.NOERROR if isinstance(response, dns.message.QueryMessage):
            chain = response.resolve_chaining()
            return chain if chain.answer is not None else Failed("NoAnswer")
        case _:
            return Failed("SERVFAIL")


def _additional(told: Iterable[dns.rrset.RRset], targets: set[DnsName]) -> dict[DnsName, Found]:
    found: dict[DnsName, Found] = {}
    for rrset in told:
        name = _plain(rrset.name)
        usable = _usable(rrset) if rrset.rdtype in (dns.rdatatype.A, dns.rdatatype.AAAA) else ()
        if name in targets and usable:
            found[name] = _both(found.get(name), Found(addresses=usable, canonical=name, ttl=_ttl(rrset)))
    return found


def _both(before: Found | None, more: Found) -> Found:
    if before is None:
        return more
    together = (*before.addresses, *more.addresses)
    return Found(addresses=together, canonical=more.canonical, ttl=min(before.ttl, more.ttl))


def _usable(answer: dns.rrset.RRset) -> tuple[str, ...]:
    """Where one host can be reached. `0.0.0.0`, with which filters answer, would be this very host.

    Of too many the first as they sort: the others' turn would be a change each time.
    """
    found = tuple(record.address for record in answer if _is_of_a_host(record.address))
    return found if len(found) <= MOST_ADDRESSES else tuple(sorted(found)[:MOST_ADDRESSES])


def _is_of_a_host(text: str) -> bool:
    ip = ipaddress.ip_address(text)
    return not (ip.is_unspecified or ip.is_multicast or text == "255.255.255.255")


def _ttl(rrset: dns.rrset.RRset) -> timedelta:
    return timedelta(seconds=rrset.ttl)


def _plain(name: dns.name.Name) -> DnsName:
    """The root is empty."""
    return DnsName("" if name == dns.name.root else name.to_text(omit_final_dot=True).lower())
