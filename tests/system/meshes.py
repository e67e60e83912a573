"""The meshes of the system tests: a host, a service with versions, and the routes between them."""

from __future__ import annotations

from collections.abc import Mapping


def workload(host: str = "web-1", address: str = "127.0.0.1") -> str:
    return f"""\
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: {host}}}
spec: {{address: {address}}}
"""


def service(name: str, versions: Mapping[str, int]) -> str:
    """`versions` gives the loopback port on which each version answers."""
    endpoints = "".join(
        f"  - {{address: 127.0.0.1, ports: {{http: {port}}}, labels: {{version: {version}}}}}\n"
        for version, port in versions.items()
    )
    return f"""\
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}}}
spec:
  hosts: [{name}.example]
  location: MESH_INTERNAL
  resolution: STATIC
  ports:
  - {{number: 80, name: http, protocol: HTTP}}
  endpoints:
{endpoints}"""


def subsets(name: str, *versions: str) -> str:
    entries = "".join(f"  - {{name: {version}, labels: {{version: {version}}}}}\n" for version in versions)
    return f"""\
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: {name}}}
spec:
  host: {name}.example
  subsets:
{entries}"""


def weights(name: str, shares: Mapping[str, int]) -> str:
    routes = "".join(
        f"    - {{destination: {{host: {name}.example, subset: {version}}}, weight: {weight}}}\n"
        for version, weight in shares.items()
    )
    return f"""\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}}}
spec:
  hosts: [{name}.example]
  http:
  - route:
{routes}"""
