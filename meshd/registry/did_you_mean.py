"""A known host near to one that nobody has, found without comparing it to every host of a large mesh."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from meshd.names import ServiceHost
from meshd.problems import nearest
from meshd.registry.hosts import covering

_MOST: Final = 200
_PATIENCE: Final = 100


class Known:
    """The hosts of the mesh, by first label and by domain: a typing error is seldom in both."""

    __slots__ = ("_asked", "_by_half", "_hosts")

    def __init__(self, hosts: Mapping[ServiceHost, object]) -> None:
        self._hosts = hosts
        self._by_half: dict[str, list[ServiceHost]] | None = None
        self._asked = 0

    def covering(self, host: ServiceHost) -> ServiceHost | None:
        """The most specific wildcard over a host that is not known itself."""
        return next((wildcard for wildcard, _ in covering(host, self._hosts)), None)

    def near(self, host: ServiceHost) -> str:
        """Comparing is slow, so that only the first few hundred of a broken mesh's hosts get a hint."""
        self._asked += 1
        if self._asked > _PATIENCE:
            return ""
        if self._by_half is None:
            self._by_half = _halves(self._hosts)
        label, _, domain = host.partition(".")
        alike = [known for half in (label, f".{domain}") for known in self._by_half.get(half, ())]
        return nearest(host, sorted(alike, key=lambda known: abs(len(known) - len(host)))[:_MOST])


def _halves(hosts: Iterable[ServiceHost]) -> dict[str, list[ServiceHost]]:
    halves: dict[str, list[ServiceHost]] = {}
    for host in hosts:
        label, _, domain = host.partition(".")
        halves.setdefault(label, []).append(host)
        halves.setdefault(f".{domain}", []).append(host)
    return halves
