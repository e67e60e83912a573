"""Sidecars of equal rank that fit one client: which one counts must not be left to chance (SC-1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from meshd.mesh.client import Client
from meshd.mesh.survey import Survey
from meshd.names import Namespace
from meshd.problems import Problem
from meshd.resources.sidecar import Sidecar

Pair = tuple[str, str, str]


def ambiguous_sidecars(survey: Survey) -> Iterator[Problem]:
    yield from _without_selector(survey.mesh.sidecars)
    yield from _selecting(survey)


def _without_selector(sidecars: tuple[Sidecar, ...]) -> Iterator[Problem]:
    first: dict[str, Sidecar] = {}
    for sidecar in sidecars:
        if sidecar.workload_selector is None:
            other = first.setdefault(sidecar.metadata.namespace, sidecar)
            if other is not sidecar:
                yield _problem(sidecar, other, f"is for all of namespace {sidecar.metadata.namespace}")


def _selecting(survey: Survey) -> Iterator[Problem]:
    index = _by_first_label(survey.mesh.sidecars)
    if not index:
        return
    namespaces = sorted({Namespace(namespace) for namespace, _, _ in index})
    told: set[tuple[int, int]] = set()
    for client in survey.residents.clients(namespaces, survey.memo):
        fitting = _fitting(index, client)
        for other in fitting[1:]:
            if (id(fitting[0]), id(other)) not in told:
                told.add((id(fitting[0]), id(other)))
                labels = ", ".join(f"{key}={value}" for key, value in sorted(client.labels.items()))
                yield _problem(other, fitting[0], f"selects workloads of namespace {client.namespace} with {labels}")


def _by_first_label(sidecars: tuple[Sidecar, ...]) -> Mapping[Pair, list[Sidecar]]:
    index: dict[Pair, list[Sidecar]] = {}
    for sidecar in sidecars:
        if sidecar.workload_selector is not None:
            key, value = next(iter(sorted(sidecar.workload_selector.labels.items())), ("", ""))
            index.setdefault((sidecar.metadata.namespace, key, value), []).append(sidecar)
    return index


def _fitting(index: Mapping[Pair, list[Sidecar]], client: Client) -> list[Sidecar]:
    labels = [("", ""), *sorted(client.labels.items())]
    candidates = [sidecar for pair in labels for sidecar in index.get((client.namespace, *pair), ())]
    return [s for s in candidates if s.workload_selector and client.selected_by(s.workload_selector.labels)]


def _problem(sidecar: Sidecar, other: Sidecar, what: str) -> Problem:
    return Problem(
        code="E-SC-AMBIGUOUS",
        at=sidecar.origin,
        message=f"{what}, as does {other.id} ({other.origin})",
        hint="remove one, or tell them apart by workloadSelector",
    )
