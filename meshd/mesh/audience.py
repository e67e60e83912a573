"""Who has to be asked to know what a route means to everybody: few clients stand for all."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from meshd.mesh.client import Client
from meshd.names import Namespace
from meshd.registry.precedence import exported_to


@dataclass(frozen=True, slots=True, kw_only=True)
class Audience:
    """`homes`: the namespaces that have VMs. `clients`: those VMs whose labels make a difference."""

    homes: tuple[Namespace, ...]
    clients: tuple[Client, ...]

    def seeing(self, exported: frozenset[str], special: Collection[str], home: Namespace) -> Iterator[Client]:
        """Those who see what is exported so. `special` namespaces may be told something else than the others, of
        which one stands for all. Where no VM sees it, `home` is asked as if it had one."""
        seeing = (name for name in self.homes if exported_to(exported, name))
        told = [name for name in sorted(special) if name in self.homes and exported_to(exported, name)]
        other = next((name for name in seeing if name not in special), None)
        names = [*map(Namespace, told), *([] if other is None else [other])] or [home]
        yield from (Client(namespace=name) for name in names)
        yield from (client for client in self.clients if client.namespace in names)
