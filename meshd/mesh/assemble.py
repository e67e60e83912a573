"""Resources become a mesh: services, merged rules and all that is looked up by host. Makes no judgement of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from meshd.memo import Memo
from meshd.mesh.mesh import Mesh
from meshd.mesh.rules import merged_rules
from meshd.mesh.visibility import hosts_of
from meshd.names import ServiceHost
from meshd.problems import Problems
from meshd.registry.precedence import by_age
from meshd.registry.services import registry
from meshd.registry.settings import settle
from meshd.registry.workloads import workloads_by_host
from meshd.resources.destination_rule import DestinationRule
from meshd.resources.mesh_config import MeshConfig
from meshd.resources.resource import Resource
from meshd.resources.service_entry import ServiceEntry
from meshd.resources.sidecar import Sidecar
from meshd.resources.virtual_service import VirtualService
from meshd.resources.workload_entry import WorkloadEntry

R = TypeVar("R", bound=Resource)


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembled:
    """`problems`: what became apparent while resources were put together."""

    mesh: Mesh
    problems: Problems


def assemble(resources: Iterable[Resource], memo: Memo) -> Assembled:
    """Services and merged rules are the very same objects as in the last pass while their parts are."""
    kinds: dict[type[Resource], list[Resource]] = {}
    for resource in resources:
        kinds.setdefault(type(resource), []).append(resource)
    settings = memo.recall(settle, next(iter(_of(kinds, MeshConfig)), None))
    workloads = _of(kinds, WorkloadEntry)
    built = registry(_of(kinds, ServiceEntry), workloads, memo)
    mesh = Mesh(
        settings=settings,
        services=built.services,
        virtual_services=_by_host(_of(kinds, VirtualService), settings.domain_suffix, memo),
        destination_rules=merged_rules(_of(kinds, DestinationRule), settings.domain_suffix, memo),
        sidecars=_of(kinds, Sidecar),
        workloads=workloads_by_host(workloads),
    )
    return Assembled(mesh=mesh, problems=built.problems)


def _of(kinds: dict[type[Resource], list[Resource]], kind: type[R]) -> tuple[R, ...]:
    return by_age(resource for resource in kinds.get(kind, ()) if isinstance(resource, kind))


def _by_host(
    virtual_services: Iterable[VirtualService], domain_suffix: str, memo: Memo
) -> dict[ServiceHost, tuple[VirtualService, ...]]:
    by_host: dict[ServiceHost, list[VirtualService]] = {}
    for virtual_service in virtual_services:
        for host in memo.recall(hosts_of, virtual_service, domain_suffix):
            by_host.setdefault(host, []).append(virtual_service)
    return {host: tuple(found) for host, found in by_host.items()}
