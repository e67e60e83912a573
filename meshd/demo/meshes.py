"""The files that the demo commits. Ports of this machine in, YAML as a person would write it out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

HOST: Final = "web-1"
SHOP: Final = "shop.example"
PAYMENTS: Final = "payments.example"


def hosts() -> str:
    return f"""\
# The VMs of this mesh: one, and it is this machine.
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata:
  name: {HOST}
spec:
  address: 127.0.0.1
"""


def shop(ports: Mapping[str, int]) -> str:
    endpoints = "\n".join(
        f"  - address: 127.0.0.1\n    ports: {{http: {port}}}\n    labels: {{version: {version}}}"
        for version, port in ports.items()
    )
    subsets = "\n".join(f"  - name: {version}\n    labels: {{version: {version}}}" for version in ports)
    return f"""\
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata:
  name: shop
spec:
  hosts: [{SHOP}]
  location: MESH_INTERNAL
  resolution: STATIC
  ports:
  - number: 80
    name: http
    protocol: HTTP
  endpoints:
{endpoints}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: shop
spec:
  host: {SHOP}
  subsets:
{subsets}
"""


_ROUTES: Final = f"""\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: shop
spec:
  hosts: [{SHOP}]
  http:
"""


def all_to(version: str) -> str:
    return f"""\
{_ROUTES}\
  - route:
    - destination: {{host: {SHOP}, subset: {version}}}
"""


def shared(weights: Mapping[str, int]) -> str:
    destinations = "\n".join(
        f"    - destination: {{host: {SHOP}, subset: {version}}}\n      weight: {weight}"
        for version, weight in weights.items()
    )
    return f"{_ROUTES}  - route:\n{destinations}\n"


def by_header(weights: Mapping[str, int], name: str, value: str, version: str) -> str:
    return shared(weights).replace(
        _ROUTES,
        f"""\
{_ROUTES}\
  - match:
    - headers:
        {name}: {{exact: {value}}}
    route:
    - destination: {{host: {SHOP}, subset: {version}}}
""",
    )


def payments(port: int, authority: Path) -> str:
    return f"""\
# Applications say http://{PAYMENTS}/; the proxy opens TLS and verifies the certificate and its name.
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata:
  name: payments
spec:
  hosts: [{PAYMENTS}]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports:
  - number: 80
    name: http
    protocol: HTTP
    targetPort: {port}
  endpoints:
  - address: 127.0.0.1
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: payments
spec:
  host: {PAYMENTS}
  trafficPolicy:
    tls:
      mode: SIMPLE
      caCertificates: {authority}
"""


def broken(routes: str) -> str:
    """Two slips of the kind that review misses: a weight in words, and a field that is nearly one."""
    return f"{routes}    timout: 2s\n".replace("weight: 75", "weight: most")


def mended(routes: str) -> str:
    """What `broken` meant to say, and a larger share for v2."""
    return f"{routes}    timeout: 2s\n".replace("weight: 75", "weight: 10").replace("weight: 25", "weight: 90")
