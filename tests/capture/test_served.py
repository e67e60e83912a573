"""The file by which the daemon tells the capture its ports: what stands in it, and what the reader never falls for."""

from __future__ import annotations

import json
import os

import pytest

from meshd.capture.error import CaptureError, NotServedError
from meshd.capture.served import Served, read, served_by, written
from meshd.compiler import Reach, compile_plan
from meshd.memo import Memo
from meshd.mesh.load import load
from meshd.names import BlobId, HostName

SIDECAR = {"proxyListenPort": 15001, "proxyInboundPort": 15006, "boundPorts": []}
HERE = """
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: vm-1, labels: {app: web}}
spec: {address: 10.0.0.5, labels: {app: web}}
"""
GATEWAY = """
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: gate, annotations: {meshd.io/host: vm-1}}
spec: {address: 10.0.0.5, labels: {app: gate}}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gate}
spec:
  selector: {app: gate}
  servers: [{port: {number: 8443, name: http, protocol: HTTP}, hosts: ["*"]}]
"""
BOUND = """
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: web}
spec:
  workloadSelector: {labels: {app: web}}
  ingress:
  - {port: {number: 9080, name: http, protocol: HTTP}, captureMode: NONE, defaultEndpoint: "127.0.0.1:9081"}
  egress:
  - {port: {number: 7010, name: one, protocol: HTTP}, captureMode: NONE, bind: 127.0.0.1, hosts: ["*/*"]}
  - {hosts: ["*/*"]}
"""
PORTS = """
---
apiVersion: meshd.io/v1
kind: MeshConfig
metadata: {name: mesh}
spec: {proxyListenPort: 16001, proxyInboundPort: 16006}
"""


def plans(text, capture="nftables"):
    memo = Memo()
    loaded = load({"mesh.yaml": BlobId("mesh")}, lambda _: text.encode(), memo)
    assert loaded.mesh, [str(problem) for problem in loaded.problems]
    return compile_plan(loaded.mesh, HostName("vm-1"), Reach(capture=capture), memo).plans


@pytest.mark.parametrize(
    ("text", "served"),
    [
        pytest.param(HERE, Served(), id="the usual ports"),
        pytest.param(HERE + PORTS, Served(proxy_listen_port=16001, proxy_inbound_port=16006), id="those of the mesh"),
        pytest.param(HERE + GATEWAY, Served(bound=frozenset({8443})), id="a gateway has ports of its own"),
        pytest.param(HERE + BOUND, Served(bound=frozenset({9080})), id="so has a Sidecar, but for what is local"),
    ],
)
def test_what_the_proxies_of_a_host_listen_on(text, served):
    assert served_by(plans(text)) == served


def test_without_capture_nobody_takes_redirected_connections():
    assert served_by(plans(HERE, capture="none")) is None


def test_nor_where_there_is_only_a_gateway():
    assert served_by([plan for plan in plans(HERE + GATEWAY) if plan.proxy == "gateway"]) is None


@pytest.mark.parametrize("served", [None, Served(), Served(proxy_listen_port=1, bound=frozenset({80, 443}))])
def test_what_is_written_is_read(tmp_path, served):
    (tmp_path / "capture.json").write_bytes(written(served))

    assert read(tmp_path / "capture.json") == served


def test_a_file_that_is_not_there_yet_is_waited_for(tmp_path):
    with pytest.raises(NotServedError, match="no revision on this host yet"):
        read(tmp_path / "capture.json")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "null",
        "{}",
        "[" * 100_000,
        json.dumps({"format": 2, "sidecar": None}),
        json.dumps({"format": 1, "sidecar": []}),
        json.dumps({"format": 1, "sidecar": {}}),
        json.dumps({"format": 1, "sidecar": SIDECAR | {"proxyListenPort": "15001; flush ruleset"}}),
        json.dumps({"format": 1, "sidecar": SIDECAR | {"proxyListenPort": 0}}),
        json.dumps({"format": 1, "sidecar": SIDECAR | {"proxyInboundPort": 65536}}),
        json.dumps({"format": 1, "sidecar": SIDECAR | {"proxyInboundPort": True}}),
        json.dumps({"format": 1, "sidecar": SIDECAR | {"proxyInboundPort": 15001}}),
        json.dumps({"format": 1, "sidecar": SIDECAR | {"boundPorts": "80"}}),
        json.dumps({"format": 1, "sidecar": SIDECAR | {"boundPorts": [80, "x"]}}),
        json.dumps({"format": 1, "sidecar": SIDECAR})[:-2] + " " * 2_000_000 + "}}",
    ],
    ids=lambda content: content[:40] or "empty",
)
def test_anything_else_is_refused(tmp_path, content):
    (tmp_path / "capture.json").write_text(content)

    with pytest.raises(CaptureError, match="is not what this version of meshd writes"):
        read(tmp_path / "capture.json")


def test_whoever_owns_the_directory_makes_the_reader_open_nothing_else(tmp_path):
    secret, link, pipe = tmp_path / "secret", tmp_path / "link", tmp_path / "pipe"
    secret.write_bytes(written(Served()))
    link.symlink_to(secret)
    os.mkfifo(pipe)

    for path in (link, pipe, tmp_path):
        with pytest.raises(CaptureError):
            read(path)
