"""Requests in plain text that come in by a gateway: whose routes they get, and what the backend learns (spec 4, 5)."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest

from tests.live.cases import Case, only
from tests.live.gateways import WORKLOAD, coming_in, ports
from tests.live.requests import Ask, ask, get
from tests.live.world import Live

pytestmark = pytest.mark.envoy

LISTENERS = ("web", "bare", "binding", "gweb", "edge_socket")

DOCUMENTS = f"""
{WORKLOAD}
{ports(p80="$web", p81="$binding")}
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: edge}}
spec:
  selector: {{istio: ingressgateway}}
  servers:
  - {{port: {{number: 80, name: http, protocol: HTTP}}, hosts: ["*"], defaultEndpoint: "127.0.0.1:$dead"}}
  - {{port: {{number: $gweb, name: grpc-web, protocol: GRPC-WEB}}, hosts: ["*"]}}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: narrow}}
spec:
  selector: {{istio: ingressgateway, tier: edge}}
  servers:
  - port: {{number: 80, name: http, protocol: HTTP}}
    hosts: ["*.shop.live", "exact.inn.live", 192.0.2.7, "./own.live", "partner/*.partner.live"]
  - {{port: {{number: 80, name: http-more, protocol: HTTP2}}, hosts: [other.live]}}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: anybody, namespace: partner}}
spec:
  selector: {{}}
  servers: [{{port: {{number: 80, name: http, protocol: HTTP}}, hosts: ["*.anybody.live"]}}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: elsewhere}}
spec:
  selector: {{istio: ingressgateway, tier: back}}
  servers: [{{port: {{number: 80, name: http, protocol: HTTP}}, hosts: ["*"]}}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: secured}}
spec:
  selector: {{istio: ingressgateway}}
  servers:
  - port: {{number: 80, name: http, protocol: HTTP}}
    hosts: ["*/*.secured.live", "*.also-secured.live"]
    tls: {{httpsRedirect: true}}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: bound}}
spec:
  selector: {{istio: ingressgateway}}
  servers:
  - {{port: {{number: 81, name: http-here, protocol: HTTP}}, hosts: ["*"], bind: 127.0.0.8}}
  - {{port: {{number: 81, name: http-there, protocol: HTTP}}, hosts: [there.live], bind: 127.0.0.9}}
  - {{port: {{number: 0, name: http-socket, protocol: HTTP}}, hosts: ["*"], bind: "unix://$edge_socket"}}
  - {{port: {{number: 0, name: http-name, protocol: HTTP}}, hosts: ["*"], bind: "unix://@$edge_socket"}}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: bare}}
spec:
  selector: {{istio: ingressgateway}}
  servers: [{{port: {{number: $bare, name: http, protocol: HTTP}}, hosts: ["*"]}}]
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{name: web}}
spec:
  workloadSelector: {{labels: {{app: web}}}}
  egress: [{{hosts: ["./*", "~./hidden-from-the-sidecar.live"]}}]
