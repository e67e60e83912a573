"""The mesh as this host sees it in one pass: its services, the rules for them, and every upstream that it needs."""

from __future__ import annotations

from collections.abc import Iterable

from meshd.compiler.destinations import destination_hosts
from meshd.compiler.host import Host
from meshd.compiler.http.matches import Entrance
from meshd.compiler.http.routes import Routes, routes
from meshd.compiler.upstream.upstream import Upstream, upstream
from meshd.memo import Memo
from meshd.mesh.client import Client
from meshd.mesh.gateways import MESH
from meshd.mesh.mesh import Mesh
from meshd.mesh.visibility import Scope, destination_of, scope
from meshd.names import ClusterName, ProxyName, ServiceHost
from meshd.plan import DynamicDns
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

    def routes(self, virtual_service: VirtualService, port: int, within: Scope, *, captured: bool = False) -> Routes:
        """What becomes of the requests that applications on this host send to a port."""
        destinations = self.destinations(virtual_service, within)
        return self.memo.recall(routes, virtual_service, self.host, self.entrance(port, captured), *destinations)

    def destinations(self, virtual_service: VirtualService, within: Scope) -> list[Upstream]:
        """The services that its rules lead to, imported or not; those that the host must not see are not there."""
        hosts = self.memo.recall(destination_hosts, virtual_service, self.host.settings.domain_suffix)
        services = (self.service(host, within) for host in hosts)
        return [self.upstream(service) for service in services if service]

    @property
    def dynamic_clusters(self) -> frozenset[ClusterName]:
        """Those that look up the name which a request asks for."""
        waiting = (each for each in self.upstreams if each.service.resolution == "DYNAMIC_DNS")
        clusters = (cluster for each in waiting for cluster in each.clusters)
        return frozenset(each.name for each in clusters if isinstance(each.discovery, DynamicDns))

    def service(self, host: ServiceHost, within: Scope) -> Service | None:
        return destination_of(self._mesh, host, within)

    def entrance(self, port: int, captured: bool) -> Entrance:  # noqa: FBT001
        """Of this host's own applications."""
        return self.memo.recall(_from_mesh, self.host, port, captured)


def _from_mesh(host: Host, port: int, captured: bool) -> Entrance:  # noqa: FBT001
    return Entrance(gateways=frozenset({MESH}), client=host.client, port=port, captured=captured)


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
