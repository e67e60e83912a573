"""The side of a call that opens it: what decides which services, rules and routes it sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from meshd.names import Namespace, ServiceHost
from meshd.registry.hosts import canonical
from meshd.resources.extras import SourceExtras

Implements = frozenset[tuple[ServiceHost, frozenset[tuple[str, str]]]]
"""Services, each with the labels of an instance of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A workload as routing sees it: its namespace and its labels.

    `implements`: what runs behind the same proxy, of the services that some rule asks for as its source.
    """

    namespace: Namespace
    labels: Mapping[str, str] = field(default_factory=dict)
    implements: Implements = frozenset()

    def selected_by(self, labels: Mapping[str, str]) -> bool:
        """All of the selector's labels are here, with these values; an empty selector selects everyone."""
        return all(self.labels.get(key) == value for key, value in labels.items())

    def is_source(self, source: SourceExtras) -> bool:
        """C-RR-05: it implements the service, by an instance that has all of the labels."""
        host, wanted = canonical(source.host), source.labels.items()
        return any(service == host and wanted <= labels for service, labels in self.implements)
