"""Routes of a gateway that lead back to that gateway: what goes in there never comes out (spec 9.2)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from meshd.fields import is_ip
from meshd.mesh.gateways import MESH, GatewayName, name_of, selects
from meshd.mesh.named import Named, named_by
from meshd.mesh.survey import Survey
from meshd.names import Namespace, ServiceHost
from meshd.problems import Problem, Problems
from meshd.registry.hosts import complete
from meshd.registry.service import Service
from meshd.registry.settings import MeshSettings
from meshd.registry.workloads import labels_of
from meshd.resources.gateway import Gateway
from meshd.resources.virtual_service import VirtualService
from meshd.resources.workload_entry import WorkloadEntry

Fronts = Mapping[ServiceHost, Mapping[GatewayName, tuple[Service, frozenset[int]]]]
"""Of each service that is a gateway: whose traffic comes in at which of its ports."""
Front = tuple[GatewayName, tuple[Service, frozenset[int]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Crew:
    """Where the workloads of a Gateway are, and at which ports its servers are called."""

    gateway: GatewayName
    workloads: frozenset[str]
    addresses: frozenset[str]
    ports: frozenset[int]


def egress_loops(survey: Survey) -> Iterator[Problem]:
    mesh, memo, gateways = survey.mesh, survey.memo, survey.residents.gateways
    if not (mesh.gateways and gateways):
        return
    fronts = memo.recall(_fronts, mesh.services, memo.recall(_crews, mesh.gateways, gateways))
    if not fronts:
        return
    for virtual_service in survey.virtual_services:
        if virtual_service.gateways:
            yield from memo.recall(_loops, virtual_service, fronts, mesh.settings)


def _loops(virtual_service: VirtualService, fronts: Fronts, settings: MeshSettings) -> Problems:
    named = (each for each in named_by(virtual_service) if each.asking.through != {MESH})
    return tuple(problem for each in named for problem in _back(virtual_service, each, fronts, settings))


def _back(virtual_service: VirtualService, named: Named, fronts: Fronts, settings: MeshSettings) -> Iterator[Problem]:
    namespace = Namespace(virtual_service.metadata.namespace)
    found = fronts.get(complete(named.destination.host, namespace, settings.domain_suffix), {})
    for gateway in sorted(named.asking.through & found.keys()):
        service, ports = found[gateway]
        asked = {named.destination.port.number} if named.destination.port else ports
        if asked & ports:
            yield Problem(
                code="E-EGRESS-LOOP",
                at=named.destination.origin.at("host"),
                message=f"{service.host} ({service.origin}) is Gateway {gateway} itself: what comes in there "
                "would come in there again",
                hint="match `gateways: [mesh]` here, and send what comes through the gateway to its destination",
            )


# --- which services are gateways ------------------------------------------------------------------------------


def _fronts(services: Mapping[ServiceHost, tuple[Service, ...]], crews: tuple[_Crew, ...]) -> Fronts:
    """Services change often, and hardly any of them is a gateway: those are passed over first."""
    members = frozenset().union(*(crew.workloads | crew.addresses for crew in crews))
    found: dict[ServiceHost, dict[GatewayName, tuple[Service, frozenset[int]]]] = {}
    for sharing in services.values():
        for service in sharing:
            for instance in service.instances:
                if (instance.workload or instance.address) in members:
                    found.setdefault(service.host, {}).update(_fronted(service, crews))
                    break
    return found


def _fronted(service: Service, crews: tuple[_Crew, ...]) -> Iterator[Front]:
    for crew in crews:
        ports = frozenset(_answered(service, crew))
        if ports:
            yield crew.gateway, (service, ports)


def _crews(gateways: tuple[Gateway, ...], entries: tuple[WorkloadEntry, ...]) -> tuple[_Crew, ...]:
    return tuple(_crew(gateway, entries) for gateway in gateways)


def _crew(gateway: Gateway, entries: tuple[WorkloadEntry, ...]) -> _Crew:
    selected = [entry for entry in entries if selects(gateway, labels_of(entry))]
    return _Crew(
        gateway=name_of(gateway),
        workloads=frozenset(f"{entry.metadata.namespace}/{entry.metadata.name}" for entry in selected),
        addresses=frozenset(entry.workload.address for entry in selected if _tells(entry.workload.address)),
        ports=frozenset(server.port.number for server in gateway.servers),
    )


def _tells(address: str) -> bool:
    """Every machine has loopback addresses."""
    return is_ip(address) and not ip_address(address).is_loopback


def _answered(service: Service, crew: _Crew) -> Iterator[int]:
    for instance in service.instances:
        if instance.workload in crew.workloads or (not instance.workload and instance.address in crew.addresses):
            for port in service.ports:
                by_number = instance.workload and port.number in crew.ports
                if port.number in instance.serves and (by_number or instance.port_for(port) in crew.ports):
                    yield port.number
