"""Aborts by an HTTP/2 error are for gRPC only."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshd.cli.validate import validated

MESH = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: cart}}
spec:
  hosts: [cart.shop]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ports}]
  endpoints: [{{address: 192.0.2.1}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: cart}}
spec:
  hosts: [cart.shop]
  http:
  - fault: {{abort: {{http2Error: REFUSED_STREAM, percentage: {{value: 1}}}}}}
    match: [{match}]
    route: [{{destination: {{host: cart.shop{port}}}}}]
"""
GRPC = "{number: 81, name: grpc}"
HTTP = "{number: 80, name: http}"
HTTP2 = "{number: 80, name: http2}"
WEB = "{number: 82, name: grpc-web}"
TCP = "{number: 83, name: db, protocol: MYSQL}"


@pytest.mark.spec("V-76")
@pytest.mark.parametrize(
    ("ports", "match", "port", "is_refused"),
    [
        (GRPC, "", "", False),
        (f"{GRPC}, {WEB}, {TCP}", "", "", False),
        (HTTP, "", "", True),
        (HTTP2, "", "", True),
        (f"{GRPC}, {HTTP}", "", "", True),
        (f"{GRPC}, {HTTP}", "", ", port: {number: 81}", False),
        (f"{GRPC}, {HTTP}", "", ", port: {number: 80}", True),
        (f"{GRPC}, {HTTP}", "{port: 81}", "", False),
        (f"{GRPC}, {HTTP}", "{port: 81}, {uri: {prefix: /a}}", "", True),
        (HTTP, "{port: 81}", "", True),
    ],
)
def test_a_port_that_speaks_no_grpc_cannot_be_met_with_an_http2_error(
    tmp_path: Path, ports: str, match: str, port: str, is_refused: bool
):
    (tmp_path / "mesh.yaml").write_text(MESH.format(ports=ports, match=match, port=port))

    found = [problem for problem in validated((tmp_path,), isolated=False).problems if problem.is_error]

    assert [f"{problem.code} {problem.at.path}" for problem in found] == (
        ["E-HTTP2ERR spec.http[0].fault.abort.http2Error"] if is_refused else []
    )
