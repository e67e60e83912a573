"""The mesh as this host sees it in one pass: its services, the rules for them, and every upstream that it needs."""

from __future__ import annotations

from collections.abc import Iterable

from meshd.compiler.destinations import destination_hosts
from meshd.compiler.host import Host
from meshd.compiler.matches import Entrance, is_mesh
from meshd.compiler.routes import Routes, routes
from meshd.compiler.upstream import Upstream, upstream
from meshd.memo import Memo
from meshd.mesh.client import Client
from meshd.mesh.gateways import MESH
from meshd.mesh.mesh import Mesh
from meshd.mesh.visibility import Scope, destination_of, scope
from meshd.names import ProxyName, ServiceHost
from meshd.registry.host_table import HostTable
from meshd.registry.service import Service
from meshd.resources.sidecar import IstioEgressListener
from meshd.resources.virtual_service import VirtualService


class View:
    """Asks for each thing once per pass; what it finds is the same object as in the last pass while its parts are."""

    __slots__ = ("_mesh", "_rules", "_upstreams", "host", "memo", "proxy")

    def __init__(self, mesh: Mesh, host: Host, memo: Memo, proxy: ProxyName = "sidecar") -> None:
        self._mesh = mesh
        self._rules = HostTable(mesh.destination_rules)
        self._upstreams: dict[int, Upstream] = {}
        self.host = host
        self.memo = memo
        self.proxy: ProxyName = proxy

    @property
    def upstreams(self) -> Iterable[Upstream]:
        """All that were asked for: what is not listed here, nothing on this host leads to."""
        return self._upstreams.values()

    def scope(self, *egress: IstioEgressListener) -> Scope:
        """What these egress listeners import, and everything when there are none."""
        services = (service for found in self._mesh.services.values() for service in found)
        return Scope(
            client=self.host.client,
            services=self.memo.recall(_visible, self.host.client, len(egress), *egress, *services),
            virtual_services=scope(_without_services(self._mesh), self.host.client, *egress).virtual_services,
        )

    def upstream(self, service: Service) -> Upstream:
        found = self._upstreams.get(id(service))
        if found is None:
            rules = [rule for _, merged in self._rules.covering(service.host) for rule in merged]
            found = self.memo.recall(upstream, service, self.host, self.proxy, *rules)
            self._upstreams[id(service)] = found
        return found

    def routes(self, virtual_service: VirtualService, port: int, within: Scope) -> Routes:
        hosts = self.memo.recall(destination_hosts, virtual_service, self.host.settings.domain_suffix)
        services = (destination_of(self._mesh, host, within) for host in hosts)
        destinations = [self.upstream(service) for service in services if service]
        entrance = self.memo.recall(_from_mesh, self.host, port)
        return self.memo.recall(routes, virtual_service, self.host, entrance, *destinations)


def _from_mesh(host: Host, port: int) -> Entrance:
    return Entrance(gateways=frozenset({MESH}), client=host.client, port=port)


def speaks_http_to_mesh(virtual_service: VirtualService) -> bool:
    """It has `http` rules, and some of them are for sidecars."""
    gateways = virtual_service.gateways
    return any(
        is_mesh(gateways) or any(MESH in match.gateways for match in rule.match) for rule in virtual_service.http
    )


def _visible(client: Client, count: int, *parts: IstioEgressListener | Service) -> dict[ServiceHost, Service]:
    """`parts`: egress listeners, `count` of them, then all services of the mesh."""
    egress = [part for part in parts[:count] if isinstance(part, IstioEgressListener)]
    by_host: dict[ServiceHost, list[Service]] = {}
    for part in parts[count:]:
        if isinstance(part, Service):
            by_host.setdefault(part.host, []).append(part)
    services = {host: tuple(found) for host, found in by_host.items()}
    return dict(scope(Mesh(services=services), client, *egress).services)


def _without_services(mesh: Mesh) -> Mesh:
    return Mesh(settings=mesh.settings, virtual_services=mesh.virtual_services)
