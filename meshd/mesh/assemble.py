"""Resources become a mesh: services, merged rules and all that is looked up by host. Makes no judgement of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar, cast

from meshd.convert import Converted, Surroundings, convert, surroundings
from meshd.memo import Memo
from meshd.mesh.delegates import delegated
from meshd.mesh.mesh import Mesh
from meshd.mesh.rules import merged_rules
from meshd.mesh.visibility import hosts_of
from meshd.names import Namespace, ServiceHost
from meshd.problems import Problems
from meshd.registry.groups import Registered, registered
from meshd.registry.precedence import by_age
from meshd.registry.services import registry
from meshd.registry.settings import MeshSettings, settle
from meshd.registry.workloads import workloads_by_host
from meshd.resources.destination_rule import DestinationRule
from meshd.resources.gateway import Gateway
from meshd.resources.legacy import LEGACY_KINDS, LegacyResource
from meshd.resources.mesh_config import MeshConfig
from meshd.resources.resource import Resource
from meshd.resources.service_entry import ServiceEntry
from meshd.resources.sidecar import Sidecar
from meshd.resources.virtual_service import VirtualService
from meshd.resources.workload_entry import WorkloadEntry
from meshd.resources.workload_group import WorkloadGroup

R = TypeVar("R", bound=Resource)


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembled:
    """`problems`: what became apparent while resources were put together. `converted`: what older kinds came to."""

    mesh: Mesh
    converted: Converted
    problems: Problems


def assemble(resources: Iterable[Resource], memo: Memo) -> Assembled:
    """Services and merged rules are the very same objects as in the last pass while their parts are.

    So is each index as a whole while no resource of its kinds changed, whatever became of the others.
    """
    kinds = _Kinds(resources, memo)
    settings = memo.recall(settle, next(iter(kinds.all(MeshConfig)), None))
    groups = memo.recall(_groups, kinds.all(WorkloadGroup))
    joined = memo.recall(registered, kinds.all(WorkloadEntry), groups, memo)
    converted = _converted(kinds, settings, joined, memo)
    kinds = kinds.with_converted(converted.resources)
    built = memo.recall(registry, kinds.all(ServiceEntry), joined.workloads, memo)
    routed = memo.recall(delegated, kinds.all(VirtualService), settings.domain_suffix, memo)
    mesh = Mesh(
        settings=settings,
        services=built.services,
        virtual_services=memo.recall(_by_host, routed.virtual_services, settings.domain_suffix, memo),
        destination_rules=memo.recall(merged_rules, kinds.all(DestinationRule), settings.domain_suffix, memo),
        gateways=kinds.all(Gateway),
        sidecars=kinds.all(Sidecar),
        workloads=memo.recall(workloads_by_host, joined.workloads),
        workload_groups=groups,
    )
    problems = (*joined.problems, *converted.problems, *built.problems, *routed.problems)
    return Assembled(mesh=mesh, converted=converted, problems=problems)


def older_kinds(resources: Iterable[Resource], memo: Memo, *, is_whole: bool) -> Converted:
    """What the older kinds among them come to; `is_whole`: what is not among them is not there."""
    kinds = _Kinds(resources, memo)
    settings = settle(next(iter(kinds.all(MeshConfig)), None))
    joined = registered(kinds.all(WorkloadEntry), _groups(kinds.all(WorkloadGroup)), memo)
    return _converted(kinds, settings, joined, memo, is_whole=is_whole)


def _converted(
    kinds: _Kinds, settings: MeshSettings, joined: Registered, memo: Memo, *, is_whole: bool = True
) -> Converted:
    older = kinds.older()
    if not older:
        return Converted()
    return memo.recall(convert, older, _stage(kinds, settings, joined, memo, is_whole=is_whole), memo)


def _stage(kinds: _Kinds, settings: MeshSettings, joined: Registered, memo: Memo, *, is_whole: bool) -> Surroundings:
    built = memo.recall(registry, kinds.all(ServiceEntry), joined.workloads, memo)
    return memo.recall(
        surroundings,
        settings,
        built.services,
        kinds.all(ServiceEntry),
        kinds.all(VirtualService),
        kinds.all(DestinationRule),
        kinds.all(Gateway),
        joined.workloads,
        is_whole,
    )


class _Kinds:
    """The resources by kind, each kind in the order of spec 2.6."""

    __slots__ = ("_by_kind", "_memo")

    def __init__(self, resources: Iterable[Resource], memo: Memo) -> None:
        self._memo = memo
        self._by_kind: dict[type[Resource], list[Resource]] = {}
        for resource in resources:
            self._by_kind.setdefault(type(resource), []).append(resource)

    def with_converted(self, converted: tuple[Resource, ...]) -> _Kinds:
        return _Kinds((*self._today(), *converted), self._memo) if converted else self

    def _today(self) -> Iterator[Resource]:
        for kind, found in self._by_kind.items():
            if not issubclass(kind, LegacyResource):
                yield from found

    def older(self) -> tuple[LegacyResource, ...]:
        found = (self._by_kind.get(kind, ()) for kind in LEGACY_KINDS)
        return self._memo.recall(_in_one, *cast("list[LegacyResource]", [each for group in found for each in group]))

    def all(self, kind: type[R]) -> tuple[R, ...]:
        return self._memo.recall(_aged, *cast("list[R]", self._by_kind.get(kind, [])))


def _groups(groups: Iterable[WorkloadGroup]) -> dict[tuple[Namespace, str], WorkloadGroup]:
    return {(Namespace(group.metadata.namespace), group.metadata.name): group for group in groups}


def _in_one(*resources: LegacyResource) -> tuple[LegacyResource, ...]:
    return resources


def _aged(*resources: R) -> tuple[R, ...]:
    return by_age(resources)


def _by_host(
    virtual_services: Iterable[VirtualService], domain_suffix: str, memo: Memo
) -> dict[ServiceHost, tuple[VirtualService, ...]]:
    by_host: dict[ServiceHost, list[VirtualService]] = {}
    for virtual_service in virtual_services:
        for host in memo.recall(hosts_of, virtual_service, domain_suffix):
            by_host.setdefault(host, []).append(virtual_service)
    return {host: tuple(found) for host, found in by_host.items()}
