"""Synthetic meshes: how many services in, the files of a mesh repository out. Same number, same bytes.

A service has two VMs, and every second one two subsets and a route between them. One more service, the probe, runs
on this machine; requests to it show when a route is live.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

Files = dict[str, str]

HOST: Final = "web-1"
PROBE: Final = "probe.example"
_VERSIONS: Final = ("v1", "v2")


def mesh(services: int, probe_ports: tuple[int, int]) -> Files:
    files = {"hosts.yaml": _entry(HOST, "127.0.0.1"), "probe.yaml": probe(probe_ports)}
    files["probe-routes.yaml"] = routes("probe", 100)
    for number in range(services):
        files |= dict(_service(number))
    return files


def documents(files: Files) -> int:
    return sum(text.count("apiVersion:") for text in files.values())


# --- what a benchmark changes -----------------------------------------------------------------------------------


def route_change(number: int, turn: int) -> Files:
    """New weights, and a timeout that it never had."""
    name = routed(number)
    return {f"services/{name}-routes.yaml": routes(name, 1 + turn % 99, timeout=5001 + turn)}


def cluster_change(number: int, turn: int) -> Files:
    """Another connect timeout, for the service's three clusters."""
    name = routed(number)
    return {f"services/{name}-subsets.yaml": _rule(name, 1001 + turn)}


def endpoint_change(number: int, turn: int) -> Files:
    """A VM has another address."""
    name = routed(number)
    return {f"hosts/{name}-v1.yaml": _workload(name, "v1", _address(turn, 0, second=12))}


def probe_change(turn: int) -> Files:
    """All of the probe's requests go to its other version."""
    return {"probe-routes.yaml": routes("probe", 100 if turn % 2 else 0)}


def routed(number: int) -> str:
    """A service that has a route: the even ones."""
    return _name(number * 2)


# --- documents --------------------------------------------------------------------------------------------------


def probe(ports: tuple[int, int]) -> str:
    endpoints = "".join(
        f"  - {{address: 127.0.0.1, ports: {{http: {port}}}, labels: {{version: {version}}}}}\n"
        for version, port in zip(_VERSIONS, ports, strict=True)
    )
    entry = _document("ServiceEntry", "probe", f"{_ports(PROBE)}  endpoints:\n{endpoints}")
    return f"{entry}---\n{_rule('probe', 1000)}"


def routes(name: str, share: int, timeout: int = 5000) -> str:
    """`share` per cent to v1; the timeout in milliseconds."""
    return _document(
        "VirtualService",
        name,
        f"""\
  hosts: [{name}.example]
  http:
  - route:
    - destination: {{host: {name}.example, subset: v1}}
      weight: {share}
    - destination: {{host: {name}.example, subset: v2}}
      weight: {100 - share}
    timeout: {timeout}ms
""",
    )


def _service(number: int) -> Iterator[tuple[str, str]]:
    name = _name(number)
    for index, version in enumerate(_VERSIONS):
        yield f"hosts/{name}-{version}.yaml", _workload(name, version, _address(number, index))
    selector = f"  workloadSelector:\n    labels: {{app: {name}}}\n"
    yield f"services/{name}.yaml", _document("ServiceEntry", name, _ports(f"{name}.example") + selector)
    if number % 2 == 0:
        yield f"services/{name}-subsets.yaml", _rule(name, 1000)
        yield f"services/{name}-routes.yaml", routes(name, 90)


def _rule(name: str, milliseconds: int) -> str:
    subsets = "".join(f"  - {{name: {version}, labels: {{version: {version}}}}}\n" for version in _VERSIONS)
    return _document(
        "DestinationRule",
        name,
        f"""\
  host: {name}.example
  trafficPolicy:
    connectionPool:
      tcp: {{connectTimeout: {milliseconds}ms}}
  subsets:
{subsets}""",
    )


def _workload(name: str, version: str, address: str) -> str:
    labels = f"  labels: {{app: {name}, version: {version}}}\n"
    return _document("WorkloadEntry", f"{name}-{version}", f"  address: {address}\n{labels}")


def _entry(name: str, address: str) -> str:
    return _document("WorkloadEntry", name, f"  address: {address}\n")


def _ports(host: str) -> str:
    return f"""\
  hosts: [{host}]
  location: MESH_INTERNAL
  resolution: STATIC
  ports:
  - {{number: 80, name: http, protocol: HTTP}}
"""


def _document(kind: str, name: str, spec: str) -> str:
    return f"apiVersion: networking.istio.io/v1\nkind: {kind}\nmetadata:\n  name: {name}\nspec:\n{spec}"


def _name(number: int) -> str:
    return f"svc-{number:05}"


def _address(number: int, index: int, second: int = 10) -> str:
    return f"10.{second + index}.{number // 250 % 250}.{number % 250 + 1}"
