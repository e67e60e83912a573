"""A host without a way out of its own: what is outside the mesh is asked of a forward proxy, by its name."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.live.backends import Backends
from tests.live.certificates import Authority, server_context
from tests.live.forward_proxy import ForwardProxy, basic, forward_proxy
from tests.live.outbound import Outside, running_host, settings
from tests.live.raw import answering, answering_in_tls, serving
from tests.ports import free_port
from tests.waiting import until

pytestmark = pytest.mark.envoy

SERVICES = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: plain}}
spec:
  hosts: [plain.example]
  location: MESH_EXTERNAL
  resolution: DNS
  ports: [{{number: 80, name: http, protocol: HTTP}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: secure}}
spec:
  hosts: [secure.live]
  location: MESH_EXTERNAL
  resolution: DNS
  ports: [{{number: 80, name: http, protocol: HTTP, targetPort: 443}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: secure}}
spec:
  host: secure.live
  trafficPolicy: {{tls: {{mode: SIMPLE, caCertificates: {ca}}}}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: two}}
spec:
  hosts: [two.live]
  location: MESH_EXTERNAL
  resolution: DNS
  ports: [{{number: 80, name: http2, protocol: HTTP2, targetPort: 443}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: two}}
spec:
  host: two.live
  trafficPolicy: {{tls: {{mode: SIMPLE, caCertificates: {ca}, sni: secure.live, subjectAltNames: [secure.live]}}}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: fixed}}
spec:
  hosts: [fixed.example]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{{number: 80, name: http, protocol: HTTP, targetPort: 8080}}]
  endpoints: [{{address: 203.0.113.7}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: files}}
spec:
  hosts: [files.live]
  location: MESH_EXTERNAL
  resolution: DNS
  ports: [{{number: {tls}, name: tls, protocol: TLS, targetPort: 443}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: db}}
spec:
  hosts: [db.example]
  location: MESH_EXTERNAL
  resolution: DNS
  ports: [{{number: {tcp}, name: tcp, protocol: TCP, targetPort: 5432}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: wild}}
spec:
  hosts: ["*.wild.live"]
  location: MESH_EXTERNAL
  resolution: DYNAMIC_DNS
  ports:
  - {{number: 80, name: http, protocol: HTTP}}
  - {{number: {wild}, name: tls, protocol: TLS, targetPort: 443}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: anywhere}}
spec:
  hosts: [anywhere.example]
  location: MESH_EXTERNAL
  resolution: NONE
  ports: [{{number: 80, name: http, protocol: HTTP}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: refused}}
spec:
  hosts: [refused.example]
  location: MESH_EXTERNAL
  resolution: DNS
  ports: [{{number: 80, name: http, protocol: HTTP}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: near}}
spec:
  hosts: [near.example]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{{number: 80, name: http, protocol: HTTP, targetPort: {v1}}}]
  endpoints: [{{address: 127.0.0.1}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: inside}}
spec:
  hosts: [inside.example]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{{number: 80, name: http, protocol: HTTP, targetPort: {dead}}}]
  endpoints: [{{address: 127.0.0.1}}]
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{name: web}}
spec:
  workloadSelector: {{labels: {{app: web}}}}
  egress:
  - {{port: {{number: {tls}, protocol: TLS, name: tls}}, bind: 127.0.0.1, hosts: ["./files.live"]}}
  - {{port: {{number: {tcp}, protocol: TCP, name: tcp}}, bind: 127.0.0.1, hosts: ["./db.example"]}}
  - {{port: {{number: {wild}, protocol: TLS, name: wild}}, bind: 127.0.0.1, hosts: ["./*.wild.live"]}}
  - {{port: {{number: {http_proxy}, protocol: HTTP_PROXY, name: http-proxy}}, bind: 127.0.0.1, hosts: ["*/*"]}}
"""


@dataclass(frozen=True, kw_only=True)
class World:
    outside: Outside
    proxy: ForwardProxy
    credentials: Path
    ports: dict[str, int]


SHOWN = basic("meshd", "s3cret")


