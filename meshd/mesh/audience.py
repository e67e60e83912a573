"""Who has to be asked to know what a route means to everybody: few clients stand for all."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from meshd.mesh.client import Client
from meshd.mesh.gateways import MESH, GatewayName
from meshd.names import Namespace
from meshd.registry.precedence import exported_to


@dataclass(frozen=True, slots=True, kw_only=True)
class Crew:
    """The workloads that a Gateway selects; of those that are alike, one."""

    gateway: GatewayName
    clients: tuple[Client, ...]

    def of_each_namespace(self) -> Iterator[Client]:
        """One that stands for all the others, where labels make no difference."""
        yield from {client.namespace: client for client in self.clients}.values()


@dataclass(frozen=True, slots=True, kw_only=True)
class Audience:
    """`homes`: the namespaces that have sidecars. `clients`: those sidecars whose labels make a difference."""

    homes: tuple[Namespace, ...]
    clients: tuple[Client, ...]
    crews: Mapping[GatewayName, Crew] = field(default_factory=dict)

    def sidecars(self, exported: frozenset[str], special: Collection[str]) -> Iterator[Client]:
        """Those who see what is exported so. `special` namespaces may be told something else than the others, of
        which one stands for all."""
        seeing = (name for name in self.homes if exported_to(exported, name))
        told = [name for name in sorted(special) if name in self.homes and exported_to(exported, name)]
        other = next((name for name in seeing if name not in special), None)
        names = [*map(Namespace, told), *([] if other is None else [other])]
        yield from (Client(namespace=name) for name in names)
        yield from (client for client in self.clients if client.namespace in names)

    def gateways(
        self, exported: frozenset[str], through: Collection[GatewayName], *, by_labels: bool
    ) -> Iterator[Client]:
        """A gateway sees what is exported to the namespace in which it runs (4.4)."""
        for crew in (self.crews[name] for name in sorted(set(through) - {MESH}) if name in self.crews):
            asked = crew.clients if by_labels else crew.of_each_namespace()
            yield from (each for each in asked if exported_to(exported, each.namespace))
