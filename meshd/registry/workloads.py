"""WorkloadEntries: which VM each belongs to, and under which labels and locality it runs (design, "Who am I")."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from meshd.names import HostName, Locality
from meshd.resources.workload_entry import Workload, WorkloadEntry

HOST_ANNOTATION: Final = "meshd.io/host"
LOCALITY_LABEL: Final = "istio-locality"


def host_of(entry: WorkloadEntry) -> HostName:
    """The VM that an entry stands for: its annotation says so, else its name."""
    return HostName(entry.metadata.annotations.get(HOST_ANNOTATION, entry.metadata.name))


def workload_name(entry: WorkloadEntry) -> str:
    """What tells it from all others in the registry."""
    return f"{entry.metadata.namespace}/{entry.metadata.name}"


def workloads_by_host(entries: Iterable[WorkloadEntry]) -> dict[HostName, tuple[WorkloadEntry, ...]]:
    """The entries of each VM, those that are annotated before those only named like it; else in the order given."""
    by_host: dict[HostName, list[WorkloadEntry]] = {}
    for entry in entries:
        by_host.setdefault(host_of(entry), []).append(entry)
    return {host: tuple(sorted(found, key=_only_by_name)) for host, found in by_host.items()}


def identity(entries: tuple[WorkloadEntry, ...]) -> WorkloadEntry:
    """Of the entries of one VM, the one whose namespace, labels and address are the VM's."""
    return entries[0]


def _only_by_name(entry: WorkloadEntry) -> bool:
    return HOST_ANNOTATION not in entry.metadata.annotations


def labels_of(entry: WorkloadEntry) -> Mapping[str, str]:
    """W-3: the labels of the spec and of the metadata, which win."""
    if not entry.metadata.labels:
        return entry.workload.labels
    return {**entry.workload.labels, **entry.metadata.labels}


def locality_of(workload: Workload, labels: Mapping[str, str]) -> Locality:
    """W-5: the field, else the label, whose `.` stand for `/`."""
    text = workload.locality or labels.get(LOCALITY_LABEL, "").replace(".", "/")
    region, _, rest = text.partition("/")
    zone, _, subzone = rest.partition("/")
    return Locality(region=region, zone=zone, subzone=subzone)
