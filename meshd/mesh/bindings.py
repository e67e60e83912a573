"""The VirtualServices of one Gateway by the hosts they name, so that each server finds its own (spec 4.4)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from meshd.mesh.gateways import GatewayName, ServerHost, gateways_of
from meshd.mesh.visibility import hosts_of
from meshd.names import Namespace, ServiceHost
from meshd.registry.host_table import HostTable
from meshd.registry.hosts import is_wildcard
from meshd.resources.virtual_service import VirtualService


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """`hosts`: what the VirtualService and the server both mean; of each pair of names the narrower one."""

    virtual_service: VirtualService
    hosts: tuple[ServiceHost, ...]


class Bindings:
    """Answers in the order in which the VirtualServices were given."""

    __slots__ = ("_below", "_naming", "_table", "_virtual_services")

    def __init__(self, virtual_services: tuple[VirtualService, ...], domain_suffix: str) -> None:
        self._virtual_services = virtual_services
        self._naming: dict[ServiceHost, list[int]] = {}
        for index, virtual_service in enumerate(virtual_services):
            for host in hosts_of(virtual_service, domain_suffix):
                self._naming.setdefault(host, []).append(index)
        self._table = HostTable(self._naming)
        self._below: dict[str, list[ServiceHost]] = {}
        for host in self._naming:
            for suffix in _suffixes(host):
                self._below.setdefault(suffix, []).append(host)

    def to(self, offered: Iterable[ServerHost]) -> list[Binding]:
        """What binds to a server with these hosts."""
        found: dict[int, dict[ServiceHost, None]] = {}
        for offer in offered:
            for host, named in self._overlapping(offer.host):
                for index in self._naming[named]:
                    if offer.admits(Namespace(self._virtual_services[index].metadata.namespace)):
                        found.setdefault(index, {})[host] = None
        return [
            Binding(virtual_service=self._virtual_services[index], hosts=tuple(found[index])) for index in sorted(found)
        ]

    def _overlapping(self, offered: ServiceHost) -> Iterator[tuple[ServiceHost, ServiceHost]]:
        """The narrower name, and the one that VirtualServices give. A server's wildcards are whole labels (G-3.7)."""
        for named, _ in self._table.covering(offered):
            yield offered, named
        if is_wildcard(offered):
            below = self._naming if offered == "*" else self._below.get(offered.removeprefix("*"), ())
            yield from ((named, named) for named in below if named != offered)


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
