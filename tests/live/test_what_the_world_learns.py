"""What services outside learn of who calls them: as in Istio, what proxies on the way add, unless a rule removes it."""

from __future__ import annotations

import http.client
from pathlib import Path

import pytest

from tests.live.backends import Backends
from tests.live.outbound import running_host
from tests.ports import free_port

pytestmark = pytest.mark.envoy

MESH = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: outside}
spec:
  hosts: [outside.example]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints: [{address: 127.0.0.1, ports: {http: $backend}}]
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: shop}
spec: {address: 10.255.255.1, labels: {app: shop}}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: out}
spec:
  selector: {app: web}
  servers: [{port: {number: $gateway, name: http, protocol: HTTP}, hosts: [outside.example]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: outside}
spec:
  hosts: [outside.example]
  gateways: [out]
  http: [{$headers route: [{destination: {host: outside.example}}]}]
"""
OURS = "x-forwarded-for, x-forwarded-proto, x-forwarded-client-cert, x-envoy-external-address, x-request-id"
SENT = {"host", "accept-encoding"}


def mesh(backends: Backends, gateway: int, headers: str = "") -> str:
    texts = {"$backend": str(backends.ports["v1"]), "$gateway": str(gateway), "$headers": headers}
    text = MESH
    for name, value in texts.items():
        text = text.replace(name, value)
    return text


def learned(backends: Backends) -> set[str]:
    return {name for name, _ in backends.received[-1].headers} - SENT


def by_gateway(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/", headers={"host": "outside.example"})
        return connection.getresponse().status
    finally:
        connection.close()


def test_from_a_sidecar_it_is_no_address(envoy_binary: Path, backends: Backends):
    with running_host(envoy_binary, mesh(backends, free_port())) as outside:
        assert outside.get("http://outside.example/").status == 200

    assert learned(backends) == {"x-forwarded-proto", "x-request-id"}


def test_from_a_gateway_it_is_the_callers_address_too(envoy_binary: Path, backends: Backends):
    port = free_port()
    with running_host(envoy_binary, mesh(backends, port)):
        assert by_gateway(port) == 200

    expected = {"x-forwarded-for", "x-forwarded-proto", "x-envoy-external-address", "x-request-id"}
    assert learned(backends) == expected


def test_a_rule_of_the_gateway_keeps_all_of_it_in_the_mesh(envoy_binary: Path, backends: Backends):
    port = free_port()
    with running_host(envoy_binary, mesh(backends, port, f"headers: {{request: {{remove: [{OURS}]}}}},")):
        assert by_gateway(port) == 200

    assert learned(backends) == set()
