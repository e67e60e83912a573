"""A case: a bit of mesh with a host of its own, and the exchanges that must come of it.

YAML texts may say `$host` and `$name` (the case's own), `$v1` (the port of a backend) and `$ca`-like file names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from string import Template
from textwrap import dedent, indent

from tests.live.requests import Exchange

_ENTRY = """
ports:
- {number: 80, name: http, protocol: HTTP}
resolution: STATIC
endpoints:
- {address: 127.0.0.1, ports: {http: $v1}, labels: {version: v1}}
- {address: 127.0.0.1, ports: {http: $v2}, labels: {version: v2}}
- {address: 127.0.0.1, ports: {http: $v3}, labels: {version: v3}}
"""

_SUBSETS = """
- {name: v1, labels: {version: v1}}
- {name: v2, labels: {version: v2}}
- {name: v3, labels: {version: v3}}
"""

_TO_V1 = "- route: [{destination: {host: $host, subset: v1}}]"


@dataclass(frozen=True, kw_only=True)
class Case:
    """By default a service `$host` with endpoints v1, v2 and v3, each a subset, and all requests go to v1.

    `http`: the rules of its VirtualService; empty, there is none. `policy`: the trafficPolicy of its DestinationRule,
    and `subsets` its subsets. `entry`: the spec of its ServiceEntry but for the hosts. `mesh`: other documents.
    """

    id: str
    exchanges: tuple[Exchange, ...]
    http: str
    policy: str
    subsets: str
    entry: str
    mesh: str

    @property
    def name(self) -> str:
        """Also the first label of its host, so ids are DNS labels but for the case of their letters."""
        assert len(self.id) <= 63, self.id
        return self.id.lower()

    @property
    def host(self) -> str:
        return f"{self.name}.live"

    def documents(self, names: Mapping[str, str]) -> str:
        parts = [self._entry(), self._rule(), self._virtual_service(), dedent(self.mesh)]
        text = "\n---\n".join(part for part in parts if part.strip())
        return Template(text).safe_substitute({**names, "host": self.host, "name": self.name})

    def _entry(self) -> str:
        return _object("ServiceEntry", "hosts: [$host]\n" + dedent(self.entry)) if self.entry else ""

    def _rule(self) -> str:
        policy = f"trafficPolicy:\n{_inside(self.policy)}\n" if self.policy else ""
        subsets = f"subsets:\n{_inside(self.subsets)}" if self.subsets else ""
        return _object("DestinationRule", f"host: $host\n{policy}{subsets}") if policy or subsets else ""

    def _virtual_service(self) -> str:
        return _object("VirtualService", f"hosts: [$host]\nhttp:\n{_inside(self.http)}") if self.http else ""


def case(
    id: str,  # noqa: A002
    *exchanges: Exchange,
    http: str = _TO_V1,
    policy: str = "",
    subsets: str = _SUBSETS,
    entry: str = _ENTRY,
    mesh: str = "",
) -> Case:
    return Case(id=id, exchanges=exchanges, http=http, policy=policy, subsets=subsets, entry=entry, mesh=mesh)


def only(id: str, *exchanges: Exchange, mesh: str) -> Case:  # noqa: A002
    """Nothing but the documents that are given."""
    return case(id, *exchanges, http="", subsets="", entry="", mesh=mesh)


def _object(kind: str, spec: str) -> str:
    head = f"apiVersion: networking.istio.io/v1\nkind: {kind}\nmetadata: {{name: $name}}\nspec:\n"
    return head + indent(spec.strip("\n"), "  ")


def _inside(text: str) -> str:
    return indent(dedent(text).strip("\n"), "  ")
