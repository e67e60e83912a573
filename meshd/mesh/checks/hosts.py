"""VMs that cannot tell who they are."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from meshd.fields import is_ip
from meshd.mesh.survey import Survey
from meshd.names import HostName
from meshd.problems import Problem
from meshd.registry.workloads import HOST_ANNOTATION, identity
from meshd.resources.workload_entry import WorkloadEntry


def ambiguous_hosts(survey: Survey) -> Iterator[Problem]:
    """Two WorkloadEntries that claim one VM for different addresses; of each family it may have one."""
    for host, entries in survey.mesh.workloads.items():
        if len(entries) > 1:
            yield from _contradictions(host, entries)


def _contradictions(host: HostName, entries: tuple[WorkloadEntry, ...]) -> Iterator[Problem]:
    first = identity(entries)
    known = {_family(first): first}
    for entry in entries[1:]:
        other = known.setdefault(_family(entry), entry) if _family(entry) and _family(first) else first
        if entry.workload.address != other.workload.address:
            yield Problem(
                code="E-HOST-AMBIGUOUS",
                at=entry.workload.origin.at("address"),
                message=f"host {host!r} has address {entry.workload.address} here, but "
                f"{other.workload.address} in {other.id} ({other.origin})",
                hint=f"rename one of them, or say by annotation {HOST_ANNOTATION} which VM each belongs to",
            )


def _family(entry: WorkloadEntry) -> int:
    """4 or 6; a name, which may stand for either, is 0."""
    address = entry.workload.address
    return ip_address(address).version if is_ip(address) else 0