"""

TO_V1 = "http: [{route: [{destination: {host: $host, subset: v1}}]}]"
TO_V2 = TO_V1.replace("v1", "v2")


def web(path: str = "/", host: str | None = None, **headers: str) -> Ask:
    asked = get(path, **headers).through("web")
    return asked.to(host) if host else asked


PLAIN = coming_in(
    "G-3.2-a-server-listens-where-its-service-does",
    web("/a").gives(by="v1", path="/a", sent_host="$host"),
    routes=TO_V1,
)

MOVED = coming_in(
    "V-63-the-requests-port-is-that-of-the-server",
    web("/moved").gives(301, headers={"location": "http://moved.live/moved"}),
    web("/default").gives(301, headers={"location": "http://moved.live/default"}),
    web("/tls").gives(302, headers={"location": "https://$host/tls"}),
    routes="""
    http:
    - match: [{uri: {prefix: /moved}}]
      redirect: {authority: moved.live, derivePort: FROM_REQUEST_PORT}
    - match: [{uri: {prefix: /default}}]
      redirect: {authority: moved.live, derivePort: FROM_PROTOCOL_DEFAULT}
    - redirect: {scheme: https, redirectCode: 302}
    """,
)
GRPC = coming_in(
    "G-3.3-gRPC",
    routes="http: [{route: [{destination: {host: $host}}]}]",
    entry="""
    ports: [{number: 80, name: grpc, protocol: GRPC}]
    resolution: STATIC
    endpoints: [{address: 127.0.0.1, ports: {grpc: $v2}}]
    """,
)

CASES = (
    *(PLAIN, MOVED, GRPC),
    coming_in("G-3.8-a-defaultEndpoint-is-ignored", web().gives(by="v2"), web(host="x.$host").gives(404), routes=TO_V2),
    # --- hosts ---
    coming_in(
        "G-3.7-a-Host-without-VirtualService-is-404",
        web().gives(by="v1"),
        web(host="x.$host").gives(404, headers={"x-backend": None}),
        web(host="$host:8080").gives(by="v1", sent_host="$host:8080"),
        web(host="G-3.7-A-Host-Without-VirtualService-is-404.LIVE").gives(by="v1"),
        routes=TO_V1,
    ),
    coming_in(
        "G-3.7-the-narrower-host-is-meant",
        web(host="a.shop.live").gives(by="v1"),
        web(host="a.b.shop.live").gives(by="v1"),
        web(host="shop.live").gives(404),
        web(host="exact.inn.live").gives(by="v1"),
        web(host="other.inn.live").gives(404),
        routes=TO_V1,
        gateways="[narrow]",
        hosts='["*.live"]',
    ),
    coming_in(
        "G-3.7-a-host-below-a-servers-wildcard",
        web(host="this.shop.live").gives(by="v2"),
        routes=TO_V2,
        gateways="[narrow]",
        hosts="[this.shop.live, that.example]",
    ),
    coming_in(
        "G-3.7-the-most-specific-host-has-no-rest",
        web("/only", host="some.shop.live").gives(by="v3"),
        web("/else", host="some.shop.live").gives(404),
        routes="""
        http:
        - match: [{uri: {exact: /only}}]
          route: [{destination: {host: $host, subset: v3}}]
        """,
        gateways="[narrow]",
        hosts="[some.shop.live]",
    ),
    coming_in(
        "G-3.7-an-address-as-host",
        web(host="192.0.2.7").gives(by="v1"),
        web(host="192.0.2.7:8080").gives(by="v1"),
        web(host="192.0.2.8").gives(404),
        routes=TO_V1,
        gateways="[narrow]",
        hosts="[192.0.2.7]",
    ),
    coming_in(
        "G-3.7-a-dot-is-the-Gateways-namespace",
        web(host="own.live").gives(by="v1"),
        routes=TO_V1,
        gateways="[narrow]",
        hosts="[own.live]",
    ),
    only(
        "G-3.7-a-host-is-for-one-namespace",
        web(host="a.partner.live").gives(by="v2"),
        web(host="b.partner.live").gives(404),
        web(host="c.partner.live").gives(404),
        web(host="own.live").gives(by="v1"),
        mesh="""
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: a, namespace: partner}
        spec:
          hosts: [a.partner.live, own.live]
          gateways: [default/narrow]
          http: [{route: [{destination: {host: partner.live}}]}]
        ---
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: b, namespace: default}
        spec:
          hosts: [b.partner.live]
          gateways: [narrow]
          http: [{directResponse: {status: 418}}]
        ---
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: c, namespace: partner}
        spec:
          hosts: [c.partner.live]
          gateways: [default/narrow]
          exportTo: [.]
          http: [{directResponse: {status: 418}}]
        ---
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {name: partner, namespace: partner}
        spec:
          hosts: [partner.live]
          resolution: STATIC
          ports: [{number: 80, name: http, protocol: HTTP}]
          endpoints: [{address: 127.0.0.1, ports: {http: $v2}}]
        """,
    ),
    coming_in(
        "V-1-every-host-at-a-gateway",
        get().to("whatever.example").through("edge_socket").gives(by="v3", sent_host="whatever.example"),
        routes=TO_V1.replace("v1", "v3"),
        gateways="[bound]",
        hosts='["*"]',
    ),
    # --- which Gateways, and whose ---
    coming_in(
        "G-2-an-empty-selector-is-every-gateway",
        web(host="a.anybody.live").gives(by="v1"),
        routes=TO_V1,
        gateways="[partner/anybody]",
        hosts="[a.anybody.live]",
    ),
    coming_in(
        "G-2-another-gateway-has-other-routes",
        web().gives(404),
        routes=TO_V1,
        gateways="[elsewhere]",
    ),
    coming_in(
        "G-2-the-sidecar-does-not-have-the-gateways-routes",
        web().gives(by="v1", sent={"x-by": "gateway"}),
        get().gives(200, sent={"x-by": None}),
        routes="""
        http:
        - headers: {request: {set: {x-by: gateway}}}
          route: [{destination: {host: $host, subset: v1}}]
        """,
    ),
    coming_in(
        "SC-2-a-Sidecar-does-not-narrow-the-gateway",
        web().gives(by="v2"),
        web("/hidden").gives(by="v3"),
        get().to("hidden-from-the-sidecar.live").gives(502),
        routes="""
        http:
        - match: [{uri: {prefix: /hidden}}]
          route: [{destination: {host: hidden-from-the-sidecar.live}}]
        - route: [{destination: {host: $host, subset: v2}}]
        """,
        mesh="""
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {name: hidden}
        spec:
          hosts: [hidden-from-the-sidecar.live]
          resolution: STATIC
          ports: [{number: 80, name: http, protocol: HTTP}]
          endpoints: [{address: 127.0.0.1, ports: {http: $v3}}]
        """,
    ),
    only(
        "V-50-the-service-of-the-VirtualServices-namespace-first",
        web(host="home.example").gives(by="v3"),
        mesh="""
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {name: twice}
        spec:
          hosts: [twice.live]
          resolution: STATIC
          ports: [{number: 80, name: http, protocol: HTTP}]
          endpoints: [{address: 127.0.0.1, ports: {http: $v1}}]
        ---
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {name: twice, namespace: partner}
        spec:
          hosts: [twice.live]
          resolution: STATIC
          ports: [{number: 80, name: http, protocol: HTTP}]
          endpoints: [{address: 127.0.0.1, ports: {http: $v3}}]
        ---
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: twice, namespace: partner}
        spec:
          hosts: [home.example]
          gateways: [default/edge]
          http: [{route: [{destination: {host: twice.live}}]}]
        """,
    ),
    # --- several VirtualServices of one host, and what delegates add ---
    only(
        "V-8-catch-alls-last-and-objects-in-their-order",
        web("/a", host="merged.live").gives(418, body=b"first a"),
        web("/b", host="merged.live").gives(418, body=b"second b"),
        web("/c", host="merged.live").gives(418, body=b"partner's c"),
        web("/d", host="merged.live").gives(418, body=b"first rest"),
        mesh="""
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: second, creationTimestamp: 2024-01-02T00:00:00Z}
        spec:
          hosts: [merged.live]
          gateways: [edge]
          exportTo: [.]
          http:
          - {match: [{uri: {prefix: /a}}], directResponse: {status: 418, body: {string: second a}}}
          - {match: [{uri: {prefix: /b}}], directResponse: {status: 418, body: {string: second b}}}
          - {directResponse: {status: 418, body: {string: second rest}}}
        ---
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: first, creationTimestamp: 2024-01-01T00:00:00Z}
        spec:
          hosts: [merged.live]
          gateways: [edge]
          exportTo: [.]
          http:
          - {match: [{uri: {prefix: /a}}], directResponse: {status: 418, body: {string: first a}}}
          - {directResponse: {status: 418, body: {string: first rest}}}
        ---
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: third, namespace: partner, creationTimestamp: 2023-01-01T00:00:00Z}
        spec:
          hosts: [merged.live]
          gateways: [default/edge]
          http:
          - {match: [{uri: {prefix: /b}}], directResponse: {status: 418, body: {string: partner's b}}}
          - {match: [{uri: {prefix: /c}}], directResponse: {status: 418, body: {string: partner's c}}}
        """,
    ),
    coming_in(
        "V-8-a-wider-host-does-not-merge-into-a-narrower",
        web("/narrow").gives(by="v1"),
        web("/wide").gives(404),
        web("/wide", host="x.$host").gives(418),
        routes="http: [{match: [{uri: {prefix: /narrow}}], route: [{destination: {host: $host, subset: v1}}]}]",
        mesh="""
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: $name-wide}
        spec:
          hosts: ["*.$host", "$name.example"]
          gateways: [edge]
          http: [{match: [{uri: {prefix: /wide}}], directResponse: {status: 418}}]
        """,
    ),
    coming_in(
        "V-15-delegates-at-a-gateway",
        web("/shop/cart").gives(by="v2", path="/basket"),
        web("/shop/else").gives(404),
        web("/blog/x").gives(by="v3", sent={"x-team": "blog"}),
        routes="""
        http:
        - match: [{uri: {prefix: /shop}}]
          delegate: {name: shop-team, namespace: partner}
        - match: [{uri: {prefix: /blog}}]
          headers: {request: {set: {x-team: blog}}}
          delegate: {name: blog-team}
        """,
        mesh="""
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: shop-team, namespace: partner}
        spec:
          http:
          - match: [{uri: {exact: /shop/cart}}]
            rewrite: {uri: /basket}
            route: [{destination: {host: $host, subset: v2}}]
        ---
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: blog-team}
        spec: {http: [{route: [{destination: {host: $host, subset: v3}}]}]}
        """,
    ),
    # --- ports and other conditions ---
    coming_in(
        "V-37-the-port-is-that-of-the-server",
        web().gives(by="v2"),
        get().through("gweb").gives(by="v1"),
        routes="""
        http:
        - match: [{port: $web}]
          directResponse: {status: 418}
        - match: [{port: 80}]
          route: [{destination: {host: $host, subset: v2}}]
        - match: [{port: $gweb}]
          route: [{destination: {host: $host, subset: v1}}]
        """,
    ),
    coming_in(
        "V-38-the-gateways-own-labels-count",
        web().gives(by="v3"),
        routes="""
        http:
        - match: [{sourceLabels: {app: web}}]
          route: [{destination: {host: $host, subset: v1}}]
        - match: [{sourceLabels: {tier: front}}]
          route: [{destination: {host: $host, subset: v2}}]
        - match: [{sourceLabels: {tier: edge}}]
          route: [{destination: {host: $host, subset: v3}}]
        """,
        gateways="[mesh, edge]",
    ),
    coming_in(
        "V-40-gateways-of-a-match",
        web().gives(by="v2"),
        get().through("edge_socket").gives(by="v3"),
        get().gives(by="v1"),
        routes="""
        http:
        - match: [{gateways: [mesh]}]
          route: [{destination: {host: $host, subset: v1}}]
        - match: [{gateways: [edge]}]
          route: [{destination: {host: $host, subset: v2}}]
        - match: [{gateways: [bound]}]
          route: [{destination: {host: $host, subset: v3}}]
        """,
        gateways="[mesh, edge, bound]",
        mesh="""
        apiVersion: networking.istio.io/v1
        kind: Sidecar
        metadata: {name: unused}
        spec: {workloadSelector: {labels: {nobody: "true"}}, egress: [{hosts: ["*/*"]}]}
        """,
    ),
    coming_in(
        "V-52-without-port-it-is-that-of-the-server",
        web().gives(by="v1"),
        web("/alt").gives(by="v2"),
        routes="""
        http:
        - match: [{uri: {prefix: /alt}}]
          route: [{destination: {host: $host, port: {number: 8081}}}]
        - route: [{destination: {host: $host}}]
        """,
        entry="""
        ports: [{number: 8081, name: alt, protocol: HTTP}, {number: 80, name: http, protocol: HTTP}]
        resolution: STATIC
        endpoints: [{address: 127.0.0.1, ports: {http: $v1, alt: $v2}}]
        """,
    ),
    # --- httpsRedirect ---
    only(
        "G-4.1-httpsRedirect-without-VirtualService",
        web("/a?b=c", host="x.secured.live").gives(301, headers={"location": "https://x.secured.live/a?b=c"}),
        ask("POST", "/a").to("y.also-secured.live", "web").gives(301),
        web(host="secured.live").gives(404),
        mesh="",
    ),
    coming_in(
        "G-4.1-httpsRedirect-and-a-VirtualService",
        web("/a", host="bound.secured.live").gives(301, headers={"location": "https://bound.secured.live/a"}),
        web("/direct", host="bound.secured.live").gives(301),
        web("/a", host="bound.example").gives(404),
        routes="""
        http:
        - {match: [{uri: {prefix: /direct}}], directResponse: {status: 418}}
        - {route: [{destination: {host: $host}}]}
        """,
        gateways="[secured]",
        hosts="[bound.secured.live, bound.example]",
    ),
    # --- what the backend gets ---
    coming_in(
        "G-3.3-paths-are-normalised-before-they-are-matched",
        web("/open/../admin").gives(418),
        web("/open/%2e%2e/admin").gives(418),
        web("/./admin").gives(418),
        web("/open//x").gives(by="v1", path="/open//x"),
        routes="""
        http:
        - {match: [{uri: {prefix: /admin}}], directResponse: {status: 418}}
        - {route: [{destination: {host: $host, subset: v1}}]}
        """,
    ),
    coming_in(
        "G-3.3-who-asked-and-how",
        web(x_forwarded_for="203.0.113.9").gives(
            sent={"x-envoy-external-address": "127.0.0.1", "x-forwarded-proto": "http"}
        ),
        web(x_forwarded_proto="https").gives(sent={"x-forwarded-proto": "http"}),
        web().gives(sent={"x-forwarded-client-cert": None}),
        web(x_forwarded_client_cert="URI=spiffe://cluster.local/ns/bank/sa/boss").gives(
            sent={"x-forwarded-client-cert": None}
        ),
        web(x_envoy_upstream_rq_timeout_ms="1").gives(by="v1"),
        routes=TO_V1,
    ),
    coming_in(
        "G-3.3-HTTP-2-in-plain-text",
        web("/h2").in_http2().gives(by="v1", path="/h2", sent_host="$host"),
        web(host="x.$host").in_http2().gives(404),
        routes=TO_V1,
    ),
    coming_in(
        "V-16-all-of-a-rule-acts-at-a-gateway",
        web("/old/a").gives(
            by="v1",
            path="/new/a",
            sent_host="inside.example",
            sent={"x-from": "edge"},
            headers={"x-answered": "yes", "x-own": None},
            reached=("v1", "v3"),
        ),
        web("/fails", x_do="503x1").gives(by="v1", reached=("v1", "v1")),
        web("/faulty").gives(418),
        routes="""
        http:
        - match: [{uri: {prefix: /old}}]
          rewrite: {uri: /new, authority: inside.example}
          headers: {request: {set: {x-from: edge}}, response: {set: {x-answered: "yes"}, remove: [x-own]}}
          mirror: {host: $host, subset: v3}
          route: [{destination: {host: $host, subset: v1}}]
        - match: [{uri: {prefix: /faulty}}]
          fault: {abort: {httpStatus: 418, percentage: {value: 100}}}
          route: [{destination: {host: $host, subset: v1}}]
        - retries: {attempts: 1, retryOn: 5xx}
          route: [{destination: {host: $host, subset: v1}}]
        """,
    ),
    # --- where it listens ---
    only("G-3.6-nobody-bound-is-404", get().to("any.live", "bare").gives(404), mesh=""),
    coming_in(
        "G-3.6-a-bind-is-that-address-only",
        get().through("binding", "127.0.0.8").gives(by="v2"),
        get().through("binding").is_refused(),
        get().through("binding", "127.0.0.9").gives(404),
        get().to("there.live").through("binding", "127.0.0.9").gives(by="v2"),
        routes=TO_V2,
        gateways="[bound]",
        hosts="[$host, there.live]",
    ),
    coming_in(
        "G-3.6-a-Unix-socket",
        get("/a").through("edge_socket").gives(by="v1", path="/a"),
        get().to("y.$host", "edge_socket").gives(by="v3"),
        web().gives(404),
        routes=TO_V1,
        gateways="[bound]",
    ),
)


def test_requests(live: Live, case: Case):
    for exchange in case.exchanges:
        live.holds(case, exchange)


def test_a_client_cannot_choose_its_own_address(live: Live):
    """4.3: what it says of others before it is kept, and the one it came from is added."""
    answer = live.send(web(x_forwarded_for="203.0.113.9"), PLAIN)

    (forwarded,) = answer.sent("x-forwarded-for")
    assert forwarded.startswith("203.0.113.9,")


@pytest.mark.spec("V-63")
def test_a_redirect_keeps_the_number_of_a_server(live: Live):
    answer = live.send(get("/moved").through("gweb"), MOVED)

    assert answer.all("location") == [f"http://moved.live:{live.listeners['gweb']}/moved"]


@pytest.mark.spec("G-3.6")
def test_a_name_of_the_kernel_can_be_bound(live: Live):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"\0{live.listeners['edge_socket']}")
        client.sendall(b"GET /named HTTP/1.1\r\nhost: any.live\r\nx-live: 0\r\nconnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(10_000), b""))

    assert answer.startswith(b"HTTP/1.1 200")
    assert b'"by": "v3", "method": "GET", "path": "/named"' in answer


@pytest.mark.spec("G-3.3")
def test_a_grpc_call_comes_through_with_its_trailers(live: Live):
    message = b"\x00\x00\x00\x00\x05hello"
    call = Ask(method="POST", path="/live/Echo", headers={"content-type": "application/grpc", "te": "trailers"})

    answer = live.send(replace(call, body=message, listener="web", http2=True), GRPC)

    assert (answer.status, answer.body, answer.all("grpc-status")) == (200, message, ["0"])
    assert ("v2", None) in live.backends.prefaces


@pytest.mark.spec("G-3.3")
def test_a_browser_speaks_grpc_by_http_1(live: Live):
    """3.5: a server of protocol GRPC-WEB puts the trailers into the body."""
    message = b"\x00\x00\x00\x00\x05hello"
    call = Ask(method="POST", path="/live/Echo", headers={"content-type": "application/grpc-web+proto"})

    answer = live.send(replace(call, body=message, listener="gweb"), GRPC)

    assert answer.all("content-type") == ["application/grpc-web+proto"]
    assert answer.body.startswith(message + b"\x80")
    assert b"grpc-status:0\r\n" in answer.body.replace(b": ", b":")


@pytest.mark.spec("G-3.3")
def test_a_websocket_is_let_through(live: Live):
    """4.3."""
    with socket.create_connection(("127.0.0.1", int(live.listeners["web"])), 10) as client:
        client.sendall(
            f"GET /chat HTTP/1.1\r\nhost: {PLAIN.host}\r\nx-live: 0\r\n"
            "connection: Upgrade\r\nupgrade: websocket\r\n\r\n".encode()
        )
        head = client.recv(1000)
        client.sendall(b"\x00 any bytes")
        echoed = client.recv(1000)

    assert head.startswith(b"HTTP/1.1 101")
    assert echoed == b"\x00 any bytes"
