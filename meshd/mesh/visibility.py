"""What a client may call: the services and VirtualServices that exportTo and its Sidecar let it see (SC-13)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from meshd.mesh.client import Client
from meshd.mesh.mesh import Mesh
from meshd.names import Namespace, ServiceHost
from meshd.registry.hosts import canonical, complete, is_wildcard, matches, most_specific, subset_of
from meshd.registry.precedence import exported_to, exports
from meshd.registry.service import Service
from meshd.resources.http_match import MESH
from meshd.resources.sidecar import IstioEgressListener
from meshd.resources.virtual_service import VirtualService

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """One entry of `egress[].hosts`. `namespace` is `*` or a name; `host` a name, a wildcard or `*`."""

    namespace: str
    host: ServiceHost

    def admits(self, namespace: str) -> bool:
        return self.namespace in {"*", namespace}


EVERYTHING = Import(namespace="*", host=ServiceHost("*"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Imports:
    """The hosts of one egress listener; what is excluded is taken away last."""

    included: tuple[Import, ...] = (EVERYTHING,)
    excluded: tuple[Import, ...] = ()

    def admits(self, service: Service) -> bool:
        return any(
            entry.admits(service.namespace) and subset_of(service.host, entry.host) for entry in self.included
        ) and not self.excludes(service.namespace, service.host)

    def admits_hosts(self, namespace: str, hosts: Iterable[ServiceHost]) -> bool:
        """Some host of a VirtualService overlaps what is imported."""
        entries = [entry for entry in self.included if entry.admits(namespace)]
        return any(matches(host, entry.host) for host in hosts for entry in entries)

    def excludes(self, namespace: str, host: ServiceHost) -> bool:
        return any(entry.admits(namespace) and subset_of(host, entry.host) for entry in self.excluded)


_UNRESTRICTED = Imports()


def imports(listener: IstioEgressListener, namespace: Namespace) -> Imports:
    """SC-13: `ns/dnsName` imports, `~ns/dnsName` excludes; a Sidecar of `namespace` means itself by `.`."""
    included: list[Import] = []
    excluded: list[Import] = []
    for host in listener.hosts:
        place, _, name = host.partition("/")
        entries = excluded if place.startswith("~") else included
        place = place.removeprefix("~") or "*"
        entries.append(Import(namespace=namespace if place == "." else place, host=canonical(name)))
    return Imports(included=tuple(included), excluded=tuple(excluded))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What one egress listener offers to a client, or the whole mesh to a client without a Sidecar.

    `services`: the one service that each host means to this client (spec 2.3). `virtual_services`: by each complete
    host they name, wildcards included; ask for the one of a service by `virtual_service_for`.
    """

    client: Client
    services: Mapping[ServiceHost, Service]
    virtual_services: Mapping[ServiceHost, VirtualService]

    def virtual_service_for(self, host: ServiceHost) -> VirtualService | None:
        """The VirtualService of a host: the most specific that names or covers it (spec V-8 and 3.2)."""
        return most_specific(host, self.virtual_services)


def scope(mesh: Mesh, client: Client, *egress: IstioEgressListener) -> Scope:
    """What these egress listeners of the client's Sidecar import, together; all that is exported when there are none.

    The destinations of the VirtualServices in it may lie outside of it: find them by `destination_of`.
    """
    wanted = [imports(listener, client.namespace) for listener in egress] or [_UNRESTRICTED]
    return Scope(
        client=client,
        services=_services(mesh, client, wanted),
        virtual_services=_virtual_services(mesh, client, wanted),
    )


def service_for(services: Iterable[Service], client: Client, first: Namespace | None = None) -> Service | None:
    """Which of the services of one host the client means: that of its own namespace, else the first (spec 2.3).

    `first`: whose service comes before others instead. At a gateway, that of the VirtualService's namespace (4.4).
    """
    preferred = client.namespace if first is None else first
    visible = [service for service in services if service.visible_in(client.namespace)]
    own = (service for service in visible if service.namespace == preferred)
    return next(own, visible[0] if visible else None)


def destination_of(mesh: Mesh, host: ServiceHost, scope: Scope) -> Service | None:
    """The service that a destination's complete host means, imported or not (SC-13: as a cluster only)."""
    return scope.services.get(host) or service_for(mesh.services.get(host, ()), scope.client)


def _services(mesh: Mesh, client: Client, wanted: list[Imports]) -> dict[ServiceHost, Service]:
    found = {}
    for host in _hosts(mesh.services, wanted):
        admitted = [s for s in mesh.services[host] if any(each.admits(s) for each in wanted)]
        service = service_for(admitted, client)
        if service:
            found[host] = service
    return found


def _hosts(table: Mapping[ServiceHost, T], wanted: list[Imports]) -> Iterator[ServiceHost]:
    """The hosts that may be imported, in the table's order; exact imports do not cost a walk over the table."""
    names = {entry.host for each in wanted for entry in each.included}
    if any(is_wildcard(name) for name in names):
        yield from table
    else:
        yield from sorted(name for name in names if name in table)


def _virtual_services(mesh: Mesh, client: Client, wanted: list[Imports]) -> dict[ServiceHost, VirtualService]:
    found: dict[ServiceHost, VirtualService] = {}
    for host, candidates in mesh.virtual_services.items():
        for virtual_service in candidates:
            if host not in found and _sees(mesh, client, wanted, host, virtual_service):
                found[host] = virtual_service
    return found


def _sees(
    mesh: Mesh, client: Client, wanted: list[Imports], host: ServiceHost, virtual_service: VirtualService
) -> bool:
    namespace = Namespace(virtual_service.metadata.namespace)
    if not exported_to(exports(virtual_service.export_to, namespace), client.namespace):
        return False
    if not is_for_mesh(virtual_service):
        return False
    if _UNRESTRICTED in wanted:
        return True
    hosts = hosts_of(virtual_service, mesh.settings.domain_suffix)
    return any(each.admits_hosts(namespace, hosts) and not each.excludes(namespace, host) for each in wanted)


def is_for_mesh(virtual_service: VirtualService) -> bool:
    """Whether sidecars have anything to do with it: it names `mesh`, or no gateway at all. A match cannot add it."""
    return not virtual_service.gateways or MESH in virtual_service.gateways


def hosts_of(virtual_service: VirtualService, domain_suffix: str) -> tuple[ServiceHost, ...]:
    """The complete hosts that a VirtualService names, wildcards included."""
    namespace = Namespace(virtual_service.metadata.namespace)
    return tuple(complete(host, namespace, domain_suffix) for host in virtual_service.hosts)
