"""Hosts that Envoy finds by name, and connections that are carried in requests, where nothing is captured.

Names below `.localhost` are this machine by RFC 6761, so nobody is asked for them.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from meshd.compiler import Reach, compile_plan
from meshd.envoy import assignments, render
from meshd.envoy.bootstrap import BootstrapSettings
from meshd.envoy.fallback import fallback
from meshd.memo import Memo
from meshd.mesh.load import load
from meshd.names import BlobId, HostName
from meshd.problems import errors
from tests.envoy.process import running
from tests.live.certificates import authority, server_context
from tests.live.raw import serving
from tests.ports import free_port

pytestmark = pytest.mark.envoy

MESH = """
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: vm-1}}
spec: {{address: 10.0.0.1}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: wild}}
spec:
  hosts: ["*.apps.localhost"]
  resolution: DYNAMIC_DNS
  ports:
  - {{number: {web}, name: http, protocol: HTTP}}
  - {{number: {by_name}, name: tls, protocol: TLS, targetPort: {secure}}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: relay}}
spec:
  hosts: [relay.example]
  resolution: STATIC
  ports: [{{number: {tunnelled}, name: tcp, protocol: TCP, targetPort: {relay}}}]
  endpoints: [{{address: 127.0.0.1, labels: {{kind: post}}}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: posted}}
spec:
  hosts: [posted.example]
  resolution: STATIC
  ports: [{{number: {posted}, name: tcp, protocol: TCP}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: posted}}
spec:
  hosts: [posted.example]
  tcp: [{{route: [{{destination: {{host: relay.example, subset: post}}}}]}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: relay}}
spec:
  host: relay.example
  trafficPolicy:
    tunnel: {{targetHost: db.example, targetPort: 5432}}
  subsets:
  - name: post
    labels: {{kind: post}}
    trafficPolicy: {{tunnel: {{protocol: POST, targetHost: db.example, targetPort: 5433}}}}
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{name: default}}
spec:
  egress:
  - {{port: {{number: {by_name}, name: tls, protocol: TLS}}, hosts: ["*/*"]}}
  - {{port: {{number: {tunnelled}, name: tcp, protocol: TCP}}, hosts: ["*/*"]}}
  - {{port: {{number: {posted}, name: tcp, protocol: TCP}}, hosts: ["*/*"]}}
  outboundTrafficPolicy: {{mode: {policy}}}
"""
Talk = Callable[[socket.socket], None]


@dataclass(frozen=True, kw_only=True)
class World:
    """Ports of this machine: `web` and `unknown` answer HTTP, the others are the sidecar's listeners."""

    proxy: int
    web: int
    unknown: int
    by_name: int
    tunnelled: int
    posted: int

    def get(self, host: str) -> tuple[int, str]:
        client = http.client.HTTPConnection("127.0.0.1", self.proxy, timeout=10)
        try:
            client.request("GET", f"http://{host}/")
            answer = client.getresponse()
            return answer.status, answer.read().decode() or answer.headers.get("x-meshd-reason", "")
        finally:
            client.close()

    def told(self, port: int) -> str:
        with socket.create_connection(("127.0.0.1", port), 10) as connection:
            connection.sendall(b"hello")
            return connection.recv(100).decode()


