"""A captured machine whose only way out is a forward proxy: there is no other network in its namespace."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from meshd.envoy import assignments, render
from meshd.envoy.bootstrap import BootstrapSettings
from meshd.envoy.fallback import fallback
from meshd.memo import Memo
from tests.envoy.process import running
from tests.live.backends import Backends
from tests.live.forward_proxy import ForwardProxy
from tests.live.namespace import Namespace, namespace
from tests.live.outbound import HOST, plans_of, settings
from tests.live.raw import Talk, accepting, answering, serving

pytestmark = pytest.mark.envoy

APP = "10.255.255.1"
CAPTURE = f"""
table inet meshd {{
  chain outbound {{
    type nat hook output priority -100;
    ip saddr {APP} tcp dport != 15001 redirect to :15001
  }}
}}
"""
SERVICES = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: plain}
spec:
  hosts: [plain.example]
  location: MESH_EXTERNAL
  resolution: DNS
  ports: [{number: 80, name: http, protocol: HTTP}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: block}
spec:
  hosts: [block.example]
  addresses: [10.97.0.0/16]
  location: MESH_EXTERNAL
  resolution: NONE
  ports: [{number: 7003, name: tcp, protocol: TCP}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: wild}
spec:
  hosts: ["*.wild.example"]
  location: MESH_EXTERNAL
  resolution: NONE
  ports: [{number: 80, name: http, protocol: HTTP}]
"""


@dataclass(frozen=True, kw_only=True)
class Machine:
    room: Namespace
    proxy: ForwardProxy

    def told(self, address: str, port: int) -> bytes:
        """The answer to a few bytes."""
        with self._connected(address, port) as connection:
            connection.sendall(b"hello")
            return connection.recv(100)

    def get(self, address: str, host: str) -> tuple[int, str]:
        client = http.client.HTTPConnection(host, timeout=10)
        client.sock = self._connected(address, 80)
        try:
            client.request("GET", "/")
            answer = client.getresponse()
            body = answer.read().decode()
            return answer.status, str(json.loads(body)["by"]) if answer.status == 200 else body
        finally:
            client.close()

    def _connected(self, address: str, port: int) -> socket.socket:
        return self.room.within(socket.create_connection, (address, port), 10, (APP, 0))


@pytest.fixture(scope="module")
def machine(envoy_binary: Path, backends: Backends) -> Iterator[Machine]:
    networks = ("10.96.0.1/16", "10.97.0.1/16", "10.98.0.1/16")
    with namespace(f"{APP}/32", *networks) as room, serving(answering("outside")) as outside, ExitStack() as stack:
        room.run("nft", "-f", "-", given=CAPTURE)
        proxy = ForwardProxy()
        proxy.leads = {
            "plain.example:80": backends.ports["v1"],
            "unknown.example:80": backends.ports["v2"],
            "a.wild.example:80": backends.ports["v3"],
            "10.96.1.1:7000": outside,
            "10.97.1.1:7003": outside,
        }
        port = stack.enter_context(_within(room, "127.0.0.1", 0, proxy))
        for each in ("10.98.3.4", "10.96.5.6"):
            stack.enter_context(_within(room, each, 80, _http("inside")))
        stack.enter_context(_within(room, "10.98.3.4", 7000, answering("inside")))
        said = f"[{{host: 127.0.0.1, port: {port}, noProxy: [10.98.0.0/16, .near.example]}}]"
        mesh = settings(said, "outboundTrafficPolicy: {mode: ALLOW_ANY}") + SERVICES
        stack.enter_context(_envoy(envoy_binary, room, mesh))
        yield Machine(room=room, proxy=proxy)


@pytest.fixture(autouse=True)
def forgetting(machine: Machine) -> None:
    machine.proxy.asked.clear()


@pytest.mark.parametrize(
    ("host", "version"),
    [
        pytest.param("plain.example", "v1", id="a service"),
        pytest.param("unknown.example", "v2", id="one that is in no registry"),
        pytest.param("a.wild.example", "v3", id="below a wildcard of resolution NONE"),
    ],
)
def test_captured_requests_go_through_by_their_host(machine: Machine, host: str, version: str):
    assert machine.get("10.96.9.9", host) == (200, version)
    assert machine.proxy.authorities == [f"{host}:80"]


@pytest.mark.parametrize(
    ("address", "port"),
    [
        pytest.param("10.96.1.1", 7000, id="one that is in no registry"),
        pytest.param("10.97.1.1", 7003, id="a service of a network"),
    ],
)
def test_captured_bytes_go_through_by_the_address_that_was_dialled(machine: Machine, address: str, port: int):
    assert machine.told(address, port) == b"outside"
    assert machine.proxy.authorities == [f"{address}:{port}"]


def test_what_noproxy_names_by_address_is_reached_without_the_proxy(machine: Machine):
    assert machine.told("10.98.3.4", 7000) == b"inside"
    assert machine.get("10.98.3.4", "some.example") == (200, "inside")
    assert machine.proxy.asked == []


def test_what_noproxy_names_by_name_is_reached_where_it_was_dialled(machine: Machine):
    assert machine.get("10.96.5.6", "intranet.near.example") == (200, "inside")
    assert machine.proxy.asked == []


def test_nothing_gets_out_beside_the_proxy(machine: Machine):
    machine.proxy.leads.pop("10.96.1.1:7000")

    with suppress(ConnectionResetError):
        assert machine.told("10.96.1.1", 7000) == b""
    assert machine.proxy.authorities == ["10.96.1.1:7000"]


def _within(room: Namespace, address: str, port: int, talk: Talk) -> Iterator[int]:
    return accepting(room.within(socket.create_server, (address, port)), talk)


def _http(name: str) -> Callable[[socket.socket], None]:
    body = json.dumps({"by": name})
    answer = f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode()

    def talk(connection: socket.socket) -> None:
        while connection.recv(10_000):
            connection.sendall(answer)

    return talk


@contextmanager
def _envoy(binary: Path, room: Namespace, mesh: str) -> Iterator[None]:
    directory = Path(tempfile.mkdtemp(prefix="m", dir="/tmp"))
    within = directory / "envoy"
    within.write_text(f'#!/bin/sh\nexec {" ".join(room.command(binary))} "$@"\n')
    within.chmod(0o755)
    sockets = {"xds_socket": str(directory / "xds.sock"), "admin_socket": str(directory / "admin.sock")}
    of_this = BootstrapSettings(proxy="sidecar", host=HOST, **sockets)
    (plan,) = plans_of(mesh, 15080, captured=True)
    try:
        with running(within, fallback(render(plan, Memo()), assignments(plan, {}, Memo()), of_this), of_this):
            yield
    finally:
        shutil.rmtree(directory)
