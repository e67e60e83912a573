"""AUTO_PASSTHROUGH: services of the mesh -> a chain and a cluster for each name that clients ask for (spec 4.2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from meshd.compiler.gateway_traffic import Traffic
from meshd.compiler.upstream import Upstream, is_callable
from meshd.mesh.gateways import GatewayServer
from meshd.mesh.visibility import service_for
from meshd.names import ClusterName, SubsetName, mesh_sni
from meshd.plan import ChainMatch, Cluster, ClusterEndpoints, TcpChain, WeightedCluster
from meshd.registry.hosts import is_wildcard, subset_of
from meshd.registry.service import Service

MESH_ALPNS: Final = ("istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2")
"""What peers of the mesh offer, and nobody else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """The clusters open no TLS of their own: what comes is the client's, to the end."""

    chains: tuple[TcpChain, ...]
    clusters: tuple[Cluster, ...]
    endpoints: tuple[ClusterEndpoints, ...]


def passthroughs(traffic: Traffic, each: GatewayServer) -> Iterator[Passed]:
    for sharing in traffic.services.values():
        service = service_for(sharing, traffic.host.client)
        if service and _is_offered(service, each):
            yield traffic.memo.recall(_passed, traffic.view.upstream(service))


def _is_offered(service: Service, each: GatewayServer) -> bool:
    """Services that are called by one name, and run in the mesh."""
    if service.location != "MESH_INTERNAL" or is_wildcard(service.host) or not is_callable(service):
        return False
    return any(offer.admits(service.namespace) and subset_of(service.host, offer.host) for offer in each.hosts)


def _passed(upstream: Upstream) -> Passed:
    names = {each.name: _name(each) for each in upstream.clusters}
    return Passed(
        chains=tuple(_chain(names[each.name], each) for each in upstream.clusters),
        clusters=tuple(_without_tls(names[each.name], each) for each in upstream.clusters),
        endpoints=tuple(replace(each, cluster=names[each.cluster]) for each in upstream.endpoints),
    )


def _name(cluster: Cluster) -> ClusterName:
    return ClusterName(mesh_sni(cluster.service, cluster.port, SubsetName(cluster.subset)))


def _chain(name: ClusterName, cluster: Cluster) -> TcpChain:
    return TcpChain(
        destinations=(WeightedCluster(cluster=name),),
        stat_prefix=name,
        match=ChainMatch(server_names=(name,), alpn=MESH_ALPNS),
        origin=cluster.origin,
    )


def _without_tls(name: ClusterName, cluster: Cluster) -> Cluster:
    return replace(cluster, name=name, http=None, tls=None, mesh_tls=None, proxy_protocol=None)
