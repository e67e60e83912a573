"""What comes to a host that captures: who gets in, as whom, and what goes on as it came (spec section 10)."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import ssl
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from string import Template

import pytest

from meshd.compiler import Reach, compile_plan
from meshd.envoy import assignments, render
from meshd.envoy.bootstrap import BootstrapSettings
from meshd.envoy.fallback import fallback
from meshd.memo import Memo
from meshd.mesh.load import load
from meshd.names import BlobId, HostName
from tests.envoy.process import logged, running
from tests.live.certificates import Authority, Pair, authority, server_context
from tests.live.namespace import Namespace, namespace
from tests.waiting import until

pytestmark = pytest.mark.envoy

HOST, CLIENT = "10.9.0.1", "10.9.0.2"
HOST6, CLIENT6 = "fd00:9::1", "fd00:9::2"
HTTP, GREETING, ECHO, OWN_TLS, NOBODYS = 9080, 3306, 7000, 8443, 9999
MESH_ALPN = ["istio"]

# Whoever connects to the host is captured, the host itself and its proxy included, but for what the proxy passes on.
CAPTURE = f"""
table ip meshd {{
  chain inbound {{
    type nat hook output priority -100;
    ip saddr != 127.0.0.6 ip daddr {HOST} tcp dport != 15006 redirect to :15006
  }}
}}
table ip6 meshd {{
  chain inbound {{
    type nat hook output priority -100;
    ip6 saddr != ::1 ip6 daddr {HOST6} tcp dport != 15006 redirect to :15006
  }}
}}
"""
MESH = f"""
apiVersion: meshd.io/v1
kind: MeshConfig
metadata: {{name: mesh}}
spec:
  identity: {{certChain: $chain, key: $key, rootCert: $ca}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: vm-1}}
spec: {{address: {HOST}, labels: {{app: shop}}}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: vm-1-six, annotations: {{meshd.io/host: vm-1}}}}
spec: {{address: "{HOST6}", labels: {{app: shop}}}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: shop}}
spec:
  hosts: [shop.example]
  location: MESH_INTERNAL
  resolution: STATIC
  ports:
  - {{number: 80, name: http, protocol: HTTP, targetPort: {HTTP}}}
  - {{number: {GREETING}, name: mysql, protocol: MYSQL}}
  - {{number: {ECHO}, name: tcp, protocol: TCP}}
  - {{number: {OWN_TLS}, name: https, protocol: HTTPS}}
  workloadSelector: {{labels: {{app: shop}}}}
"""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The host within its namespace. `peer` is a member of the mesh, `foreigner` of another trust domain."""

    room: Namespace
    settings: BootstrapSettings
    ca: Authority
    peer: Pair
    foreigner: Pair

    def connect(self, port: int, host: str = HOST) -> socket.socket:
        client = CLIENT6 if ":" in host else CLIENT
        return self.room.within(socket.create_connection, (host, port), 10, (client, 0))

    def tls(self, port: int, pair: Pair | None, alpn: list[str]) -> ssl.SSLSocket:
        context = ssl.create_default_context(cafile=self.ca.file)
        context.check_hostname = False
        if pair:
            context.load_cert_chain(pair.chain, pair.key)
        if alpn:
            context.set_alpn_protocols(alpn)
        return context.wrap_socket(self.connect(port), server_hostname="outbound_.80_._.shop.example")

    def get(self, connection: socket.socket, **headers: str) -> tuple[int, dict[str, str]]:
        """The status, and the headers that the application saw."""
        client = http.client.HTTPConnection(HOST, HTTP)
        client.sock = connection
        client.request("GET", "/", headers=headers)
        answer = client.getresponse()
        body = answer.read()
        client.close()
        return answer.status, json.loads(body) if answer.status == 200 else {}


