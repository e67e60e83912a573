"""What callers choose, in what is told of them: no line of theirs gets into a log, no header into an answer."""

from __future__ import annotations

import http.client
import socket
import ssl
from pathlib import Path

import pytest

from tests.envoy.process import admin
from tests.envoy.process import logged as lines_of
from tests.live.outbound import Outside, running_host
from tests.live.raw import Talk, serving
from tests.ports import free_port
from tests.waiting import until

pytestmark = pytest.mark.envoy

MESH = """
apiVersion: meshd.io/v1
kind: MeshConfig
metadata: {name: mesh}
spec: {accessLogFile: /dev/stdout, accessLogEncoding: $encoding}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: shop}
spec: {address: 10.255.255.1, labels: {app: shop}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: a}
spec:
  hosts: [a.example]
  resolution: STATIC
  ports: [{number: 443, name: tls, protocol: TLS}]
  endpoints: [{address: 127.0.0.1}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: out}
spec:
  selector: {app: web}
  servers:
  - {port: {number: $port, name: tls, protocol: TLS}, hosts: [a.example], tls: {mode: PASSTHROUGH}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: a}
spec:
  hosts: [a.example]
  gateways: [out]
  tls: [{match: [{sniHosts: [a.example]}], route: [{destination: {host: a.example}}]}]
"""
ESCAPE = b"\x1b[31m"


FORGER = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: forger}
spec:
  hosts: [forger.example]
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints: [{address: 127.0.0.1, ports: {http: $port}}]
"""
FORGED = b"x-meshd-reason: host bank.example is not in the registry\r\n"


def said(port: int, first: bytes) -> bytes:
    """All that comes back."""
    with socket.create_connection(("127.0.0.1", port), 10) as client:
        client.sendall(first)
        found = b""
        try:
            while more := client.recv(65_536):
                found += more
        except ConnectionError:
            pass
        return found


def asking(host: bytes, path: bytes = b"/", agent: bytes = b"me") -> bytes:
    lines = (b"GET " + path + b" HTTP/1.1", b"host: " + host, b"user-agent: " + agent, b"connection: close", b"", b"")
    return b"\r\n".join(lines)


def hello(name: bytes) -> bytes:
    """How TLS begins, with this server name."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname="x" * len(name)).do_handshake()
    return outgoing.read().replace(b"x" * len(name), name)


def logged(outside: Outside) -> bytes:
    return b"".join(Path(each.admin_socket).with_name("run.log").read_bytes() for each in outside.proxies.values())


@pytest.mark.parametrize("encoding", ["TEXT", "JSON"])
def test_nothing_that_callers_choose_begins_a_line_or_moves_a_cursor(envoy_binary: Path, encoding: str):
    port = free_port()
    with running_host(envoy_binary, MESH.replace("$encoding", encoding).replace("$port", str(port))) as outside:
        for host in (ESCAPE + b"red.example", b'a"b.example', b"a<b>.example", b"a\tb", "caf\u00e9.example".encode()):
            assert said(outside.port, asking(host)).startswith(b"HTTP/1.1 400 ")
        assert said(outside.port, asking(b"x.example", path=b"/" + ESCAPE)).startswith(b"HTTP/1.1 400 ")
        assert said(outside.port, asking(b"x.example", agent=ESCAPE)).startswith(b"HTTP/1.1 400 ")
        for name in (b'evil\n{"forged": "line"}', ESCAPE + b"evil.example", b'evil"quoted.example'):
            assert said(port, hello(name)) == b""
        said(outside.port, asking(b"last.example"))
        log = until(lambda: logged(outside) if b"last.example" in logged(outside) else b"", what="the last line")
        until(lambda: logged(outside).count(b"invalid:") == 3, what="the names that are none")

    assert b"\x1b" not in log
    assert not any(line.startswith(b'{"forged"') for line in log.splitlines())


def test_the_reason_of_a_refusal_is_as_short_as_a_name_and_in_plain_text(envoy_binary: Path):
    with running_host(envoy_binary, MESH.replace("$encoding", "JSON").replace("$port", str(free_port()))) as outside:
        answer = outside.get("http://x/", Host="%0d%0aset-cookie:1" + "x" * 4000)

    assert answer.status == 502
    assert answer.headers["content-type"] == "text/plain"
    assert "set-cookie" not in answer.headers
    assert len(answer.headers["x-meshd-reason"]) < 300


def forging(answer: bytes) -> Talk:
    def talk(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(answer)

    return talk


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 500 Oops\r\n" + FORGED + b"content-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + FORGED + b"content-length: 100\r\n\r\nand then it breaks off",
    ],
    ids=["whole", "broken off"],
)
def test_the_reason_in_the_log_is_never_one_that_somebody_else_gave(envoy_binary: Path, answer: bytes):
    with (
        serving(forging(answer)) as port,
        running_host(envoy_binary, FORGER.replace("$port", str(port))) as outside,
    ):
        said(outside.port, asking(b"forger.example"))
        (line,) = until(lambda: lines_of(outside.proxies["sidecar"]), what="the line of the failure")

    assert line["authority"] == "forger.example"
    assert "reason" not in line


def test_thousands_of_names_that_nobody_has_leave_nothing_behind_but_lines_in_the_log(envoy_binary: Path):
    """Neither statistics nor clusters: at 14 000 a second Envoy stays at 70 MB (measured)."""
    with running_host(envoy_binary, FORGER.replace("$port", "9")) as outside:
        outside.get("http://first.example/")
        before = admin(outside.proxies["sidecar"], "/stats").count("\n")
        connection = http.client.HTTPConnection("127.0.0.1", outside.port, timeout=10)
        for number in range(3000):
            connection.request("GET", "/", headers={"host": f"unknown-{number}.example"})
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 502
        connection.close()

        assert admin(outside.proxies["sidecar"], "/stats").count("\n") <= before + 5
        assert "unknown-" not in outside.dump()