@pytest.fixture(scope="module")
def strict(envoy_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with _world(envoy_binary, tmp_path_factory, "REGISTRY_ONLY") as world:
        yield world


@pytest.fixture(scope="module")
def open_minded(envoy_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with _world(envoy_binary, tmp_path_factory, "ALLOW_ANY") as world:
        yield world


@contextmanager
def _world(binary: Path, factory: pytest.TempPathFactory, policy: str) -> Iterator[World]:
    pair = authority(factory.mktemp("certificates")).signed("any", "DNS:any.example")
    with ExitStack() as stack:
        web, unknown = (stack.enter_context(serving(_http(name))) for name in ("web", "unknown"))
        secure = stack.enter_context(serving(_tls(server_context(pair))))
        relay = stack.enter_context(serving(_relay))
        ours = {"by_name": free_port(), "tunnelled": free_port(), "posted": free_port()}
        text = MESH.format(web=web, secure=secure, relay=relay, policy=policy, **ours)
        proxy = free_port()
        directory = factory.mktemp("e")
        stack.enter_context(_envoy(binary, directory, text, proxy))
        yield World(proxy=proxy, web=web, unknown=unknown, **ours)


@contextmanager
def _envoy(binary: Path, directory: Path, text: str, proxy: int) -> Iterator[None]:
    settings = BootstrapSettings(
        proxy="sidecar",
        host=HostName("vm-1"),
        xds_socket=str(directory / "xds.sock"),
        admin_socket=str(directory / "admin.sock"),
    )
    memo = Memo()
    loaded = load({"mesh.yaml": BlobId("mesh")}, lambda _: text.encode(), memo)
    assert loaded.mesh, [str(problem) for problem in loaded.problems]
    compiled = compile_plan(loaded.mesh, HostName("vm-1"), Reach(http_proxy_port=proxy), memo)
    assert not errors(compiled.problems), compiled.problems
    (plan,) = compiled.plans
    with running(binary, fallback(render(plan, memo), assignments(plan, {}, memo), settings), settings):
        yield


# --- who answers ----------------------------------------------------------------------------------------------


def _http(name: str) -> Talk:
    def talk(connection: socket.socket) -> None:
        connection.recv(10_000)
        connection.sendall(f"HTTP/1.1 200 OK\r\ncontent-length: {len(name)}\r\n\r\n{name}".encode())

    return talk


def _tls(context: ssl.SSLContext) -> Talk:
    def talk(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            secure.sendall(b"secure")

    return talk


def _relay(connection: socket.socket) -> None:
    """Takes what is carried to it, and says by which request; a body it answers in one too."""
    head = b""
    while b"\r\n\r\n" not in head:
        head += connection.recv(1000)
    lines = head.decode().split("\r\n")
    method, target, _ = lines[0].split()
    host = next((line.partition(":")[2].strip() for line in lines if line.lower().startswith("host:")), "")
    said = f"{method} {target if method == 'CONNECT' else host}"
    if method == "CONNECT":
        connection.sendall(f"HTTP/1.1 200 OK\r\n\r\n{said}".encode())
    else:
        connection.sendall(f"HTTP/1.1 200 OK\r\ncontent-length: {len(said)}\r\n\r\n{said}".encode())
    connection.recv(1000)


# --- names ----------------------------------------------------------------------------------------------------


@pytest.mark.spec("S-8")
def test_a_request_goes_to_where_its_host_leads(strict):
    assert strict.get(f"shop.apps.localhost:{strict.web}") == (200, "web")


@pytest.mark.spec("S-8")
def test_a_connection_goes_to_where_its_server_name_leads(strict):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = socket.create_connection(("127.0.0.1", strict.by_name), 10)

    with context.wrap_socket(connection, server_hostname="shop.apps.localhost") as secure:
        assert secure.recv(100) == b"secure"


@pytest.mark.spec("SC-14")
def test_an_unknown_host_is_refused_or_found_by_its_name(strict, open_minded):
    unknown = f"localhost:{strict.unknown}"
    assert strict.get(unknown) == (502, f"host {unknown} is not in the registry")
    assert open_minded.get(f"localhost:{open_minded.unknown}") == (200, "unknown")


# --- tunnels --------------------------------------------------------------------------------------------------


@pytest.mark.spec("D-90")
def test_connections_are_carried_in_connect_requests(strict):
    assert strict.told(strict.tunnelled) == "CONNECT db.example:5432"


@pytest.mark.spec("D-90")
def test_or_in_post_requests_as_a_subset_says(strict):
    assert strict.told(strict.posted) == "POST db.example:5433"
