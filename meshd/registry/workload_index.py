"""Which WorkloadEntries a ServiceEntry selects, found without looking at all of them (spec S-10, W-3, W-8)."""

from __future__ import annotations

from collections.abc import Iterable

from meshd.registry.workloads import labels_of
from meshd.resources.service_entry import ServiceEntry
from meshd.resources.workload_entry import WorkloadEntry

Entries = tuple[WorkloadEntry, ...] | list[WorkloadEntry]


class WorkloadIndex:
    """The workloads of one pass by namespace, and by namespace and label; given and found in the order of spec 2.6."""

    __slots__ = ("_by_label", "_by_namespace")

    def __init__(self, workloads: Iterable[WorkloadEntry]) -> None:
        self._by_namespace: dict[str, list[WorkloadEntry]] = {}
        self._by_label: dict[tuple[str, str, str], list[WorkloadEntry]] = {}
        for workload in workloads:
            namespace = workload.metadata.namespace
            self._by_namespace.setdefault(namespace, []).append(workload)
            for key, value in labels_of(workload).items():
                self._by_label.setdefault((namespace, key, value), []).append(workload)

    def selected_by(self, entry: ServiceEntry) -> Entries:
        """In the order of spec 2.6. A selector without labels selects the whole namespace."""
        if entry.workload_selector is None:
            return ()
        namespace = entry.metadata.namespace
        wanted = entry.workload_selector.labels.items()
        if not wanted:
            return self._by_namespace.get(namespace, ())
        candidates: Entries = min((self._by_label.get((namespace, *pair), ()) for pair in wanted), key=len)
        return candidates if len(wanted) == 1 else [w for w in candidates if wanted <= labels_of(w).items()]
