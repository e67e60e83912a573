"""(mesh, host) -> the plan of each of its proxies. All Istio meaning ends in this room; no Envoy syntax enters it."""

from __future__ import annotations

from dataclasses import dataclass

from meshd.compiler.host import host_of, unknown
from meshd.compiler.reach import Reach
from meshd.compiler.sidecar import sidecar_plan
from meshd.memo import Memo
from meshd.mesh.mesh import Mesh
from meshd.names import HostName
from meshd.plan import Probe, ProxyPlan
from meshd.problems import Problems, in_order

__all__ = ["Compiled", "Reach", "compile_plan"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """`problems` are those that only this host has; `probes` are of its own workloads."""

    plans: tuple[ProxyPlan, ...]
    probes: tuple[Probe, ...] = ()
    problems: Problems


def compile_plan(mesh: Mesh, host: HostName, reach: Reach, memo: Memo) -> Compiled:
    """What each proxy of the host must do. What has not changed since the last pass is the very same object again."""
    here = host_of(mesh, host, memo)
    if here is None:
        return Compiled(plans=(), problems=(unknown(mesh, host),))
    sidecar = sidecar_plan(mesh, here, reach, memo)
    return Compiled(plans=(sidecar.plan,), problems=in_order(sidecar.problems))
