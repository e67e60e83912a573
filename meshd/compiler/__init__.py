"""(mesh, host) -> the plan of each of its proxies. All Istio meaning ends in this room; no Envoy syntax enters it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from meshd.compiler.gateway.gateway import gateway_plan
from meshd.compiler.host import Host, host_of, standing_for, unknown
from meshd.compiler.part import Planned
from meshd.compiler.probes import probing
from meshd.compiler.reach import Reach
from meshd.compiler.sidecar import sidecar_plan
from meshd.compiler.uncaptured import uncaptured
from meshd.compiler.upstream.zone_peers import with_zone_peers
from meshd.memo import Memo
from meshd.mesh.gateways import workload_of
from meshd.mesh.mesh import Mesh
from meshd.mesh.sources import implemented
from meshd.names import HostName, ProxyName
from meshd.plan import Bind, InternalBind, Listener, Probe, ProxyPlan
from meshd.problems import Problem, Problems, in_order
from meshd.resources.workload_entry import WorkloadEntry

__all__ = ["Compiled", "Reach", "compile_plan"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """`problems` are those that only this host has; `probes` are of its own workloads.

    `ailments`: what the agent's own settings keep this host from doing. They are no reason to refuse a revision: the
    host would be left behind, or thrown back to before anybody asked for it.
    """

    plans: tuple[ProxyPlan, ...]
    probes: tuple[Probe, ...] = ()
    problems: Problems
    ailments: Problems = ()


def compile_plan(mesh: Mesh, host: HostName, reach: Reach, memo: Memo) -> Compiled:
    """What each proxy of the host must do. What has not changed since the last pass is the very same object again."""
    here = host_of(mesh, host, memo)
    if here is None:
        return Compiled(plans=(), problems=(unknown(mesh, host),))
    found = [*_sidecar(mesh, here, reach, memo), *_gateway(mesh, here, memo)]
    probed = probing(mesh, host, reach, memo)
    return Compiled(
        plans=tuple(with_zone_peers(each.plan, mesh, here, memo) for each in found),
        probes=probed.probes,
        problems=in_order((*(problem for each in found for problem in each.problems), *_contested(found))),
        ailments=in_order(probed.problems),
    )


def _sidecar(mesh: Mesh, host: Host, reach: Reach, memo: Memo) -> Iterator[Planned]:
    entry = workload_of(mesh, host.name, "sidecar", memo)
    if entry:
        seen = mesh if reach.capture == "nftables" else uncaptured(mesh, memo)
        yield sidecar_plan(seen, _standing_for(mesh, host, "sidecar", entry, memo), reach, memo)


def _gateway(mesh: Mesh, host: Host, memo: Memo) -> Iterator[Planned]:
    entry = workload_of(mesh, host.name, "gateway", memo)
    if entry:
        alone = workload_of(mesh, host.name, "sidecar", memo) is None
        here = _standing_for(mesh, host, "gateway", entry, memo)
        yield gateway_plan(uncaptured(mesh, memo), here, entry, memo, alone=alone)


def _standing_for(mesh: Mesh, host: Host, proxy: ProxyName, entry: WorkloadEntry, memo: Memo) -> Host:
    return memo.recall(standing_for, host, entry, implemented(mesh, host.name, proxy, memo))


def _is_bound(listener: Listener) -> bool:
    return listener.bound and not isinstance(listener.bind, InternalBind)


def _contested(found: Iterable[Planned]) -> Iterator[Problem]:
    """Envoys of one user may bind the same address, and then each gets some of its connections, by chance."""
    owners: dict[Bind, Listener] = {}
    for listener in (listener for each in found for listener in each.plan.listeners if _is_bound(listener)):
        other = owners.setdefault(listener.bind, listener)
        if other is not listener:
            yield Problem(
                code="W-SC-PORT-TAKEN",
                at=listener.origin,
                message=f"{listener.name} is bound by the sidecar of this host too ({other.origin})",
                hint="give one of them another port, or a bind of its own",
            )
