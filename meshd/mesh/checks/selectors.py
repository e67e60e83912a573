"""Sidecars, DestinationRules and sources that nobody is (spec 3.4). ServiceEntries: see the registry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain

from meshd.memo import Memo
from meshd.mesh.client import Client
from meshd.mesh.sources import asked_for, sources_of
from meshd.mesh.survey import Residents, Survey
from meshd.problems import Origin, Problem, nearest
from meshd.registry.hosts import canonical
from meshd.resources.destination_rule import DestinationRule
from meshd.resources.extras import extras_place
from meshd.resources.resource import Resource
from meshd.resources.virtual_service import VirtualService

Pair = tuple[str, str, str]
"""A namespace, a label and its value."""


def idle_selectors(survey: Survey) -> Iterator[Problem]:
    yield from _idle_sources(survey)
    selectors = list(_selectors(survey))
    if selectors:
        carrying = survey.memo.recall(_by_label, survey.residents, survey.memo)
        for namespace, labels, at in selectors:
            if not _selects_any(carrying, namespace, labels):
                wanted = ", ".join(f"{key}={value}" for key, value in sorted(labels.items()))
                yield Problem(
                    code="W-VALUE",
                    at=at,
                    message=f"no workload of namespace {namespace} has the labels {wanted}, so that this has no effect",
                    hint="labels are those of WorkloadEntries; look at their spelling and namespace",
                )


def _idle_sources(survey: Survey) -> Iterator[Problem]:
    """Callers by extras that nobody can be; of converted objects, their conversion tells."""
    missing = asked_for(survey.mesh, survey.memo) - survey.mesh.services.keys()
    if missing:
        rules = (each for group in survey.mesh.destination_rules.values() for merged in group for each in merged.rules)
        holders: Iterator[VirtualService | DestinationRule] = chain(survey.virtual_services, rules)
        for holder in holders:
            for source in sources_of(holder):
                if canonical(source.host) in missing and _is_own(holder):
                    yield Problem(
                        code="W-VALUE",
                        at=extras_place(holder.metadata),
                        message=f"no ServiceEntry has the host {source.host!r}, so that nobody is this source",
                        hint=nearest(source.host, survey.mesh.services),
                    )


def _is_own(holder: Resource) -> bool:
    """Nobody converted it from something else."""
    return holder.origin.resource is None or holder.origin.resource.kind == holder.KIND


def _selectors(survey: Survey) -> Iterator[tuple[str, Mapping[str, str], Origin]]:
    """Those with labels: without any, a selector is for the whole namespace."""
    for sidecar in survey.mesh.sidecars:
        if sidecar.workload_selector and sidecar.workload_selector.labels:
            yield sidecar.metadata.namespace, sidecar.workload_selector.labels, sidecar.workload_selector.origin
    for merged in (merged for group in survey.mesh.destination_rules.values() for merged in group):
        if merged.selector and not merged.source:
            for rule in merged.rules:
                if rule.workload_selector:
                    yield merged.namespace, merged.selector, rule.workload_selector.origin


def _by_label(residents: Residents, memo: Memo) -> dict[Pair, list[Client]]:
    found: dict[Pair, list[Client]] = {}
    gateways = (client for crew in residents.crews.values() for client in crew.clients)
    for client in (*residents.clients(residents.homes, memo), *gateways):
        for key, value in client.labels.items():
            found.setdefault((client.namespace, key, value), []).append(client)
    return found


def _selects_any(carrying: Mapping[Pair, list[Client]], namespace: str, labels: Mapping[str, str]) -> bool:
    groups = [carrying.get((namespace, key, value), []) for key, value in labels.items()]
    return any(client.selected_by(labels) for client in min(groups, key=len))
