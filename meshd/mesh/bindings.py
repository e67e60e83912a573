"""The VirtualServices of one Gateway by the hosts they name, so that each server finds its own (spec 4.4)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from meshd.mesh.gateways import GatewayName, ServerHost, gateways_of
from meshd.mesh.visibility import hosts_of
from meshd.names import Namespace, ServiceHost
from meshd.registry.host_table import HostTable
from meshd.registry.hosts import is_wildcard, subset_of
from meshd.resources.virtual_service import VirtualService


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """`hosts`: what the VirtualService and the server both mean; of each pair of names the narrower one."""

    virtual_service: VirtualService
    hosts: tuple[ServiceHost, ...]


class Overlapping:
    """A set of hosts, asked for those that have names in common with another host."""

    __slots__ = ("_below", "_hosts", "_table")

    def __init__(self, hosts: Iterable[ServiceHost]) -> None:
        self._hosts = dict.fromkeys(hosts)
        self._table = HostTable(self._hosts)
        self._below: dict[str, list[ServiceHost]] = {}
        for host in self._hosts:
            for suffix in _suffixes(host):
                self._below.setdefault(suffix, []).append(host)

    def with_host(self, host: ServiceHost) -> Iterator[ServiceHost]:
        """Each once: those that cover it, then those that it covers."""
        yield from (wider for wider, _ in self._table.covering(host))
        if is_wildcard(host):
            yield from (
                narrower for narrower in self._candidates(host) if narrower != host and subset_of(narrower, host)
            )

    def _candidates(self, wildcard: ServiceHost) -> Iterable[ServiceHost]:
        """A wildcard of a whole label has an index; one such as `*foo.com` is rare."""
        return self._below.get(wildcard.removeprefix("*"), ()) if wildcard.startswith("*.") else self._hosts


class Bindings:
    """Answers in the order in which the VirtualServices were given."""

    __slots__ = ("_named", "_naming", "_virtual_services")

    def __init__(self, virtual_services: tuple[VirtualService, ...], domain_suffix: str) -> None:
        self._virtual_services = virtual_services
        self._naming: dict[ServiceHost, list[int]] = {}
        for index, virtual_service in enumerate(virtual_services):
            for host in hosts_of(virtual_service, domain_suffix):
                self._naming.setdefault(host, []).append(index)
        self._named = Overlapping(self._naming)

    def to(self, offered: Iterable[ServerHost]) -> list[Binding]:
        """What binds to a server with these hosts."""
        found: dict[int, dict[ServiceHost, None]] = {}
        for offer in offered:
            for named in self._named.with_host(offer.host):
                narrower = named if subset_of(named, offer.host) else offer.host
                for index in self._naming[named]:
                    if offer.admits(Namespace(self._virtual_services[index].metadata.namespace)):
                        found.setdefault(index, {})[narrower] = None
        return [
            Binding(virtual_service=self._virtual_services[index], hosts=tuple(found[index])) for index in sorted(found)
        ]


def _suffixes(host: ServiceHost) -> Iterator[str]:
    """`.b.c` and `.c` of `a.b.c`, and of `*.b.c`."""
    text = host.removeprefix("*")
    start = text.find(".")
    while start >= 0:
        yield text[start:]
        start = text.find(".", start + 1)


def by_gateway(virtual_services: Iterable[VirtualService]) -> dict[GatewayName, tuple[VirtualService, ...]]:
    """Those that name each Gateway, in the order given."""
    found: dict[GatewayName, list[VirtualService]] = {}
    for virtual_service in virtual_services:
        if virtual_service.gateways:
            for gateway in dict.fromkeys(gateways_of(virtual_service)):
                found.setdefault(gateway, []).append(virtual_service)
    return {gateway: tuple(named) for gateway, named in found.items()}
