"""A mesh prepared for its checks: what several of them ask, found once per pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from meshd.memo import Memo
from meshd.mesh.client import Client
from meshd.mesh.mesh import Mesh
from meshd.mesh.rules import MergedRule
from meshd.names import HostName, Namespace, ServiceHost
from meshd.registry.host_table import HostTable
from meshd.registry.workloads import identity, labels_of
from meshd.resources.virtual_service import VirtualService
from meshd.resources.workload_entry import WorkloadEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class Residents:
    """The VMs of each namespace. `homes`: the namespaces, sorted; the same tuple on the next pass while they are."""

    homes: tuple[Namespace, ...]
    by_namespace: Mapping[Namespace, list[WorkloadEntry]]

    def clients(self, namespaces: Iterable[Namespace], memo: Memo) -> Iterator[Client]:
        for namespace in namespaces:
            for entry in self.by_namespace.get(namespace, ()):
                yield memo.recall(_client, entry)


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    mesh: Mesh
    memo: Memo
    rules: HostTable[tuple[MergedRule, ...]]
    virtual_services: tuple[VirtualService, ...]
    residents: Residents


def survey(mesh: Mesh, memo: Memo) -> Survey:
    return Survey(
        mesh=mesh,
        memo=memo,
        rules=memo.recall(_table, mesh.destination_rules),
        virtual_services=memo.recall(_virtual_services, mesh.virtual_services),
        residents=memo.recall(_residents, mesh.workloads, memo),
    )


def _residents(workloads: Mapping[HostName, tuple[WorkloadEntry, ...]], memo: Memo) -> Residents:
    residents: dict[Namespace, list[WorkloadEntry]] = {}
    for entry in map(identity, workloads.values()):
        residents.setdefault(Namespace(entry.metadata.namespace), []).append(entry)
    return Residents(homes=memo.recall(_namespaces, " ".join(sorted(residents))), by_namespace=residents)


def _table(rules: Mapping[ServiceHost, tuple[MergedRule, ...]]) -> HostTable[tuple[MergedRule, ...]]:
    return HostTable(rules)


def _virtual_services(by_host: Mapping[ServiceHost, tuple[VirtualService, ...]]) -> tuple[VirtualService, ...]:
    """Each once, however many hosts it names."""
    return tuple({id(each): each for sharing in by_host.values() for each in sharing}.values())


def _client(entry: WorkloadEntry) -> Client:
    return Client(namespace=Namespace(entry.metadata.namespace), labels=labels_of(entry))


def _namespaces(words: str) -> tuple[Namespace, ...]:
    """From one text, since a memo knows texts by value."""
    return tuple(map(Namespace, words.split()))
