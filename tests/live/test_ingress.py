"""A Sidecar's `ingress` where nothing is captured: where it leads, its TLS and its pools (SC-4 to SC-9)."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.live import raw
from tests.live.backends import Backends
from tests.live.cases import Case, only
from tests.live.held import Held
from tests.live.raw import serving
from tests.live.requests import Ask, Exchange, get
from tests.live.world import Live

pytestmark = pytest.mark.envoy

ADDRESS = "127.0.0.77"
LISTENERS = (
    *("plain", "bound", "to_sock", "to_own_address", "in_http_2", "raw", "greets"),
    *("simple", "mutual_in", "optional_in", "tls_bytes", "one_at_a_time", "pooled", "unpooled"),
)
PAIR = "serverCertificate: $gateway_chain, privateKey: $gateway_key"
DOCUMENTS = f"""
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{name: web}}
spec:
  workloadSelector: {{labels: {{app: web}}}}
  egress: [{{hosts: ["~/*"]}}]
  ingress:
  - {{port: {{number: $plain, protocol: HTTP, name: plain}}, defaultEndpoint: "127.0.0.1:$v1"}}
  - {{port: {{number: $bound, protocol: HTTP, name: bound}}, bind: 127.0.0.78, defaultEndpoint: "127.0.0.1:$v2"}}
  - {{port: {{number: $v2, protocol: HTTP, name: by-default}}}}
  - {{port: {{number: $to_sock, protocol: HTTP, name: to-socket}}, defaultEndpoint: "unix://$sock"}}
  - {{port: {{number: $to_own_address, protocol: TCP, name: to-own}}, defaultEndpoint: "0.0.0.0:$own_address"}}
  - {{port: {{number: $in_http_2, protocol: HTTP2, name: http2}}, defaultEndpoint: "127.0.0.1:$two"}}
  - {{port: {{number: $raw, protocol: TCP, name: raw}}, captureMode: NONE, defaultEndpoint: ":$a"}}
  - {{port: {{number: $greets, protocol: MYSQL, name: greets}}, defaultEndpoint: "127.0.0.1:$greeter"}}
  - port: {{number: $simple, protocol: HTTPS, name: simple}}
    defaultEndpoint: "127.0.0.1:$v1"
    tls: {{mode: SIMPLE, {PAIR}}}
  - port: {{number: $mutual_in, protocol: HTTPS, name: mutual}}
    defaultEndpoint: "127.0.0.1:$v1"
    tls: {{mode: MUTUAL, {PAIR}, caCertificates: $ca}}
  - port: {{number: $optional_in, protocol: HTTPS, name: optional}}
    defaultEndpoint: "127.0.0.1:$v1"
    tls: {{mode: OPTIONAL_MUTUAL, {PAIR}, caCertificates: $ca}}
  - port: {{number: $tls_bytes, protocol: TLS, name: tls-bytes}}
    defaultEndpoint: "127.0.0.1:$v3"
    tls: {{mode: SIMPLE, {PAIR}}}
  - port: {{number: $one_at_a_time, protocol: HTTP, name: one}}
    defaultEndpoint: "127.0.0.1:$v1"
    connectionPool: {{http: {{http2MaxRequests: 1}}}}
  - {{port: {{number: $pooled, protocol: HTTP, name: pooled}}, defaultEndpoint: "127.0.0.1:$v1"}}
  - port: {{number: $unpooled, protocol: HTTP, name: unpooled}}
    defaultEndpoint: "127.0.0.1:$v1"
    connectionPool: {{http: {{maxRetries: 7}}}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: own}}
spec:
  hosts: [own.live]
  location: MESH_INTERNAL
  resolution: STATIC
  ports:
  - {{number: 80, name: http, protocol: HTTP, targetPort: $pooled}}
  - {{number: 81, name: more, protocol: HTTP, targetPort: $unpooled}}
  - {{number: 82, name: gone, protocol: HTTP, targetPort: 9}}
  workloadSelector: {{labels: {{app: web}}}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: own}}
