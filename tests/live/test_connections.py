"""What is more than a request and an answer: upgrades, old clients, gRPC, endpoints that do not pick up, failover."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
import pytest

from tests.live.cases import Case, case
from tests.live.requests import Ask, get
from tests.live.world import Live
from tests.waiting import until

pytestmark = pytest.mark.envoy

PLAIN = case("X-plain")
ONE = """
ports: [{number: 80, name: web, protocol: %s}]
resolution: STATIC
endpoints: [{address: 127.0.0.1, ports: {web: $%s}}]
"""
GRPC = case("S-3-5-gRPC-is-HTTP-2", http="", subsets="", entry=ONE % ("GRPC", "grpc"))
DEAF = case(
    "D-31-connectTimeout",
    http="    - {route: [{destination: {host: $host}}], retries: {}}",
    subsets="",
    policy="connectionPool: {tcp: {connectTimeout: 50ms}}",
    entry=ONE % ("HTTP", "deaf"),
)
SECURE_HTTP_2 = case(
    "D-83-HTTP-2-is-offered-by-ALPN",
    http="",
    subsets="",
    policy="tls: {mode: SIMPLE, caCertificates: $ca, sni: secure.live}",
    entry=ONE % ("HTTP2", "secure2"),
)
FAILS_OVER = case(
    "D-23-what-is-far-takes-over-when-the-near-fails",
    http="    - {route: [{destination: {host: $host}}], retries: {}}",
    subsets="",
    policy="outlierDetection: {consecutive5xxErrors: 2, maxEjectionPercent: 100}",
    entry="""
    ports: [{number: 80, name: http, protocol: HTTP}]
    resolution: STATIC
    endpoints:
    - {address: 127.0.0.1, ports: {http: $v1}, locality: here/zone-a/rack-1}
    - {address: 127.0.0.1, ports: {http: $v2}, locality: here/zone-a/rack-2}
    - {address: 127.0.0.1, ports: {http: $v3}, locality: there/zone-a}
    """,
)
REWRITTEN_MIRROR = case(
    "V-20-a-copy-has-the-rewritten-Host",
    http="""
    - route: [{destination: {host: $host, subset: v1}}]
      rewrite: {authority: other.example, uri: /new/}
      mirror: {host: $host, subset: v2}
    """,
)

CASES = (
    *(PLAIN, GRPC, DEAF, SECURE_HTTP_2, FAILS_OVER, REWRITTEN_MIRROR),
    case(
        "D-41-useClientProtocol-speaks-what-the-client-spoke",
        get().gives(by="v1"),
        policy="connectionPool: {http: {useClientProtocol: true}}",
    ),
    case(
        "D-40-DO_NOT_UPGRADE-is-HTTP-1".replace("_", "-"),
        get().gives(by="v1"),
        policy="connectionPool: {http: {h2UpgradePolicy: DO_NOT_UPGRADE}}",
    ),
    case(
        "V-55-an-empty-prefix-is-put-before-the-path",
        get("/foo?a=b").gives(path="/v1/foo?a=b"),
        http="""
        - match: [{uri: {prefix: ''}}]
          rewrite: {uri: /v1}
          route: [{destination: {host: $host, subset: v1}}]
        """,
    ),
    case(
        "V-69-a-body-of-150-KiB",
        get().gives(200, body=b"x" * 150 * 1024),
        http=f"    - directResponse: {{status: 200, body: {{string: {'x' * 150 * 1024}}}}}",
    ),
    case(
        "D-79-the-case-of-a-Host-is-no-part-of-its-name",
        get().gives(by="secure"),
        http="    - {route: [{destination: {host: $host}}], rewrite: {authority: Secure.LIVE}}",
        subsets="",
        policy="tls: {mode: SIMPLE, caCertificates: $ca}",
        entry=ONE % ("HTTP", "secure"),
    ),
)


@pytest.fixture(scope="module")
def names(names: dict[str, str]) -> Iterator[dict[str, str]]:
    """Two more endpoints: a gRPC server, and one whose kernel answers no connection."""
    with grpc_server() as port, deaf_port() as deaf:
        yield names | {"grpc": str(port), "deaf": str(deaf)}


@contextmanager
def grpc_server() -> Iterator[int]:
    """Its one method answers with what it was given."""
    echo = grpc.unary_unary_rpc_method_handler(lambda request, _: request)
    server = grpc.server(ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("live", {"Echo": echo}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield port
    server.stop(None).wait()


@contextmanager
def deaf_port() -> Iterator[int]:
    """A listener whose queue is full: the kernel drops further connections."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        queued = []
        for _ in range(3):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(address)
            queued.append(client)
        yield address[1]
        for client in queued:
            client.close()


