"""VMs that cannot tell who they are."""

from __future__ import annotations

from collections.abc import Iterator

from meshd.mesh.survey import Survey
from meshd.problems import Problem
from meshd.registry.workloads import HOST_ANNOTATION, identity


def ambiguous_hosts(survey: Survey) -> Iterator[Problem]:
    """Two WorkloadEntries that claim one VM for different addresses."""
    for host, entries in survey.mesh.workloads.items():
        first = identity(entries)
        for entry in entries[1:]:
            if entry.workload.address != first.workload.address:
                yield Problem(
                    code="E-HOST-AMBIGUOUS",
                    at=entry.workload.origin.at("address"),
                    message=f"host {host!r} has address {entry.workload.address} here, but "
                    f"{first.workload.address} in {first.id} ({first.origin})",
                    hint=f"rename one of them, or say by annotation {HOST_ANNOTATION} which VM each belongs to",
                )
