"""A mesh prepared for its checks: what several of them ask, found once per pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from meshd.memo import Memo
from meshd.mesh.client import Client
from meshd.mesh.mesh import Mesh
from meshd.mesh.rules import MergedRule
from meshd.names import Namespace
from meshd.registry.host_table import HostTable
from meshd.registry.workloads import identity, labels_of
from meshd.resources.virtual_service import VirtualService
from meshd.resources.workload_entry import WorkloadEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """`homes`: the namespaces that have VMs, sorted; the same tuple on the next pass while they are the same."""

    mesh: Mesh
    memo: Memo
    rules: HostTable[tuple[MergedRule, ...]]
    virtual_services: tuple[VirtualService, ...]
    homes: tuple[Namespace, ...]
    residents: Mapping[Namespace, list[WorkloadEntry]]

    def clients(self, namespaces: Iterable[Namespace]) -> Iterator[Client]:
        """The VMs of these namespaces as clients."""
        for namespace in namespaces:
            for entry in self.residents.get(namespace, ()):
                yield self.memo.recall(_client, entry)


def survey(mesh: Mesh, memo: Memo) -> Survey:
    by_id = {id(each): each for sharing in mesh.virtual_services.values() for each in sharing}
    residents: dict[Namespace, list[WorkloadEntry]] = {}
    for entry in map(identity, mesh.workloads.values()):
        residents.setdefault(Namespace(entry.metadata.namespace), []).append(entry)
    return Survey(
        mesh=mesh,
        memo=memo,
        rules=HostTable(mesh.destination_rules),
        virtual_services=tuple(by_id.values()),
        homes=memo.recall(_namespaces, " ".join(sorted(residents))),
        residents=residents,
    )


def _client(entry: WorkloadEntry) -> Client:
    return Client(namespace=Namespace(entry.metadata.namespace), labels=labels_of(entry))


def _namespaces(words: str) -> tuple[Namespace, ...]:
    """From one text, since a memo knows texts by value."""
    return tuple(map(Namespace, words.split()))
