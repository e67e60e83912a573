"""AUTO_PASSTHROUGH: services of the mesh -> a chain and a cluster for each name that clients ask for (spec 4.2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from meshd.compiler.gateway.server_tls import MESH_ALPNS
from meshd.compiler.host import Host
from meshd.compiler.upstream.networks import is_elsewhere
from meshd.compiler.upstream.upstream import Upstream
from meshd.compiler.view import View
from meshd.memo import Memo
from meshd.mesh.gateways import GatewayServer
from meshd.mesh.mesh import Mesh
from meshd.mesh.visibility import service_for
from meshd.names import ClusterName, SubsetName, mesh_sni
from meshd.plan import ByEds, ChainMatch, Cluster, ClusterEndpoints, TcpChain, WeightedCluster
from meshd.registry.hosts import is_wildcard, subset_of
from meshd.registry.service import Service


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """The clusters open no TLS of their own: what comes is the client's, to the end."""

    chains: tuple[TcpChain, ...]
    clusters: tuple[Cluster, ...]
    endpoints: tuple[ClusterEndpoints, ...]


def passthroughs(mesh: Mesh, host: Host, memo: Memo, each: GatewayServer) -> Iterator[Passed]:
    """With a view of its own: what is passed on is for those in this network, and nothing else here leads there."""
    view = View(mesh, host, memo, "gateway")
    for sharing in mesh.services.values():
        service = service_for(sharing, host.client)
        if service and _is_offered(service, each):
            yield memo.recall(_passed, view.upstream(memo.recall(_in_network, service, host)))


def _in_network(service: Service, host: Host) -> Service:
    """Without what runs in other networks, whose gateways would pass it back here."""
    near = tuple(instance for instance in service.instances if not is_elsewhere(instance, host))
    return service if len(near) == len(service.instances) else replace(service, instances=near)


def _is_offered(service: Service, each: GatewayServer) -> bool:
    """Services that are called by one name, and run in the mesh."""
    if service.location != "MESH_INTERNAL" or is_wildcard(service.host) or service.resolution == "NONE":
        return False
    return any(offer.admits(service.namespace) and subset_of(service.host, offer.host) for offer in each.hosts)


def _passed(upstream: Upstream) -> Passed:
    """Who goes to where a connection was going cannot be passed on: that is the gateway itself."""
    clusters = [each for each in upstream.clusters if isinstance(each.discovery, ByEds)]
    names = {each.name: _name(each) for each in clusters}
    return Passed(
        chains=tuple(_chain(names[each.name], each) for each in clusters),
        clusters=tuple(_without_tls(names[each.name], each) for each in clusters),
        endpoints=tuple(
            replace(each, cluster=names[each.cluster]) for each in upstream.endpoints if each.cluster in names
        ),
    )


def _name(cluster: Cluster) -> ClusterName:
    return ClusterName(mesh_sni(cluster.service, cluster.port, SubsetName(cluster.subset)))


def _chain(name: ClusterName, cluster: Cluster) -> TcpChain:
    return TcpChain(
        destinations=(WeightedCluster(cluster=name),),
        stat_prefix=name,
        match=ChainMatch(server_names=(name.lower(),), alpn=MESH_ALPNS),
        origin=cluster.origin,
    )


def _without_tls(name: ClusterName, cluster: Cluster) -> Cluster:
    return replace(cluster, name=name, http=None, tls=None, mesh_tls=None, proxy_protocol=None)
