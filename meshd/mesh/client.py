"""The side of a call that opens it: what decides which services, rules and routes it sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from meshd.names import Namespace


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A workload as routing sees it: its namespace and its labels."""

    namespace: Namespace
    labels: Mapping[str, str] = field(default_factory=dict)

    def selected_by(self, labels: Mapping[str, str]) -> bool:
        """All of the selector's labels are here, with these values; an empty selector selects everyone."""
        return all(self.labels.get(key) == value for key, value in labels.items())
