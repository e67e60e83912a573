"""What all kinds share: metadata, and where the object stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Final

from meshd.fields import Count, Message, label_key, label_value, namespace_label, object_name, timestamp
from meshd.problems import Origin, Problem, ResourceId
from meshd.resources.finding import doubtful

_REFUSED_ANNOTATIONS: Final = frozenset(
    {
        "istio.io/dry-run",
        "internal.istio.io/parents",
        "internal.istio.io/parent-namespace",
        "internal.istio.io/webhook-always-reject",
    }
)


def allowed_annotation(key: object) -> str:
    """Some would change what an object means, and nothing here would act on them (spec 3.6)."""
    return f"the annotation {key!r} is not supported" if key in _REFUSED_ANNOTATIONS else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata(Message):
    """Spec 3.6. `generation`, `uid` and the like, which `kubectl get -o yaml` adds, are read and ignored."""

    name: Annotated[str, object_name, Count(1)]
    namespace: Annotated[str, namespace_label] = "default"
    labels: Mapping[Annotated[str, label_key], Annotated[str, label_value, Count(0, 63)]] = field(default_factory=dict)
    annotations: Mapping[Annotated[str, label_key, allowed_annotation], str] = field(default_factory=dict)
    creation_timestamp: Annotated[str, timestamp] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource(Message):
    """One object. The fields of a kind are those of its `spec`; or, where `SPEC` names one, that one is the `spec`."""

    KIND: ClassVar[str]
    GROUP: ClassVar[str] = "networking.istio.io"
    VERSIONS: ClassVar[tuple[str, ...]] = ("v1alpha3", "v1beta1", "v1")
    SPEC: ClassVar[str] = ""

    metadata: Metadata

    @property
    def id(self) -> ResourceId:
        return ResourceId(kind=self.KIND, namespace=self.metadata.namespace, name=self.metadata.name)


def selector_text(value: object) -> str:
    return f"{value!r} is compared as it stands: '*' is no wildcard in a selector" if "*" in str(value) else ""


SelectorLabels = Annotated[
    Mapping[Annotated[str, Count(1), selector_text], Annotated[str, selector_text]],
    Count(0, 256),
]
"""Labels to look for; keys and values that no label can have are doubtful only, as for Istio (spec 3.4)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadSelector(Message):
    """Which workloads of the namespace. No labels selects them all, with a warning (spec 3.4)."""

    labels: SelectorLabels = field(default_factory=dict)

    def check(self) -> Iterator[Problem]:
        if not self.labels:
            yield doubtful(self.origin, "a selector without labels selects everything in the namespace")
        yield from check_selector(self.origin.at("labels"), self.labels)


def check_selector(at: Origin, labels: Mapping[str, str]) -> Iterator[Problem]:
    """Labels that nothing can have, so that nothing is selected."""
    for key, value in labels.items():
        if impossible := label_key(key) or label_value(value):
            yield doubtful(at.item(key), f"nothing is selected: {impossible}")
