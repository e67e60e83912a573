"""Who stands beside this host: what Envoy must know to keep requests in its zone without overloading it (spec D-24)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from meshd.compiler.host import Host
from meshd.compiler.upstream.endpoints import address, in_order, port_at
from meshd.memo import Memo
from meshd.mesh.mesh import Mesh
from meshd.names import LOCAL_CLUSTER
from meshd.plan import ClusterEndpoints, Endpoint, IpAddress, ProxyPlan
from meshd.registry.service import Instance, Service


def with_zone_peers(plan: ProxyPlan, mesh: Mesh, host: Host, memo: Memo) -> ProxyPlan:
    """The plan itself while none of its clusters is zone aware: it is of use to nothing else."""
    if not any(cluster.zone_aware and cluster.zone_aware.enabled for cluster in plan.clusters):
        return plan
    services = (service for found in mesh.services.values() for service in found)
    peers = memo.recall(_peers, host, *services)
    return replace(plan, endpoints=tuple(sorted((*plan.endpoints, peers), key=lambda each: each.cluster)))


def _peers(host: Host, *services: Service) -> ClusterEndpoints:
    """The instances of what this host implements: they share its zone's load. Only where they are is looked at."""
    found = {
        (endpoint.address, endpoint.port): endpoint
        for service in services
        if any(_is_here(instance, host) for instance in service.instances)
        for endpoint in _endpoints(service)
    }
    return ClusterEndpoints(cluster=LOCAL_CLUSTER, endpoints=in_order(found.values()), origin=host.settings.origin)


def _endpoints(service: Service) -> Iterator[Endpoint]:
    for port in service.ports:
        for instance in service.instances_of(port):
            if instance.address:
                where = address(instance.address, first_only=False)
                yield Endpoint(address=where, port=port_at(where, instance.port_for(port)), locality=instance.locality)


def _is_here(instance: Instance, host: Host) -> bool:
    if instance.workload:
        return instance.workload in host.workloads
    where = address(instance.address, first_only=False)
    return isinstance(where, IpAddress) and where.ip in host.addresses
