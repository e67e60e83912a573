"""The meshes of the lab: workloads at the addresses of its machines, and what they call."""

from __future__ import annotations

from collections.abc import Mapping

from tests.lab.installation import Host


def workload(host: Host, **labels: str) -> str:
    shown = "".join(f", {key}: {value}" for key, value in labels.items()).removeprefix(", ")
    return f"""\
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: {host.name}}}
spec: {{address: {host.machine.address}, labels: {{{shown}}}}}
"""


def service_by_name(name: str, *hosts: str, port: int = 8080) -> str:
    """Its endpoints are names, so that DNS is asked."""
    endpoints = "".join(f"  - {{address: {host}}}\n" for host in hosts)
    return f"""\
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}}}
spec:
  hosts: [{name}.example]
  location: MESH_INTERNAL
  resolution: DNS
  ports:
  - {{number: 80, name: http, protocol: HTTP, targetPort: {port}}}
  endpoints:
{endpoints}"""


def service(name: str, endpoints: Mapping[str, str], port: int = 8080) -> str:
    """`endpoints`: the address of each version."""
    lines = "".join(
        f"  - {{address: {address}, labels: {{version: {version}}}}}\n" for version, address in endpoints.items()
    )
    subsets = "".join(f"  - {{name: {version}, labels: {{version: {version}}}}}\n" for version in endpoints)
    return f"""\
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}}}
spec:
  hosts: [{name}.example]
  location: MESH_INTERNAL
  resolution: STATIC
  ports:
  - {{number: 80, name: http, protocol: HTTP, targetPort: {port}}}
  endpoints:
{lines}---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: {name}}}
spec:
  host: {name}.example
  subsets:
{subsets}"""


def all_to(name: str, version: str, *gateways: str) -> str:
    """A VirtualService that sends everything to one version, in the mesh and at these gateways."""
    shown = f"  gateways: [{', '.join(('mesh', *gateways))}]\n" if gateways else ""
    return f"""\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}}}
spec:
  hosts: [{name}.example]
{shown}  http:
  - route:
    - {{destination: {{host: {name}.example, subset: {version}}}}}
"""


def gateway(name: str, **selector: str) -> str:
    chosen = ", ".join(f"{key}: {value}" for key, value in selector.items())
    return f"""\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: {name}}}
spec:
  selector: {{{chosen}}}
  servers:
  - port: {{number: 80, name: http, protocol: HTTP}}
    hosts: ["*"]
"""
