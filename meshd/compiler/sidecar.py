"""What the `sidecar` proxy of a host does: how its applications reach services, and how others reach them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from meshd.compiler.host import Host
from meshd.compiler.inbound.inbound import inbound
from meshd.compiler.outbound.captured import virtual_outbound
from meshd.compiler.outbound.listeners import Outbound
from meshd.compiler.outbound.port_listeners import Bound
from meshd.compiler.outbound.unknown_traffic import clusters_in_use, fixed, unknown_traffic
from meshd.compiler.outbound_proxy import with_outbound_proxy
from meshd.compiler.part import Part, Planned, planned
from meshd.compiler.reach import Reach
from meshd.compiler.upstream.upstream import Upstream
from meshd.compiler.view import View
from meshd.memo import Memo
from meshd.mesh.mesh import Mesh
from meshd.mesh.selection import sidecar_for
from meshd.plan import Bind, ByEds, Cluster, ClusterEndpoints, HttpChain, IpAddress, Listener, SocketBind
from meshd.problems import Origin, Problem
from meshd.resources.sidecar import Sidecar


def sidecar_plan(mesh: Mesh, host: Host, reach: Reach, memo: Memo) -> Planned:
    sidecar = sidecar_for(mesh, host.client)
    inward = inbound(mesh, host, sidecar, reach, memo)
    outward = _outbound(View(mesh, host, memo), sidecar, reach, dict(_taken(inward)))
    return planned("sidecar", host, memo, *with_outbound_proxy(host, memo, outward, inward))


def _outbound(view: View, sidecar: Sidecar | None, reach: Reach, taken: Mapping[Bind, Origin]) -> Part:
    """A Sidecar without `egress` offers everything, as does none: where it is captured, and on the HTTP proxy port."""
    asked = view.host.settings.http_proxy_port
    captures = reach.capture == "nftables"
    egress = sidecar.egress if sidecar else ()
    everything = view.scope(*egress)
    for service in everything.services.values():
        view.upstream(service)
    unknown = unknown_traffic(view, sidecar, everything)
    side = Outbound(view=view, everything=everything, unknown=unknown, captures=captures)
    wanted = side.listeners(egress, reach.http_proxy_port if asked is None else asked)
    bound = [_unless_taken(each, taken) for each in wanted]
    listeners = [*_made(bound), *(virtual_outbound(view, unknown) if captures else ())]
    past = tuple(clusters_in_use(unknown, captures=captures, proxies=any(map(_is_proxy, listeners))))
    upstreams = [each for each in view.upstreams if captures or any(_usable(each, captures=captures))]
    return Part(
        clusters=(*(cluster for each in upstreams for cluster in _usable(each, captures=captures)), *past),
        endpoints=(
            *(assigned for each in upstreams for assigned in each.endpoints if captures or _is_known(each, assigned)),
            *(view.memo.recall(fixed, cluster) for cluster in past if isinstance(cluster.discovery, ByEds)),
        ),
        listeners=tuple(listeners),
        route_tables=tuple({table.name: table for each in bound for table in each.tables}.values()),
        secrets=tuple(secret for each in upstreams for secret in each.secrets),
        problems=(*unknown.problems, *(problem for each in bound for problem in each.problems)),
    )


def _taken(inward: Part) -> Iterator[tuple[Bind, Origin]]:
    """Where the applications of this host answer themselves, and where others come in to reach them."""
    for listener in inward.listeners:
        if listener.bound:
            yield listener.bind, listener.origin
    for assigned in inward.endpoints:
        for endpoint in assigned.endpoints:
            if isinstance(endpoint.address, IpAddress):
                yield SocketBind(ip=endpoint.address.ip, port=endpoint.port), assigned.origin


def _unless_taken(found: Bound, taken: Mapping[Bind, Origin]) -> Bound:
    listener = found.listener
    if listener is None or not listener.bound or listener.bind not in taken:
        return found
    message = f"{listener.name} is for what comes in to this host ({taken[listener.bind]}), so nothing is offered there"
    hint = "give one of them another port, or a bind of its own"
    return Bound(problems=(Problem(code="W-SC-PORT-TAKEN", at=listener.origin, message=message, hint=hint),))


def _made(bound: list[Bound]) -> Iterator[Listener]:
    return (each.listener for each in bound if each.listener)


def _is_proxy(listener: Listener) -> bool:
    return any(isinstance(chain, HttpChain) and chain.absolute_urls for chain in listener.chains)


def _is_known(upstream: Upstream, assigned: ClusterEndpoints) -> bool:
    return assigned.cluster not in upstream.dialled


def _usable(upstream: Upstream, *, captures: bool) -> Iterator[Cluster]:
    """Without capture nobody knows where a connection was going."""
    for cluster in upstream.clusters:
        if captures or cluster.name not in upstream.dialled:
            yield cluster
