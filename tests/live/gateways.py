"""What makes vm-1 a gateway, and cases that come in by it: for the modules that want one."""

from __future__ import annotations

from textwrap import dedent, indent

from tests.live.cases import Case, case
from tests.live.requests import Exchange

WORKLOAD = """
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: edge, annotations: {meshd.io/host: vm-1}}
spec:
  address: $address
  labels: {istio: ingressgateway, tier: edge}
---
"""


def ports(**targets: str) -> str:
    """A service that the gateway implements: `p80="$web"` says where its server of port 80 really listens (G-3.2)."""
    listed = ", ".join(
        f"{{number: {name[1:]}, name: tcp-{name}, protocol: TCP, targetPort: {target}}}"
        for name, target in targets.items()
    )
    return f"""
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: edge}}
spec:
  hosts: [edge.live]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{listed}]
  workloadSelector: {{labels: {{istio: ingressgateway}}}}
---
"""


def coming_in(
    id: str,  # noqa: A002
    *exchanges: Exchange,
    routes: str,
    gateways: str = "[edge]",
    hosts: str = "[$host]",
    mesh: str = "",
    entry: str | None = None,
) -> Case:
    """The service `$host` with subsets v1 to v3, and a VirtualService of `gateways` with these `routes`."""
    spec = f"hosts: {hosts}\ngateways: {gateways}\n{dedent(routes).strip()}\n"
    head = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: $name}\nspec:\n"
    document = head + indent(spec, "  ")
    documents = f"{document}---\n{dedent(mesh)}" if mesh else document
    if entry is None:
        return case(id, *exchanges, http="", mesh=documents)
    return case(id, *exchanges, http="", subsets="", entry=entry, mesh=documents)
