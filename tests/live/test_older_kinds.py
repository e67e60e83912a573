"""RouteRules, DestinationPolicies and EgressRules as they were, run by a real Envoy (inventory part A)."""

from __future__ import annotations

import socket
from collections import Counter

import pytest

from tests.live.cases import Case, case
from tests.live.older import request, rules, to
from tests.live.requests import ask, get
from tests.live.world import Live

pytestmark = pytest.mark.envoy

WEIGHTS = rules(
    "DW-02-weights-are-shares",
    specs=("route: [{labels: {version: v2}, weight: 25}, {labels: {version: v1}, weight: 75}]",),
)
UPGRADES = rules(
    "RR-19-who-asks-for-an-upgrade-gets-it",
    get("/chat").gives(403),
    get("/other").gives(by="v2"),
    specs=(
        f"websocketUpgrade: true, precedence: 1, {request(uri='{prefix: /chat}')}, {to('v1')}",
        to("v2"),
    ),
)

CASES = (
    WEIGHTS,
    UPGRADES,
    rules(
        "RR-10-the-higher-precedence-counts",
        get("/", cookie="user=jason").gives(by="v2"),
        get("/", cookie="a=b; user=jason; c=d").gives(by="v1"),
        get("/", cookie="a=b;user=jason;c=d").gives(by="v2"),
        get("/").gives(by="v1"),
        specs=(
            f"precedence: 1, {to('v1')}",
            f"precedence: 2, {request(cookie='{regex: ^(.*?;)?(user=jason)(;.*)?$}')}, {to('v2')}",
        ),
    ),
    rules(
        "RR-32-what-no-rule-takes-goes-to-all-versions",
        get("/a").gives(by="v3"),
        get("/b").gives(200),
        specs=(f"{request(uri='/a')}, {to('v3')}",),
    ),
    rules(
        "RED-01-a-redirect-is-302",
        get("/v1/getProductRatings?a=b").gives(302, headers={"location": "http://books.test/v1/bookRatings?a=b"}),
        get("/v1").gives(200),
        specs=(f"{request(uri='/v1/getProductRatings')}, redirect: {{uri: /v1/bookRatings, authority: books.test}}",),
    ),
    rules(
        "RWR-04-a-prefix-is-replaced",
        get("/ratings/17").gives(path="/v1/bookRatings/17", sent_host="b.test"),
        specs=(
            f"{request(uri='{prefix: /ratings}')}, rewrite: {{uri: /v1/bookRatings, authority: b.test}}, {to('v1')}",
        ),
    ),
    rules(
        "MR-02-all-conditions-have-to-hold",
        get("/a", x_user="jason").gives(by="v1"),
        get("/a", x_user="jasonx").gives(by="v2"),
        ask("POST", "/a", x_user="jason").gives(by="v2"),
        get("/b", x_user="jason").gives(by="v2"),
        specs=(
            f"precedence: 1, {request(uri='{prefix: /a}', method='GET', x_user='jason')}, {to('v1')}",
            to("v2"),
        ),
    ),
    rules(
        "MR-04-the-case-of-a-value-counts",
        get("/a", x_user="Jason").gives(by="v1"),
        get("/a", x_user="jason").gives(by="v2"),
        get("/A", x_user="Jason").gives(by="v2"),
        specs=(f"precedence: 1, {request(uri='/a', x_user='Jason')}, {to('v1')}", to("v2")),
    ),
    rules(
        "MR-09-a-scheme",
        get("/").gives(by="v1"),
        specs=(
            f"precedence: 2, {request(scheme='https')}, {to('v2')}",
            f"precedence: 1, {request(scheme='{prefix: htt}')}, {to('v1')}",
        ),
    ),
    rules(
        "MR-10-a-method",
        get("/").gives(by="v2"),
        ask("POST", "/").gives(by="v1"),
        ask("PUT", "/").gives(by="v1"),
        specs=(f"precedence: 1, {request(method='{regex: P.*}')}, {to('v1')}", to("v2")),
    ),
    rules(
        "MR-11-authority-and-scheme",
        get("/").gives(by="v1"),
        specs=(f"precedence: 1, {request(authority='{prefix: mr-11}', scheme='http')}, {to('v1')}", to("v2")),
    ),
    rules(
        "ABT-02-an-abort-without-a-share-meets-all",
        get("/").gives(418),
        specs=(f"httpFault: {{abort: {{httpStatus: 418}}}}, {to('v1')}",),
    ),
    rules(
        "ABT-04-a-grpc-status-is-for-grpc-alone",
        get("/").gives(by="v1"),
        get("/", content_type="application/grpc").gives(200, headers={"grpc-status": "14"}),
        specs=(f"httpFault: {{abort: {{grpcStatus: UNAVAILABLE}}}}, {to('v1')}",),
    ),
    rules(
        "RR-26-a-mirror-gets-all",
        get("/m").gives(by="v1", reached=("v1", "v2")),
        specs=(f"mirror: {{service: $host, labels: {{version: v2}}}}, {to('v1')}",),
    ),
    rules(
        "RR-30-headers-are-appended",
        get("/", x_b="own").gives(by="v1", sent={"x-a": "1", "x-b": ["own", "2"]}),
        specs=(f"appendHeaders: {{x-a: '1', x-b: '2'}}, {to('v1')}",),
    ),
    rules(
        "CORS-03-any-origin",
        ask("OPTIONS", "/", origin="https://a.test", access_control_request_method="GET").gives(
            200,
            headers={
                "access-control-allow-origin": "https://a.test",
                "access-control-allow-methods": "GET,POST",
                "access-control-max-age": "86400",
            },
        ),
        specs=(f"corsPolicy: {{allowOrigin: ['*'], allowMethods: [GET, POST], maxAge: 1d}}, {to('v1')}",),
    ),
    case(
        "C-IN-06-second-conditions-in-extras",
        get("/a/b?c").gives(by="v1"),
        get("/a/b", x_a="left-right").gives(by="v2"),
        get("/a", x_a="left-right").gives(by="v3"),
        get("/c/b").gives(by="v3"),
        http="",
        mesh="""
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: $name
  annotations:
    meshd.io/extras: |
      {"http": {
        "both": {"also": {"uri": {"regex": "/.*b"}, "x-a": {"prefix": "left"}}},
        "uri": {"also": {"uri": {"prefix": "/a"}}}}}
spec:
  hosts: [$host]
  http:
  - name: both
    match: [{uri: {regex: "/a.*"}, headers: {x-a: {regex: ".*right"}}}]
    route: [{destination: {host: $host, subset: v2}}]
  - name: uri
    match: [{uri: {regex: "/.*b"}}]
    route: [{destination: {host: $host, subset: v1}}]
  - route: [{destination: {host: $host, subset: v3}}]
""",
    ),
    rules(
        "MC-05-a-rule-for-this-caller",
        get("/").gives(by="v3"),
        specs=(
            f"precedence: 3, match: {{source: {{service: other.$name, labels: {{tier: back}}}}}}, {to('v1')}",
            f"precedence: 2, match: {{source: {{service: web.$name, labels: {{tier: back}}}}}}, {to('v2')}",
            f"precedence: 1, match: {{source: {{service: web.$name, labels: {{tier: front}}}}}}, {to('v3')}",
        ),
        more="""
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: $name-web}
spec:
  hosts: [web.$name]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http}]
  workloadSelector: {labels: {app: web}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: $name-other}
spec:
  hosts: [other.$name]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http}]
  workloadSelector: {labels: {app: other}}
""",
    ),
)


def test_a_rule_is_obeyed(live: Live, case: Case):
    for exchange in case.exchanges:
        live.holds(case, exchange)


def test_weights_are_shares(live: Live):
    answers = Counter(live.send(get("/").gives().ask, WEIGHTS).by for _ in range(400))

    assert set(answers) == {"v1", "v2"}
    assert 50 < answers["v2"] < 150


def _upgraded(live: Live, path: str) -> bytes:
    """The status line."""
    with socket.create_connection(("127.0.0.1", int(live.listeners["proxy"])), timeout=5) as connection:
        connection.sendall(
            f"GET http://{UPGRADES.host}{path} HTTP/1.1\r\nhost: {UPGRADES.host}\r\n"
            "connection: Upgrade\r\nupgrade: WebSocket\r\n\r\n".encode()
        )
        return connection.recv(4096).split(b"\r\n")[0]


@pytest.mark.spec("RR-19", "RR-20", "RR-21")
def test_an_upgrade_is_for_rules_that_say_so_alone(live: Live):
    assert b" 101 " in _upgraded(live, "/chat")
    assert b" 403 " in _upgraded(live, "/other")
