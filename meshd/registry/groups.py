"""WorkloadEntries that belong to a WorkloadGroup get from it what they do not say themselves (spec W-10 and W-11).

A host registers by the repository: its entry carries the annotation that Istio puts on those it registers itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from meshd.memo import Memo, together
from meshd.names import Namespace
from meshd.problems import Problem, Problems, nearest
from meshd.registry.workloads import LOCALITY_LABEL, labels_of
from meshd.resources.resource import Metadata
from meshd.resources.workload_entry import Workload, WorkloadEntry
from meshd.resources.workload_group import ObjectMeta, WorkloadGroup

GROUP_ANNOTATION: Final = "istio.io/autoRegistrationGroup"
_SERVICE_ACCOUNT: Final = "default"
_NOTHING: Final = ObjectMeta()

Groups = Mapping[tuple[Namespace, str], WorkloadGroup]


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """Every entry as it counts: those of a group with what the group gives them, all others as they are."""

    workloads: tuple[WorkloadEntry, ...]
    problems: Problems


def registered(entries: tuple[WorkloadEntry, ...], groups: Groups, memo: Memo) -> Registered:
    """The very same objects as in the last pass, for each entry that did not change and whose group did not."""
    if not any(GROUP_ANNOTATION in entry.metadata.annotations for entry in entries):
        return Registered(workloads=entries, problems=())
    effective = memo.recall(together, *(_effective(entry, groups, memo) for entry in entries))
    return Registered(workloads=effective, problems=tuple(_strays(entries, groups)))


def group_of(entry: WorkloadEntry, groups: Groups) -> WorkloadGroup | None:
    """The group of its own namespace that it names."""
    name = entry.metadata.annotations.get(GROUP_ANNOTATION)
    return None if name is None else groups.get((Namespace(entry.metadata.namespace), name))


def _effective(entry: WorkloadEntry, groups: Groups, memo: Memo) -> WorkloadEntry:
    group = group_of(entry, groups)
    return memo.recall(_member, entry, group) if group else entry


def _member(entry: WorkloadEntry, group: WorkloadGroup) -> WorkloadEntry:
    given = group.group.metadata or _NOTHING
    return replace(
        entry, metadata=_with_annotations(entry.metadata, given), workload=_with_template(entry, given, group)
    )


def _with_annotations(metadata: Metadata, given: ObjectMeta) -> Metadata:
    return replace(metadata, annotations={**given.annotations, **metadata.annotations})


def _with_template(entry: WorkloadEntry, given: ObjectMeta, group: WorkloadGroup) -> Workload:
    """The group's labels go below the entry's own, those of its spec and of its metadata (W-3)."""
    own, template = entry.workload, group.group.template
    place = None if LOCALITY_LABEL in labels_of(entry) else template.locality
    return replace(
        own,
        labels={**given.labels, **own.labels},
        ports=own.ports if own.is_unix else {**template.ports, **own.ports},
        service_account=own.service_account or template.service_account or _SERVICE_ACCOUNT,
        network=template.network if own.network is None else own.network,
        locality=own.locality or place,
        weight=template.weight if own.weight is None else own.weight,
    )


def _strays(entries: Iterable[WorkloadEntry], groups: Groups) -> Iterator[Problem]:
    for entry in entries:
        name = entry.metadata.annotations.get(GROUP_ANNOTATION)
        if name is not None and group_of(entry, groups) is None:
            here = [known for namespace, known in groups if namespace == entry.metadata.namespace]
            others = [group for (_, known), group in groups.items() if known in {name, *here}]
            there = f"; there is {_listed(others)}" if others else ""
            yield Problem(
                code="E-WE-GROUP-UNKNOWN",
                at=entry.metadata.origin.at("annotations").item(GROUP_ANNOTATION),
                message=f"no WorkloadGroup {entry.metadata.namespace}/{name}{there}",
                hint=nearest(name, here),
            )


def _listed(groups: list[WorkloadGroup]) -> str:
    return ", ".join(f"{group.id} ({group.origin})" for group in groups[:3])