spec: {{host: own.live, trafficPolicy: {{connectionPool: {{http: {{http2MaxRequests: 1}}}}}}}}
"""
NAME = "in.tls.live"


def coming(id: str, *exchanges: Exchange) -> Case:  # noqa: A002
    return only(id, *exchanges, mesh="")


def arriving(port: str, path: str = "/", target: str = ADDRESS) -> Ask:
    return get(path).through(port, target).to("any.live")


def in_tls(port: str, pair: str = "") -> Ask:
    return get().through(port, ADDRESS).over_tls(NAME, pair)


HELD = coming("SC-9-a-pool-of-its-own")

CASES = (
    HELD,
    coming(
        "SC-5-the-address-of-the-workload-by-default",
        arriving("plain", "/a").gives(by="v1", path="/a", sent_host="any.live"),
        arriving("plain", target="127.0.0.1").is_refused(),
    ),
    coming(
        "SC-5-an-address-of-its-own",
        arriving("bound", target="127.0.0.78").gives(by="v2"),
        arriving("bound").is_refused(),
    ),
    coming("SC-7-a-Unix-socket", arriving("to_sock").gives(by="sock")),
    coming(
        "SC-4-HTTP-2-in-either-way", arriving("in_http_2").gives(by="two"), arriving("plain").in_http2().gives(by="v1")
    ),
    coming(
        "SC-8-SIMPLE",
        in_tls("simple").gives(by="v1"),
        in_tls("simple").in_http2().gives(by="v1"),
        arriving("simple").is_refused(),
    ),
    coming(
        "SC-8-MUTUAL",
        in_tls("mutual_in", "client").gives(by="v1"),
        in_tls("mutual_in").is_refused(),
        in_tls("mutual_in", "stranger").is_refused(),
    ),
    coming(
        "SC-8-OPTIONAL-MUTUAL",
        in_tls("optional_in", "client").gives(by="v1"),
        in_tls("optional_in").gives(by="v1"),
        in_tls("optional_in", "stranger").is_refused(),
    ),
    coming("SC-8-TLS-is-bytes-within", in_tls("tls_bytes").gives(by="v3", sent={"x-forwarded-proto": None})),
)


@pytest.fixture(scope="module")
def names(names: dict[str, str], backends: Backends) -> Iterator[dict[str, str]]:
    with ExitStack() as stack:
        talks = {"a": raw.answering("a"), "greeter": raw.greeting(b"5.7.0-shop\n")}
        ports = {name: stack.enter_context(serving(talk)) for name, talk in talks.items()}
        ports["two"] = backends.serve("two")
        ports["own_address"] = stack.enter_context(serving(raw.answering("own"), ADDRESS))
        yield names | {name: str(port) for name, port in ports.items()}


def connected(live: Live, port: str) -> socket.socket:
    return socket.create_connection((ADDRESS, int(live.listeners[port])), 10)


def test_requests_come_in(live: Live, case: Case):
    for exchange in case.exchanges:
        live.holds(case, exchange)


@pytest.mark.spec("SC-7")
def test_without_an_endpoint_it_is_the_same_port_of_loopback(live: Live):
    with socket.create_connection((ADDRESS, live.backends.ports["v2"]), 10) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nhost: any.live\r\nx-live: 0\r\nconnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(10_000), b""))

    assert b"x-backend: v2" in answer
    assert b"x-forwarded-proto" in answer


@pytest.mark.spec("SC-7")
@pytest.mark.parametrize(("port", "name"), [("raw", b"a"), ("to_own_address", b"own")])
def test_bytes_come_in(live: Live, port: str, name: bytes):
    with connected(live, port) as connection:
        connection.sendall(b"hello")
        assert connection.recv(100) == name


@pytest.mark.spec("SC-4")
def test_a_server_that_speaks_first_is_heard(live: Live):
    with connected(live, "greets") as connection:
        assert connection.recv(100) == b"5.7.0-shop\n"


@pytest.mark.spec("SC-4")
def test_an_http2_port_is_spoken_to_in_http_2(live: Live):
    assert live.send(arriving("in_http_2"), HELD).by == "two"

    assert ("two", None) in live.backends.prefaces


@pytest.mark.spec("SC-9", "D-45")
@pytest.mark.parametrize(
    ("port", "status"), [("one_at_a_time", 503), ("pooled", 503), ("unpooled", 200), ("plain", 200)]
)
def test_a_pool_is_the_entrys_or_that_of_the_rule_for_its_service(live: Live, port: str, status: int):
    asked = arriving(port)
    held = Held(live, HELD, Ask(headers={"x-do": "hold"}).through(port, ADDRESS).to("any.live"))
    meanwhile = live.send(asked, HELD).status
    first = held.end().status

    assert (first, meanwhile) == (200, status)
