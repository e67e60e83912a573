"""What the `sidecar` proxy of a host does: how its applications reach services, and how others reach them."""

from __future__ import annotations

from collections.abc import Iterator

from meshd.compiler.captured import virtual_outbound
from meshd.compiler.host import Host
from meshd.compiler.inbound import inbound
from meshd.compiler.listeners import Outbound
from meshd.compiler.part import Part, Planned, planned
from meshd.compiler.port_listeners import Bound
from meshd.compiler.reach import Reach
from meshd.compiler.unknown_traffic import clusters_in_use, nobody, unknown_traffic
from meshd.compiler.upstream import Upstream
from meshd.compiler.view import View
from meshd.memo import Memo
from meshd.mesh.mesh import Mesh
from meshd.mesh.selection import sidecar_for
from meshd.plan import ByEds, Cluster, HttpChain, Listener, OriginalDestination
from meshd.resources.sidecar import Sidecar


def sidecar_plan(mesh: Mesh, host: Host, reach: Reach, memo: Memo) -> Planned:
    sidecar = sidecar_for(mesh, host.client)
    outward = outbound(View(mesh, host, memo), sidecar, reach)
    return planned("sidecar", host, outward, inbound(mesh, host, sidecar, reach, memo))


def outbound(view: View, sidecar: Sidecar | None, reach: Reach) -> Part:
    """A Sidecar without `egress` offers everything, as does none: where it is captured, and on the HTTP proxy port."""
    asked = view.host.settings.http_proxy_port
    captures = reach.capture == "nftables"
    egress = sidecar.egress if sidecar else ()
    everything = view.scope(*egress)
    for service in everything.services.values():
        view.upstream(service)
    unknown = unknown_traffic(view, sidecar, everything)
    side = Outbound(view=view, everything=everything, unknown=unknown, captures=captures)
    bound = list(side.listeners(egress, reach.http_proxy_port if asked is None else asked))
    listeners = [*_made(bound), *(virtual_outbound(view, unknown) if captures else ())]
    past = tuple(clusters_in_use(unknown, captures=captures, proxies=any(map(_is_proxy, listeners))))
    upstreams = [each for each in view.upstreams if captures or each.service.resolution != "NONE"]
    return Part(
        clusters=(*(cluster for each in upstreams for cluster in _usable(each, captures=captures)), *past),
        endpoints=(
            *(assigned for each in upstreams for assigned in each.endpoints),
            *(view.memo.recall(nobody, cluster) for cluster in past if isinstance(cluster.discovery, ByEds)),
        ),
        listeners=tuple(listeners),
        route_tables=tuple({table.name: table for each in bound for table in each.tables}.values()),
        secrets=tuple(secret for each in upstreams for secret in each.secrets),
        problems=(*unknown.problems, *(problem for each in bound for problem in each.problems)),
    )


def _made(bound: list[Bound]) -> Iterator[Listener]:
    return (each.listener for each in bound if each.listener)


def _is_proxy(listener: Listener) -> bool:
    return any(isinstance(chain, HttpChain) and chain.absolute_urls for chain in listener.chains)


def _usable(upstream: Upstream, *, captures: bool) -> Iterator[Cluster]:
    """Without capture nobody knows where a connection was going."""
    for cluster in upstream.clusters:
        if captures or not isinstance(cluster.discovery, OriginalDestination):
            yield cluster
