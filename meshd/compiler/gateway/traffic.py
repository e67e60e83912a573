"""What VirtualServices make of the traffic of one gateway, and which clusters that leads to (spec 4.4)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from meshd.compiler.destinations import destination_hosts
from meshd.compiler.gateway.chains import Connections, connections, passed_on
from meshd.compiler.gateway.passthrough import Passed, passthroughs
from meshd.compiler.gateway.server_tls import Termination
from meshd.compiler.host import Host
from meshd.compiler.http.matches import Entrance, Scheme
from meshd.compiler.http.routes import Routes, routes
from meshd.compiler.upstream.upstream import Upstream
from meshd.compiler.view import View
from meshd.memo import Memo
from meshd.mesh.bindings import Binding, Bindings, by_gateway
from meshd.mesh.gateways import GatewayName, GatewayServer, bound_to
from meshd.mesh.mesh import Mesh
from meshd.mesh.named import named_by
from meshd.mesh.visibility import service_for
from meshd.names import ClusterName, Namespace, ServiceHost
from meshd.plan import DynamicDns, Forward
from meshd.registry.hosts import complete
from meshd.registry.service import Port, Service
from meshd.resources.virtual_service import VirtualService

ByHost = Mapping[ServiceHost, tuple[VirtualService, ...]]


class Traffic:
    """Asks for each thing once per pass; what it finds is the same object as in the last pass while its parts are."""

    __slots__ = ("_bindings", "_by_gateway", "_destinations", "_looked_up", "_mesh", "_used", "host", "memo", "view")

    def __init__(self, mesh: Mesh, host: Host, memo: Memo) -> None:
        self._mesh = mesh
        self._by_gateway = memo.recall(_by_gateway, mesh.virtual_services)
        self._bindings: dict[GatewayName, Bindings] = {}
        self._destinations: dict[int, list[Upstream]] = {}
        self._looked_up: set[ClusterName] = set()
        self._used: set[ClusterName] = set()
        self.host = host
        self.memo = memo
        self.view = View(mesh, host, memo, "gateway")

    @property
    def namespace(self) -> Namespace:
        """That of the gateway's workload: whatever is exported to it is seen here."""
        return self.host.client.namespace

    @property
    def used(self) -> frozenset[ClusterName]:
        """The clusters that something here leads to."""
        return frozenset(self._used)

    def bindings(self, each: GatewayServer) -> tuple[Binding, ...]:
        """The VirtualServices of a server, in the order of V-8."""
        bindings = self._bindings.get(each.name)
        if bindings is None:
            named = self._by_gateway.get(each.name, ())
            suffix = self.host.settings.domain_suffix
            bindings = self.memo.recall(_of_gateway, each.name, self.namespace, suffix, *named)
            self._bindings[each.name] = bindings
        return self.memo.recall(_of_server, each, bindings)

    def routes(self, virtual_service: VirtualService, entrance: Entrance) -> Routes:
        destinations = self._upstreams(virtual_service)
        found = self.memo.recall(routes, virtual_service, self.host, entrance, *destinations)
        self._used |= self.memo.recall(_clusters, found)
        return found

    def connections(
        self, virtual_service: VirtualService, entrance: Entrance, termination: Termination | None, names: str
    ) -> Connections:
        destinations = self._upstreams(virtual_service)
        return self._using(
            self.memo.recall(connections, virtual_service, self.host, entrance, termination, names, *destinations)
        )

    def passed_on(self, virtual_service: VirtualService, entrance: Entrance, each: GatewayServer) -> Connections:
        destinations = self._upstreams(virtual_service)
        return self._using(self.memo.recall(passed_on, virtual_service, self.host, entrance, each, *destinations))

    def passthroughs(self, each: GatewayServer) -> list[Passed]:
        """What a server passes on by the names that clients of the mesh ask for."""
        return list(passthroughs(self._mesh, self.host, self.memo, each))

    def entrance(self, via: Iterable[GatewayName], port: int, scheme: Scheme, *, captured: bool = False) -> Entrance:
        return self.memo.recall(_entrance, self.host, " ".join(via), port, scheme, captured)

    def is_led_to(self, service: Service, port: Port, subsets: frozenset[str]) -> bool:
        """Whether a route of anybody leads to one of these subsets of the port."""
        if not subsets:
            return False
        wanted = {(service.host, number, subset) for number in (0, port.number) for subset in subsets}
        suffix = self.host.settings.domain_suffix
        each_once = {id(each): each for sharing in self._mesh.virtual_services.values() for each in sharing}
        return any(wanted & self.memo.recall(_subsets_led_to, each, suffix) for each in each_once.values())

    def _using(self, found: Connections) -> Connections:
        self._used.update(to.cluster for chain in found.chains for to in chain.destinations)
        return found

    def leads_to_names(self, found: Iterable[Routes]) -> bool:
        """Whether some of these routes lead to a cluster that looks up what each request asks for."""
        return bool(self._looked_up) and any(
            not self._looked_up.isdisjoint(self.memo.recall(_clusters, each)) for each in found
        )

    def _upstreams(self, virtual_service: VirtualService) -> list[Upstream]:
        found = self._destinations.get(id(virtual_service))
        if found is None:
            found = list(map(self.view.upstream, self._services(virtual_service)))
            self._destinations[id(virtual_service)] = found
            dynamic = (each for each in found if each.service.resolution == "DYNAMIC_DNS")
            clusters = (cluster for each in dynamic for cluster in each.clusters)
            self._looked_up.update(each.name for each in clusters if isinstance(each.discovery, DynamicDns))
        return found

    def _services(self, virtual_service: VirtualService) -> Iterator[Service]:
        """4.4: a service of the VirtualService's own namespace comes before others of the same host."""
        hosts = self.memo.recall(destination_hosts, virtual_service, self.host.settings.domain_suffix)
        home = Namespace(virtual_service.metadata.namespace)
        services = (service_for(self._mesh.services.get(host, ()), self.host.client, home) for host in hosts)
        return (service for service in services if service)


def _by_gateway(virtual_services: ByHost) -> dict[GatewayName, tuple[VirtualService, ...]]:
    each_once = {id(each): each for sharing in virtual_services.values() for each in sharing}
    return by_gateway(each_once.values())


def _of_gateway(name: GatewayName, namespace: Namespace, suffix: str, *named: VirtualService) -> Bindings:
    return Bindings(bound_to(named, name, namespace), suffix)


def _of_server(each: GatewayServer, bindings: Bindings) -> tuple[Binding, ...]:
    return tuple(bindings.to(each.hosts))


def _subsets_led_to(virtual_service: VirtualService, suffix: str) -> frozenset[tuple[ServiceHost, int, str]]:
    """Port 0 where a route names none."""
    namespace = Namespace(virtual_service.metadata.namespace)
    named = (each.destination for each in named_by(virtual_service))
    return frozenset(
        (complete(each.host, namespace, suffix), each.port.number if each.port else 0, each.subset)
        for each in named
        if each.subset
    )


def _entrance(host: Host, via: str, port: int, scheme: Scheme, captured: bool) -> Entrance:  # noqa: FBT001
    gateways = frozenset(map(GatewayName, via.split()))
    return Entrance(gateways=gateways, client=host.client, port=port, scheme=scheme, captured=captured)


def _clusters(found: Routes) -> frozenset[ClusterName]:
    forwards = [route.action for route in found.routes if isinstance(route.action, Forward)]
    destinations = (to.cluster for forward in forwards for to in forward.destinations)
    return frozenset((*destinations, *(mirror.cluster for forward in forwards for mirror in forward.mirrors)))
