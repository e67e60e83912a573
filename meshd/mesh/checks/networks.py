"""Endpoints in a network to which no gateway leads, though others would have to call them there (spec W-4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from meshd.mesh.survey import Survey
from meshd.names import HostName, Namespace
from meshd.problems import Origin, Problem, nearest
from meshd.registry.networks import is_apart
from meshd.registry.service import Service
from meshd.resources.workload_entry import WorkloadEntry

Callers = Mapping[tuple[str, Namespace], HostName]
"""A VM of each network and namespace."""


def unreachable_networks(survey: Survey) -> Iterator[Problem]:
    callers = survey.memo.recall(_callers, survey.mesh.workloads)
    if not callers:  # who names no network is in all of them
        return
    gateways = survey.mesh.settings.networks
    told: set[Origin] = set()
    for services in survey.mesh.services.values():
        for service, network, at in survey.memo.recall(_placed, services):
            caller = None if network in gateways or at in told else _caller(callers, service, network)
            if caller is not None:
                told.add(at)
                yield _problem(at, network, service, caller, nearest(network, gateways))


def _callers(workloads: Mapping[HostName, tuple[WorkloadEntry, ...]]) -> Callers:
    found: dict[tuple[str, Namespace], HostName] = {}
    for host, entries in workloads.items():
        for entry in entries:
            if entry.workload.network:
                found.setdefault((entry.workload.network, Namespace(entry.metadata.namespace)), host)
    return found


def _placed(services: tuple[Service, ...]) -> tuple[tuple[Service, str, Origin], ...]:
    return tuple(
        (service, instance.network, instance.origin.at("network"))
        for service in services
        for instance in service.instances
        if instance.network
    )


def _caller(callers: Callers, service: Service, network: str) -> HostName | None:
    return next(
        (
            host
            for (where, namespace), host in callers.items()
            if is_apart(where, network) and service.visible_in(namespace)
        ),
        None,
    )


def _problem(at: Origin, network: str, service: Service, caller: HostName, near: str) -> Problem:
    return Problem(
        code="E-WE-NETWORK",
        at=at,
        message=f"no gateway leads to network {network!r}, but {caller!r} in another network may call {service.host} "
        f"({service.origin}) here",
        hint=near or f"name one in MeshConfig: networks: {{{network}: {{gateways: [{{address: ...}}]}}}}",
    )
