"""A mesh prepared for its checks: what several of them ask, found once per pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from meshd.memo import Memo, together
from meshd.mesh.audience import Crew
from meshd.mesh.client import Client
from meshd.mesh.gateways import GatewayName, name_of, selectors_of, selects, selects_any
from meshd.mesh.mesh import Mesh
from meshd.mesh.named import Lead, leads_of
from meshd.mesh.rules import MergedRule, Trait
from meshd.names import HostName, Namespace, ServiceHost
from meshd.registry.host_table import HostTable
from meshd.registry.settings import MeshSettings
from meshd.registry.workloads import labels_of
from meshd.resources.gateway import Gateway
from meshd.resources.virtual_service import VirtualService
from meshd.resources.workload_entry import WorkloadEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class Residents:
    """The VMs with a sidecar, by namespace, and the crews of the gateways.

    `homes`: the namespaces, sorted; the same tuple on the next pass while they are. So is each crew while it is, and
    `gateways`, the entries of all of them.
    """

    homes: tuple[Namespace, ...]
    by_namespace: Mapping[Namespace, list[WorkloadEntry]]
    gateways: tuple[WorkloadEntry, ...]
    crews: Mapping[GatewayName, Crew]

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

    def has(self, trait: Trait) -> bool:
        """Whether any rule of the mesh has such a policy."""
        return trait in self.memo.recall(_traits, self.mesh.destination_rules)

    def leads(self) -> Mapping[ServiceHost, frozenset[Lead]]:
        """Where routes lead, by the host of the service; found when somebody asks."""
        return self.memo.recall(_leads, self.virtual_services, self.mesh.settings.domain_suffix, self.memo)


def survey(mesh: Mesh, memo: Memo) -> Survey:
    return Survey(
        mesh=mesh,
        memo=memo,
        rules=memo.recall(_table, mesh.destination_rules),
        virtual_services=memo.recall(_virtual_services, mesh.virtual_services),
        residents=memo.recall(_residents, mesh.workloads, mesh.gateways, mesh.settings, memo),
    )


def _residents(
    workloads: Mapping[HostName, tuple[WorkloadEntry, ...]],
    gateways: tuple[Gateway, ...],
    settings: MeshSettings,
    memo: Memo,
) -> Residents:
    """Of the workloads of one VM the first has the sidecar, and so has its labels, unless it is a gateway."""
    selectors = memo.recall(selectors_of, settings, gateways)
    sidecars: dict[Namespace, list[WorkloadEntry]] = {}
    found: list[WorkloadEntry] = []
    for entries in workloads.values():
        first = None
        for entry in entries:
            if selects_any(selectors, labels_of(entry)):
                found.append(entry)
            else:
                first = first or entry
        if first:
            sidecars.setdefault(Namespace(first.metadata.namespace), []).append(first)
    crew = memo.recall(together, *found)
    crews = memo.recall(_crews, gateways, crew, memo)
    return Residents(
        homes=memo.recall(_namespaces, " ".join(sorted(sidecars))),
        by_namespace=sidecars,
        gateways=crew,
        crews=crews,
    )


def _crews(gateways: tuple[Gateway, ...], entries: tuple[WorkloadEntry, ...], memo: Memo) -> Mapping[GatewayName, Crew]:
    return {name_of(gateway): _crew(gateway, entries, memo) for gateway in gateways}


def _crew(gateway: Gateway, entries: tuple[WorkloadEntry, ...], memo: Memo) -> Crew:
    clients = (memo.recall(_client, entry) for entry in entries if selects(gateway, labels_of(entry)))
    alike = {(client.namespace, *sorted(client.labels.items())): client for client in clients}
    return memo.recall(_crew_of, name_of(gateway), memo.recall(together, *alike.values()))


def _crew_of(gateway: GatewayName, clients: tuple[Client, ...]) -> Crew:
    return Crew(gateway=gateway, clients=clients)


def _table(rules: Mapping[ServiceHost, tuple[MergedRule, ...]]) -> HostTable[tuple[MergedRule, ...]]:
    return HostTable(rules)


def _traits(rules: Mapping[ServiceHost, tuple[MergedRule, ...]]) -> frozenset[Trait]:
    return frozenset().union(*(rule.traits for group in rules.values() for rule in group))


def _virtual_services(by_host: Mapping[ServiceHost, tuple[VirtualService, ...]]) -> tuple[VirtualService, ...]:
    """Each once, however many hosts it names."""
    return tuple({id(each): each for sharing in by_host.values() for each in sharing}.values())


def _leads(
    virtual_services: tuple[VirtualService, ...], domain_suffix: str, memo: Memo
) -> dict[ServiceHost, frozenset[Lead]]:
    found: dict[ServiceHost, set[Lead]] = {}
    for virtual_service in virtual_services:
        for lead in memo.recall(leads_of, virtual_service, domain_suffix):
            found.setdefault(lead.host, set()).add(lead)
    return {host: frozenset(leads) for host, leads in found.items()}


def _client(entry: WorkloadEntry) -> Client:
    return Client(namespace=Namespace(entry.metadata.namespace), labels=labels_of(entry))


def _namespaces(words: str) -> tuple[Namespace, ...]:
    """From one text, since a memo knows texts by value."""
    return tuple(map(Namespace, words.split()))
