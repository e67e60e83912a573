"""What one proxy is to have, all five types by name; and the steps that lead from one such state to the next.

It compares versions and never looks into a body.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from meshd.envoy.resource import CLUSTER, ENDPOINTS, LISTENER, ROUTES, SECRET, EnvoyResource, Rendered, TypeUrl
from meshd.names import ProxyName

Table = Mapping[str, EnvoyResource]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One consistent state of a proxy's resources."""

    clusters: Table = field(default_factory=dict)
    endpoints: Table = field(default_factory=dict)
    listeners: Table = field(default_factory=dict)
    routes: Table = field(default_factory=dict)
    secrets: Table = field(default_factory=dict)

    def table(self, type_url: TypeUrl) -> Table:
        tables = {
            CLUSTER: self.clusters,
            ENDPOINTS: self.endpoints,
            LISTENER: self.listeners,
            ROUTES: self.routes,
            SECRET: self.secrets,
        }
        return tables[type_url]

    def resources(self) -> Iterator[EnvoyResource]:
        """Everything but the endpoints, in the order in which Envoy needs it."""
        yield from self.secrets.values()
        yield from self.clusters.values()
        yield from self.listeners.values()
        yield from self.routes.values()

    def with_endpoints(self, assignments: Iterable[EnvoyResource]) -> Snapshot:
        """The same, with those of its assignments replaced."""
        fresh = {a.name: a for a in assignments if a.name in self.endpoints}
        return replace(self, endpoints={**self.endpoints, **fresh})

    def with_secrets(self, fresh: Table) -> Snapshot:
        return replace(self, secrets={**self.secrets, **fresh})

    def rendered(self, proxy: ProxyName) -> Rendered:
        return Rendered(
            proxy=proxy,
            clusters=_sorted(self.clusters),
            listeners=_sorted(self.listeners),
            routes=_sorted(self.routes),
            secrets=_sorted(self.secrets),
        )

    def assignments(self) -> tuple[EnvoyResource, ...]:
        return _sorted(self.endpoints)


NOTHING = Snapshot()


def snapshot(rendered: Rendered, assignments: Iterable[EnvoyResource]) -> Snapshot:
    return Snapshot(
        clusters=_by_name(rendered.clusters),
        endpoints=_by_name(assignments),
        listeners=_by_name(rendered.listeners),
        routes=_by_name(rendered.routes),
        secrets=_by_name(rendered.secrets),
    )


def _by_name(resources: Iterable[EnvoyResource]) -> dict[str, EnvoyResource]:
    return {resource.name: resource for resource in resources}


def _sorted(table: Table) -> tuple[EnvoyResource, ...]:
    return tuple(table[name] for name in sorted(table))
