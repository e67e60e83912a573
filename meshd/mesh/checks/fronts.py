"""The ports at which the hosts of a VirtualService are called, and rules that no port of them ever uses (spec 5.12)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from meshd.mesh.gateways import MESH
from meshd.mesh.named import Asking, Named, Speaks, named_by
from meshd.mesh.visibility import hosts_of
from meshd.names import ServiceHost
from meshd.problems import Problem
from meshd.registry.hosts import is_wildcard
from meshd.registry.service import Port, Service
from meshd.resources.virtual_service import VirtualService

_NAMES: Final[dict[Speaks, str]] = {"http": "HTTP", "tls": "HTTPS or TLS", "tcp": "TCP"}


class Fronts:
    """What the registry says of the hosts of one VirtualService; nothing where it does not know them all."""

    __slots__ = ("_ports", "_virtual_service")

    def __init__(
        self, virtual_service: VirtualService, services: Mapping[ServiceHost, tuple[Service, ...]], domain_suffix: str
    ) -> None:
        self._virtual_service = virtual_service
        hosts = hosts_of(virtual_service, domain_suffix)
        known = not any(is_wildcard(host) or host not in services for host in hosts)
        found = (service for host in hosts for service in services[host]) if known else ()
        self._ports = tuple(port for service in found for port in service.ports)

    def asked(self, asking: Asking) -> frozenset[int]:
        """The ports that a request for this rule may have been sent to; empty where that cannot be told here."""
        if asking.ports or asking.through != {MESH}:
            return asking.ports
        return frozenset(port.number for port in self._ports if port.family == asking.speaks)

    def never_acts(self, asking: Asking) -> bool:
        """A sidecar applies each kind of rule to ports of its own family only; a gateway asks its servers instead."""
        return (
            bool(self._ports) and asking.through == {MESH} and all(port.family != asking.speaks for port in self._ports)
        )

    def problems(self) -> Iterator[Problem]:
        """One for each kind of rule, at the first that never acts. For http it is an error (spec 3.5)."""
        first: dict[Speaks, Named] = {}
        for each in named_by(self._virtual_service):
            if each.asking.speaks not in first and self.never_acts(each.asking):
                first[each.asking.speaks] = each
        for speaks in first:
            yield self._problem(speaks)

    def _problem(self, speaks: Speaks) -> Problem:
        ports = ", ".join(map(_described, self._ports))
        return Problem(
            code="E-VS-PORT-PROTOCOL" if speaks == "http" else "W-VALUE",
            at=self._virtual_service.origin.at(speaks),
            message=f"no port of these hosts is {_NAMES[speaks]}, so that {speaks} routes never act: port {ports}",
            hint="give the port protocol HTTP, HTTP2 or GRPC, or a name such as 'http-web'"
            if speaks == "http"
            else f"write {' or '.join(sorted({port.family for port in self._ports}))} routes instead",
        )


def _described(port: Port) -> str:
    return f"{port.number} is {port.protocol} ({port.origin})"
