"""Which WorkloadEntries a ServiceEntry selects, found without looking at all of them (spec S-10 and W-3)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from meshd.registry.workloads import labels_of
from meshd.resources.service_entry import ServiceEntry
from meshd.resources.workload_entry import WorkloadEntry


class WorkloadIndex:
    """The workloads of one namespace by label; given and found in the order of spec 2.6."""

    __slots__ = ("_all", "_by_label")

    def __init__(self, workloads: Iterable[WorkloadEntry]) -> None:
        self._all = tuple(workloads)
        self._by_label: dict[tuple[str, str], list[WorkloadEntry]] = {}
        for workload in self._all:
            for pair in labels_of(workload).items():
                self._by_label.setdefault(pair, []).append(workload)

    def selected_by(self, entry: ServiceEntry) -> Sequence[WorkloadEntry]:
        """A selector without labels selects the whole namespace (W-8)."""
        if entry.workload_selector is None:
            return ()
        wanted = entry.workload_selector.labels.items()
        if not wanted:
            return self._all
        candidates = min((self._by_label.get(pair, []) for pair in wanted), key=len)
        return candidates if len(wanted) == 1 else [each for each in candidates if wanted <= labels_of(each).items()]
