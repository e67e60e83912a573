"""What the `sidecar` proxy of a host does: how its applications reach services, and how others reach them."""

from __future__ import annotations

from meshd.compiler.host import Host
from meshd.compiler.listeners import listeners
from meshd.compiler.part import Part, Planned, planned
from meshd.compiler.reach import Reach
from meshd.compiler.view import View
from meshd.memo import Memo
from meshd.mesh.mesh import Mesh
from meshd.mesh.selection import sidecar_for
from meshd.resources.sidecar import Sidecar


def sidecar_plan(mesh: Mesh, host: Host, reach: Reach, memo: Memo) -> Planned:
    sidecar = sidecar_for(mesh, host.client)
    return planned("sidecar", host, outbound(View(mesh, host, memo), sidecar, reach))


def outbound(view: View, sidecar: Sidecar | None, reach: Reach) -> Part:
    """A Sidecar without `egress` offers everything on the HTTP proxy port and only there, as does none (SC-16)."""
    asked = view.host.settings.http_proxy_port
    egress = sidecar.egress if sidecar else ()
    everything = view.scope(*egress)
    for service in everything.services.values():
        view.upstream(service)
    bound = list(listeners(view, egress, everything, reach.http_proxy_port if asked is None else asked))
    upstreams = view.upstreams
    return Part(
        clusters=tuple(cluster for each in upstreams for cluster in each.clusters),
        endpoints=tuple(assigned for each in upstreams for assigned in each.endpoints),
        listeners=tuple(each.listener for each in bound if each.listener),
        route_tables=tuple(each.table for each in bound if each.table),
        secrets=tuple(secret for each in upstreams for secret in each.secrets),
        problems=tuple(problem for each in bound for problem in each.problems),
    )