@pytest.fixture(scope="module")
def world(
    envoy_binary: Path,
    backends: Backends,
    tls_backends: None,
    ca: Authority,
    dead: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[World]:
    secrets = tmp_path_factory.mktemp("secrets")
    (secrets / "corporate").mkdir()
    credentials = secrets / "corporate" / "proxy-authorization"
    credentials.write_text(SHOWN)
    files = ca.signed("files", "DNS:files.live", "DNS:*.wild.live")
    with (
        serving(answering_in_tls("files", server_context(files))) as by_name,
        serving(answering("db")) as database,
    ):
        proxy = ForwardProxy(expects=SHOWN)
        proxy.leads = {
            "plain.example:80": backends.ports["v1"],
            "secure.live:443": backends.ports["secure"],
            "two.live:443": backends.ports["secure2"],
            "203.0.113.7:8080": backends.ports["v2"],
            "files.live:443": by_name,
            "db.example:5432": database,
            "a.wild.live:80": backends.ports["v1"],
            "b.wild.live:80": backends.ports["v2"],
            "a.wild.live:443": by_name,
            "anywhere.example:80": backends.ports["v3"],
        }
        ports = {name: free_port() for name in ("tls", "tcp", "wild", "http_proxy")}
        with forward_proxy(proxy) as port:
            said = f"[{{host: 127.0.0.1, port: {port}, credentialName: corporate, noProxy: [.corp.example]}}]"
            mesh = settings(said, f"secretRoot: {secrets}") + SERVICES.format(
                ca=ca.file, v1=backends.ports["v1"], dead=dead, **ports
            )
            with running_host(envoy_binary, mesh, port=ports["http_proxy"]) as outside:
                yield World(outside=outside, proxy=proxy, credentials=credentials, ports=ports)


@pytest.fixture(autouse=True)
def forgetting(world: World) -> Iterator[None]:
    world.proxy.asked.clear()
    yield
    world.credentials.with_name("next").write_text(SHOWN)
    world.credentials.with_name("next").replace(world.credentials)
    world.proxy.expects = SHOWN


def by(answer_body: bytes) -> str:
    return str(json.loads(answer_body)["by"])


# --- who goes through -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "authority", "version"),
    [
        pytest.param("http://plain.example/", "plain.example:80", "v1", id="by name, which nobody here can look up"),
        pytest.param("http://secure.live/", "secure.live:443", "secure", id="in TLS that the sidecar opens"),
        pytest.param("http://two.live/", "two.live:443", "secure2", id="in HTTP/2"),
        pytest.param("http://fixed.example/", "203.0.113.7:8080", "v2", id="by address"),
        pytest.param("http://a.wild.live/", "a.wild.live:80", "v1", id="below a wildcard"),
        pytest.param("http://b.wild.live/", "b.wild.live:80", "v2", id="below a wildcard, another"),
        pytest.param("http://anywhere.example/", "anywhere.example:80", "v3", id="resolution NONE"),
    ],
)
def test_requests_to_what_is_outside_go_through_the_proxy(world: World, url: str, authority: str, version: str):
    answer = world.outside.get(url)

    assert (answer.status, by(answer.body)) == (200, version)
    assert world.proxy.authorities in ([authority], [])  # a tunnel that is there is used again
    tunnels = {each.authority for each in world.proxy.asked}
    assert tunnels <= {authority}


def tls_to(port: int, name: str, ca: Authority) -> bytes:
    context = ssl.create_default_context(cafile=str(ca.file))
    with (
        socket.create_connection(("127.0.0.1", port), 10) as plain,
        context.wrap_socket(plain, server_hostname=name) as secure,
    ):
        secure.sendall(b"hello")
        return secure.recv(100)


def test_tls_is_passed_on_and_verified_by_the_application(world: World, ca: Authority):
    assert tls_to(world.ports["tls"], "files.live", ca) == b"files"
    assert world.proxy.authorities == ["files.live:443"]


def test_tls_below_a_wildcard_goes_where_its_server_name_says(world: World, ca: Authority):
    assert tls_to(world.ports["wild"], "a.wild.live", ca) == b"files"
    assert world.proxy.authorities == ["a.wild.live:443"]


def test_bytes_go_through_too(world: World):
    with socket.create_connection(("127.0.0.1", world.ports["tcp"]), 10) as connection:
        connection.sendall(b"hello")
        assert connection.recv(100) == b"db"

    assert world.proxy.authorities == ["db.example:5432"]


def test_an_upgraded_connection_goes_through(world: World):
    with socket.create_connection(("127.0.0.1", world.outside.port), 10) as connection:
        head = "GET http://plain.example/chat HTTP/1.1\r\nhost: plain.example\r\nx-live: ws\r\n"
        connection.sendall((head + "connection: upgrade\r\nupgrade: websocket\r\n\r\n").encode())
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += connection.recv(1)
        connection.sendall(b"echo")

        assert answer.startswith(b"HTTP/1.1 101 ")
        assert connection.recv(4) == b"echo"


def test_what_is_inside_or_on_this_machine_does_not_go_through(world: World):
    near = world.outside.get("http://near.example/")
    inside = world.outside.get("http://inside.example/")

    assert (near.status, by(near.body)) == (200, "v1")
    assert inside.status == 503
    assert "x-meshd-reason" not in inside.headers
    assert world.proxy.asked == []


# --- who is not let through -------------------------------------------------------------------------------------


def test_what_the_proxy_refuses_is_503_with_a_reason_and_a_line_in_the_log(world: World):
    answer = world.outside.get("http://refused.example/")

    assert answer.status == 503
    assert "not reached through the outbound proxy 127.0.0.1:" in answer.headers["x-meshd-reason"]
    assert set(world.proxy.authorities) == {"refused.example:80"}
    until(lambda: "tunnel_response:403" in world.outside.log(), what="the line of the tunnel")


def test_credentials_are_read_again_when_they_are_exchanged(world: World):
    renewed = basic("meshd", "n3w")
    world.proxy.expects = renewed
    world.credentials.with_name("next").write_text(renewed)
    world.credentials.with_name("next").replace(world.credentials)

    until(lambda: _opens_a_tunnel(world, renewed), what="the new credentials")


def _opens_a_tunnel(world: World, shown: str) -> bool:
    """Each connection of bytes has a tunnel of its own."""
    with socket.create_connection(("127.0.0.1", world.ports["tcp"]), 10) as connection:
        connection.sendall(b"hello")
        answered = connection.recv(100) == b"db"
    assert answered == (world.proxy.asked[-1].shown == shown)
    return answered


def test_wrong_credentials_are_503_and_the_log_says_that_it_was_407(world: World):
    world.proxy.expects = basic("meshd", "another")

    answer = world.outside.get("http://refused.example/")

    assert answer.status == 503
    assert "outbound proxy" in answer.headers["x-meshd-reason"]
    until(lambda: "tunnel_response:407" in world.outside.log(), what="the line of the tunnel")


def test_credentials_are_neither_in_what_envoy_shows_nor_in_its_log(world: World):
    world.outside.get("http://plain.example/")
    shown = SHOWN.split()[1]

    assert shown not in world.outside.dump()
    assert shown not in world.outside.log()
    assert str(world.credentials) in world.outside.dump()