def test_connections(live: Live, case: Case):
    for exchange in case.exchanges:
        live.holds(case, exchange)


def test_a_websocket_is_let_through(live: Live):
    """Section 12: upgrades are always allowed."""
    with socket.create_connection(("127.0.0.1", int(live.listeners["proxy"])), 10) as client:
        client.sendall(
            f"GET http://{PLAIN.host}/ HTTP/1.1\r\nhost: {PLAIN.host}\r\nx-live: 0\r\n"
            "connection: Upgrade\r\nupgrade: websocket\r\n\r\n".encode()
        )
        head = until(lambda: client.recv(1000), what="the answer to an upgrade")
        client.sendall(b"\x00 any bytes")
        echoed = client.recv(1000)

    assert head.startswith(b"HTTP/1.1 101")
    assert echoed == b"\x00 any bytes"


def test_an_old_client_of_the_proxy_may_speak_http_1_0(live: Live):
    with socket.create_connection(("127.0.0.1", int(live.listeners["proxy"])), 10) as client:
        client.sendall(f"GET http://{PLAIN.host}/old HTTP/1.0\r\nx-live: 0\r\n\r\n".encode())
        answer = b"".join(iter(lambda: client.recv(10_000), b""))

    assert b" 200 " in answer.splitlines()[0]
    assert b'"path": "/old"' in answer


def test_a_grpc_call_reaches_a_grpc_port_in_http_2(live: Live):
    """3.5: such a port is HTTP/2, so the client's HTTP/1 becomes that on the way."""
    message = b"\x00\x00\x00\x00\x05hello"
    call = Ask(method="POST", path="/live/Echo", headers={"content-type": "application/grpc", "te": "trailers"})

    answer = live.send(Ask(method=call.method, path=call.path, headers=call.headers, body=message), GRPC)

    assert (answer.status, answer.body) == (200, message)


def test_an_endpoint_that_does_not_pick_up_is_given_up(live: Live):
    answer = live.send(get(), DEAF)

    assert answer.status == 503
    assert b"connection timeout" in answer.body


def test_http_2_over_tls_is_offered_by_its_name(live: Live):
    live.send(get(), SECURE_HTTP_2)

    assert ("secure2", "h2") in live.backends.prefaces


def test_what_is_far_takes_over_when_the_near_fails(live: Live):
    """D-23: rack by rack, then region by region."""
    first = {live.send(get(), FAILS_OVER).by for _ in range(4)}
    until(lambda: live.send(get(x_do="500@v1"), FAILS_OVER).by == "v2", what="the next rack")
    second = {live.send(get(), FAILS_OVER).by for _ in range(4)}
    until(lambda: live.send(get(x_do="500@v2"), FAILS_OVER).by == "v3", what="the other region")

    assert first == {"v1"}
    assert second == {"v2"}


def test_a_copy_has_the_rewritten_host_and_path(live: Live):
    answer = live.holds(REWRITTEN_MIRROR, get("/a").gives(by="v1", reached=("v1", "v2")))
    (copy,) = live.copies(answer)

    assert (copy.path, copy.all("host")) == ("/new/a", ["other.example"])
