"""What the `sidecar` proxy of a host does: how its applications reach services, and which clusters that takes."""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter

from meshd.compiler.host import Host
from meshd.compiler.listeners import listeners
from meshd.compiler.view import View
from meshd.memo import Memo
from meshd.mesh.mesh import Mesh
from meshd.mesh.selection import sidecar_for
from meshd.names import DnsName
from meshd.plan import ProxyPlan
from meshd.problems import Problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    plan: ProxyPlan
    problems: Problems


def sidecar_plan(mesh: Mesh, host: Host, http_proxy_port: int, memo: Memo) -> Planned:
    """A Sidecar without `egress` offers everything on the HTTP proxy port and only there, as does none (SC-16)."""
    view = View(mesh, host, memo)
    sidecar = sidecar_for(mesh, host.client)
    egress = sidecar.egress if sidecar else ()
    everything = view.scope(*egress)
    for service in everything.services.values():
        view.upstream(service)
    bound = list(listeners(view, egress, everything, http_proxy_port))
    upstreams = view.upstreams
    dns_names: set[DnsName] = set().union(*(each.dns_names for each in upstreams))
    plan = ProxyPlan(
        proxy="sidecar",
        host=host.name,
        clusters=tuple(sorted((c for each in upstreams for c in each.clusters), key=attrgetter("name"))),
        endpoints=tuple(sorted((e for each in upstreams for e in each.endpoints), key=attrgetter("cluster"))),
        listeners=tuple(sorted((each.listener for each in bound if each.listener), key=attrgetter("name"))),
        route_tables=tuple(sorted((each.table for each in bound if each.table), key=attrgetter("name"))),
        dns_names=tuple(sorted(dns_names)),
    )
    return Planned(plan=plan, problems=tuple(problem for each in bound for problem in each.problems))