@pytest.fixture(scope="module")
def machine(envoy_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    certificates = tmp_path_factory.mktemp("identity")
    ca = authority(certificates, "mesh CA")
    own = ca.signed("shop", "URI:spiffe://cluster.local/ns/default/sa/shop")
    peer = ca.signed("web", "URI:spiffe://cluster.local/ns/default/sa/web")
    foreigner = ca.signed("foreigner", "URI:spiffe://cluster.local.evil/ns/default/sa/web")
    with namespace(f"{HOST}/32", f"{CLIENT}/32", f"{HOST6}/128", f"{CLIENT6}/128") as room, ExitStack() as stack:
        room.run("nft", "-f", "-", given=CAPTURE)
        stack.enter_context(_application(room))
        stack.enter_context(_serving(room, GREETING, _greet))
        stack.enter_context(_serving(room, ECHO, _echo))
        stack.enter_context(_serving(room, ECHO, _echo, address=HOST6))
        stack.enter_context(_serving(room, NOBODYS, _echo))
        stack.enter_context(_serving(room, OWN_TLS, _echo, server_context(own)))
        files = {"chain": own.chain, "key": own.key, "ca": ca.file}
        settings = stack.enter_context(_envoy(envoy_binary, room, files))
        yield Machine(room=room, settings=settings, ca=ca, peer=peer, foreigner=foreigner)


@contextmanager
def _envoy(binary: Path, room: Namespace, names: dict[str, Path]) -> Iterator[BootstrapSettings]:
    directory = Path(tempfile.mkdtemp(prefix="m", dir="/tmp"))
    within = directory / "envoy"
    within.write_text(f'#!/bin/sh\nexec {" ".join(room.command(binary))} "$@"\n')
    within.chmod(0o755)
    settings = BootstrapSettings(
        proxy="sidecar",
        host=HostName("vm-1"),
        xds_socket=str(directory / "xds.sock"),
        admin_socket=str(directory / "admin.sock"),
    )
    try:
        with running(within, _configuration(names, settings), settings):
            yield settings
    finally:
        shutil.rmtree(directory)


def _configuration(names: dict[str, Path], settings: BootstrapSettings) -> bytes:
    memo = Memo()
    text = Template(MESH).substitute(names).encode()
    mesh = load({"mesh.yaml": BlobId("mesh")}, lambda _: text, memo).mesh
    assert mesh
    (plan,) = compile_plan(mesh, HostName("vm-1"), Reach(capture="nftables", http_proxy_port=0), memo).plans
    return fallback(render(plan, memo), assignments(plan, {}, memo), settings)


@contextmanager
def _application(room: Namespace) -> Iterator[None]:
    """Answers with the headers that it saw."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = json.dumps({name.lower(): value for name, value in self.headers.items()}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """The test's output is not the place."""

    server = room.within(ThreadingHTTPServer, (HOST, HTTP), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def _serving(
    room: Namespace, port: int, talk, tls: ssl.SSLContext | None = None, *, address: str = HOST
) -> Iterator[None]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    server = room.within(socket.create_server, (address, port), family=family)
    thread = threading.Thread(target=_accept, args=(server, talk, tls))
    thread.start()
    try:
        yield
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()


def _accept(server: socket.socket, talk, tls: ssl.SSLContext | None) -> None:
    with suppress(OSError):
        while True:
            connection, _ = server.accept()
            threading.Thread(target=_served, args=(connection, talk, tls), daemon=True).start()


def _served(connection: socket.socket, talk, tls: ssl.SSLContext | None) -> None:
    with suppress(OSError), connection:
        connection.settimeout(10)
        talk(tls.wrap_socket(connection, server_side=True) if tls else connection)


def _greet(connection: socket.socket) -> None:
    connection.sendall(b"5.7.0-shop\n")
    connection.recv(100)


def _echo(connection: socket.socket) -> None:
    connection.sendall(b"echo " + connection.recv(100))
    connection.close()


def exchanged(connection: socket.socket, text: bytes) -> bytes:
    with connection:
        connection.sendall(text)
        return connection.recv(100)


# --- HTTP -----------------------------------------------------------------------------------------------------


def test_plain_text_gets_in_and_what_it_claims_of_a_certificate_does_not(machine):
    status, seen = machine.get(machine.connect(HTTP), **{"x-forwarded-client-cert": "URI=spiffe://cluster.local/evil"})

    assert status == 200
    assert "x-forwarded-client-cert" not in seen


@pytest.mark.spec("W-7")
@pytest.mark.parametrize("alpn", [["istio"], ["istio-http/1.1"], ["istio-peer-exchange", "istio"]])
def test_a_member_of_the_mesh_is_known_by_its_identity(machine, alpn):
    status, seen = machine.get(machine.tls(HTTP, machine.peer, alpn))

    assert status == 200
    assert "URI=spiffe://cluster.local/ns/default/sa/web" in seen["x-forwarded-client-cert"]
    assert "By=spiffe://cluster.local/ns/default/sa/shop" in seen["x-forwarded-client-cert"]


@pytest.mark.spec("W-7")
@pytest.mark.parametrize("who", [None, "foreigner"])
def test_nobody_else_gets_in_as_a_member(machine, who):
    # In TLS 1.3 the client learns only afterwards that its certificate was refused.
    refused = pytest.raises((OSError, http.client.HTTPException))  # an SSLError is an OSError
    with refused, machine.tls(HTTP, who and machine.foreigner, MESH_ALPN) as connection:
        machine.get(connection)


def test_who_was_not_let_in_is_told_in_the_log_and_why(machine):
    with pytest.raises((OSError, http.client.HTTPException)), machine.tls(HTTP, None, MESH_ALPN) as connection:
        machine.get(connection)

    def refused() -> list[dict[str, str]]:
        why = "peer_did_not_provide_required_client_certificate"
        return [line for line in logged(machine.settings) if why in line.get("downstream_transport_failure_reason", "")]

    assert until(refused)[0]["downstream_local_address"] == f"{HOST}:{HTTP}"


def test_the_log_says_nothing_of_who_was_let_in(machine):
    machine.get(machine.connect(HTTP))
    with machine.tls(HTTP, machine.peer, MESH_ALPN) as connection:
        machine.get(connection)
    with suppress(ConnectionResetError):
        exchanged(machine.connect(1), b"hello")

    last = f"{HOST}:1"
    told = until(lambda: [line for line in logged(machine.settings) if line["downstream_local_address"] == last])
    assert told[0]["response_flags"] == "UF,URX"
    quiet = [line for line in logged(machine.settings) if line["response_flags"] == "-"]
    assert [line for line in quiet if "downstream_transport_failure_reason" not in line] == []


def test_members_speak_http2_among_themselves(machine):
    with machine.tls(HTTP, machine.peer, ["istio", "h2"]) as connection:
        assert connection.selected_alpn_protocol() == "h2"


def test_tls_of_others_to_a_port_that_speaks_http_is_refused(machine):
    with pytest.raises(OSError):
        machine.tls(HTTP, None, ["http/1.1"])


# --- other bytes ----------------------------------------------------------------------------------------------


def test_bytes_of_a_member_arrive_without_its_tls(machine):
    assert exchanged(machine.tls(ECHO, machine.peer, MESH_ALPN), b"hello") == b"echo hello"


def test_bytes_in_plain_text_arrive_too(machine):
    assert exchanged(machine.connect(ECHO), b"hello") == b"echo hello"


def test_each_family_of_addresses_arrives(machine):
    assert exchanged(machine.connect(ECHO, HOST6), b"hello") == b"echo hello"


def test_the_application_may_call_itself_by_the_address_of_the_host(machine):
    connection = machine.room.within(socket.create_connection, (HOST, ECHO), 10, (HOST, 0))

    assert exchanged(connection, b"hello") == b"echo hello"


def test_tls_of_the_application_itself_is_passed_on_as_it_comes(machine):
    assert exchanged(machine.tls(OWN_TLS, None, []), b"hello") == b"echo hello"


def test_a_server_that_speaks_first_is_heard_before_the_client_said_a_word(machine):
    with machine.connect(GREETING) as connection:
        assert connection.recv(100) == b"5.7.0-shop\n"


# --- what is nobody's -----------------------------------------------------------------------------------------


def test_a_port_that_no_service_has_is_passed_on(machine):
    assert exchanged(machine.connect(NOBODYS), b"hello") == b"echo hello"


def test_also_to_a_member_that_does_not_know_better(machine):
    assert exchanged(machine.tls(NOBODYS, machine.peer, MESH_ALPN), b"hello") == b"echo hello"


def test_a_port_where_nobody_listens_is_closed(machine):
    with machine.connect(9998) as connection, suppress(ConnectionResetError):
        connection.sendall(b"hello")
        assert connection.recv(100) == b""


def test_the_port_of_the_capture_itself_leads_nowhere(machine):
    with machine.connect(15006) as connection, suppress(ConnectionResetError):
        connection.sendall(b"hello")
        assert connection.recv(100) == b""
