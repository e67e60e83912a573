"""What the `gateway` proxy of a host does: what it opens to the world, and where that leads (spec section 4)."""

from __future__ import annotations

from collections.abc import Iterable

from meshd.compiler.gateway.listeners import Opened
from meshd.compiler.gateway.ports import OwnPort, own_ports, target_ports
from meshd.compiler.gateway.proxied import opened_at
from meshd.compiler.gateway.traffic import Traffic
from meshd.compiler.host import Host
from meshd.compiler.outbound_proxy import with_outbound_proxy
from meshd.compiler.part import Part, Planned, planned
from meshd.compiler.upstream.upstream import Upstream
from meshd.memo import Memo
from meshd.mesh.gateways import servers_for
from meshd.mesh.mesh import Mesh
from meshd.mesh.openings import Opening, openings, speaks
from meshd.names import SecretName
from meshd.plan import Cluster
from meshd.problems import Problem
from meshd.registry.service import Port
from meshd.registry.workloads import workload_name
from meshd.resources.workload_entry import WorkloadEntry


def gateway_plan(mesh: Mesh, host: Host, entry: WorkloadEntry, memo: Memo, *, alone: bool) -> Planned:
    """`host`: standing for `entry`, the workload that is the gateway. `alone`: there is no sidecar."""
    own = memo.recall(own_ports, mesh.services, host, workload_name(entry), alone)
    traffic = Traffic(mesh, host, memo)
    places = openings(servers_for(mesh, host.client, memo), target_ports(own))
    found = [
        each
        for place in places
        for each in opened_at(traffic, place, proxy_protocol=_expects_proxy_protocol(traffic, place, own))
    ]
    return planned("gateway", host, memo, *with_outbound_proxy(host, memo, _reached(traffic), _opened(found)))


def _opened(found: Iterable[Opened]) -> Part:
    found = tuple(found)
    return Part(
        clusters=tuple(cluster for each in found for cluster in each.clusters),
        endpoints=tuple(assigned for each in found for assigned in each.endpoints),
        listeners=tuple(each.listener for each in found if each.listener),
        route_tables=tuple(table for each in found for table in each.tables),
        secrets=tuple(secret for each in found for secret in each.secrets),
        problems=tuple(problem for each in found for problem in each.problems),
    )


def _reached(traffic: Traffic) -> Part:
    """Only what something here leads to: a gateway sees the services of the whole mesh, and uses few."""
    used = traffic.used
    leading = [each for each in traffic.view.upstreams if any(cluster.name in used for cluster in each.clusters)]
    first = {each.service.host: each for each in reversed(leading)}
    upstreams = [each for each in leading if first[each.service.host] is each]
    clusters = tuple(cluster for each in upstreams for cluster in each.clusters if cluster.name in used)
    wanted = {name for cluster in clusters for name in _secrets(cluster)}
    return Part(
        clusters=clusters,
        endpoints=tuple(assigned for each in upstreams for assigned in each.endpoints if assigned.cluster in used),
        secrets=tuple(secret for each in upstreams for secret in each.secrets if secret.name in wanted),
        problems=tuple(
            _namesake(each, first[each.service.host]) for each in leading if first[each.service.host] is not each
        ),
    )


def _namesake(upstream: Upstream, first: Upstream) -> Problem:
    """Clusters are called after the host alone (spec 11), so that one proxy cannot have both."""
    service, other = upstream.service, first.service
    return Problem(
        code="W-GW-NAMESAKE",
        at=service.origin,
        message=f"routes of this gateway lead to {service.host} of namespace {service.namespace} and to that of "
        f"{other.namespace} ({other.origin}): all of them go to the latter",
        hint="give the services different hosts",
    )


def _secrets(cluster: Cluster) -> list[SecretName]:
    named = [(tls.validation, tls.certificate) for tls in (cluster.tls, cluster.mesh_tls) if tls]
    return [name for pair in named for name in pair if name]


def _expects_proxy_protocol(traffic: Traffic, opening: Opening, own: tuple[OwnPort, ...]) -> bool:
    """X-10: the DestinationRule of the gateway's own service has its clients send a PROXY header.

    Where only subsets do, those count to which some route leads, and they are for connections: requests carry their
    Host.
    """
    numbers = {each.server.port.number for each in opening.servers}
    for service, port, _ in own:
        if port.number in numbers:
            upstream = traffic.view.upstream(service)
            if upstream.policy(port).proxy_protocol:
                return True
            if speaks(opening.servers[0]) == "tcp" and traffic.is_led_to(service, port, _with_header(upstream, port)):
                return True
    return False


def _with_header(upstream: Upstream, port: Port) -> frozenset[str]:
    """The subsets to which clients send it."""
    clusters = (each for each in upstream.clusters if each.port == port.number and each.subset)
    return frozenset(each.subset for each in clusters if each.proxy_protocol)
