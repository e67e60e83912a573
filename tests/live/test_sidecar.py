"""A Sidecar's egress listeners: HTTP, HTTP_PROXY, TCP, TLS by server name and Unix sockets (spec 9.1 and 7.2)."""

from __future__ import annotations

import http.client
import socket
import ssl

import pytest

from tests.live.backends import Backends
from tests.live.cases import Case, only
from tests.live.certificates import Authority
from tests.live.requests import Exchange, get
from tests.live.world import Live

pytestmark = pytest.mark.envoy

LISTENERS = ("web", "raw", "sni", "origin", "wrong", "own", "free", "entry_proxy", "http_socket")

DOCUMENTS = """
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: web}
spec:
  workloadSelector: {labels: {app: web}}
  egress:
  - {port: {number: $web, protocol: HTTP, name: http}, hosts: ["./*.web.live", "./web.live"]}
  - {port: {number: $raw, protocol: TCP, name: tcp}, hosts: [./raw.live]}
  - {port: {number: $sni, protocol: TLS, name: tls}, hosts: ["./*"]}
  - {port: {number: $origin, protocol: TCP, name: tcp-origin}, hosts: ["./*"]}
  - {port: {number: $wrong, protocol: TCP, name: tcp-wrong}, hosts: ["./*"]}
  - {port: {number: $own, protocol: HTTP, name: http-own}, bind: 127.0.0.9, hosts: [./own.live]}
  - {port: {number: 0, protocol: HTTP, name: http-socket}, bind: "unix://$http_socket", hosts: ["./*"]}
  - {port: {number: $entry_proxy, protocol: HTTP_PROXY, name: proxy}, hosts: ["./*", "~./web.live"]}
  - {hosts: [./free.live]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: web}
spec:
  hosts: [web.live, other.web.live]
  resolution: STATIC
  ports: [{number: $web, name: http, protocol: HTTP}, {number: 80, name: plain, protocol: HTTP}]
  endpoints:
  - {address: 127.0.0.1, ports: {http: $v1, plain: $v2}, labels: {version: v1}}
  - {address: 127.0.0.1, ports: {http: $v3, plain: $v2}, labels: {version: v3}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: web}
spec: {host: web.live, subsets: [{name: v1, labels: {version: v1}}, {name: v3, labels: {version: v3}}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web}
spec:
  hosts: [web.live]
  http:
  - match: [{uri: {prefix: /moved}}]
    redirect: {derivePort: FROM_REQUEST_PORT, authority: moved.live}
  - match: [{uri: {prefix: /elsewhere}}]
    route: [{destination: {host: elsewhere.live}}]
  - match: [{uri: {prefix: /plain}, port: 80}]
    route: [{destination: {host: web.live, port: {number: 80}}}]
  - match: [{port: $web}]
    route: [{destination: {host: web.live, subset: v1}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: elsewhere}
spec:
  hosts: [elsewhere.live]
  resolution: STATIC
  ports: [{number: 8081, name: http, protocol: HTTP}]
  endpoints: [{address: 127.0.0.1, ports: {http: $v3}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: raw}
spec:
  hosts: [raw.live]
  resolution: STATIC
  ports: [{number: $raw, name: tcp, protocol: TCP}]
  endpoints: [{address: 127.0.0.1, ports: {tcp: $v2}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: one}
spec:
  hosts: [secure.live]
  resolution: STATIC
  ports: [{number: $sni, name: tls, protocol: TLS}, {number: $origin, name: tcp-origin, protocol: TCP}]
  endpoints: [{address: 127.0.0.1, ports: {tls: $secure, tcp-origin: $secure}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: one}
spec:
  host: secure.live
  trafficPolicy:
    portLevelSettings: [{port: {number: $origin}, tls: {mode: SIMPLE, caCertificates: $ca}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: two}
spec:
  hosts: ["*.wild.live"]
  resolution: STATIC
  ports: [{number: $sni, name: https, protocol: HTTPS}]
  endpoints: [{address: 127.0.0.1, ports: {https: $secure2}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: wrong}
spec:
  hosts: [misnamed.live]
  resolution: STATIC
  ports: [{number: $wrong, name: tcp, protocol: TCP}]
  endpoints: [{address: 127.0.0.1, ports: {tcp: $secure}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: wrong}
spec: {host: misnamed.live, trafficPolicy: {tls: {mode: SIMPLE, caCertificates: $ca}}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: own}
spec:
  hosts: [own.live]
  resolution: STATIC
  ports: [{number: $own, name: http, protocol: HTTP}]
  endpoints: [{address: 127.0.0.1, ports: {http: $v3}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: free}
spec:
  hosts: [free.live]
  resolution: STATIC
  ports: [{number: $free, name: http2, protocol: HTTP2}]
  endpoints: [{address: 127.0.0.1, ports: {http2: $v2}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: foreign, namespace: shop}
spec:
  hosts: [foreign.web.live]
  resolution: STATIC
  ports: [{number: $web, name: http, protocol: HTTP}, {number: 80, name: plain, protocol: HTTP}]
  endpoints: [{address: 127.0.0.1, ports: {http: $v1, plain: $v1}}]
"""


def asked(id: str, *exchanges: Exchange) -> Case:  # noqa: A002
    return only(id, *exchanges, mesh="")


CASES = (
    asked(
        "SC-10-an-HTTP-listener-routes-by-Host-whatever-its-port",
        get("/a").to("web.live", "web").gives(by="v1", path="/a", sent_host="web.live"),
        get().to("web.live:80", "web").gives(by="v1"),
        get().to("WEB.live:1234", "web").gives(by="v1"),
        get().to("other.web.live", "web").gives(200),
    ),
    asked(
        "SC-10-only-services-that-are-imported-and-have-the-port",
        get()
        .to("foreign.web.live", "web")
        .gives(502, headers={"x-meshd-reason": "host foreign.web.live is not in the registry"}),
        get().to("elsewhere.live", "web").gives(502),
        get().to("own.live", "web").gives(502),
    ),
    asked(
        "SC-13-destinations-of-what-is-imported-come-along",
        get("/elsewhere").to("web.live", "web").gives(by="v3", sent_host="web.live"),
    ),
    asked("V-37-a-match-on-another-port", get("/plain").to("web.live", "web").gives(by="v1")),
    asked(
        "SC-10-a-unix-socket-offers-the-services-of-all-ports",
        get("/plain").to("web.live", "http_socket").gives(by="v2"),
        get("/x").to("web.live", "http_socket").gives(404),
        get().to("elsewhere.live:8081", "http_socket").gives(by="v3"),
        get().to("foreign.web.live", "http_socket").gives(502),
    ),
    asked(
        "SC-13-an-HTTP_PROXY-entry-and-what-it-excludes",
        get().to("elsewhere.live:8081", "entry_proxy").gives(by="v3"),
        get().to("elsewhere.live", "entry_proxy").gives(502),
        get().to("web.live", "entry_proxy").gives(502),
        get().to("other.web.live", "entry_proxy").gives(by="v2"),
    ),
    asked(
        "SC-13-the-proxy-port-offers-what-any-entry-imports",
        get("/plain").to("web.live").gives(by="v2"),
        get().to("foreign.web.live").gives(502),
    ),
)


def test_listeners(live: Live, case: Case):
    for exchange in case.exchanges:
        live.holds(case, exchange)


def test_a_redirect_from_the_requests_port_keeps_that_of_the_listener(live: Live):
    """V-63."""
    answer = live.send(get("/moved").to("web.live", "web"), CASES[0])

    assert answer.all("location") == [f"http://moved.live:{live.listeners['web']}/moved"]


def test_a_bind_is_that_address_only(live: Live):
    """SC-11."""
    port = int(live.listeners["own"])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 10)

    assert b'"by": "v3"' in spoken(socket.create_connection(("127.0.0.9", port), 10), "own.live")


def test_a_listener_that_the_last_entry_binds_speaks_the_ports_protocol(live: Live, backends: Backends):
    """SC-11 and 3.5: HTTP2 is HTTP/2 to the endpoints, whatever the client speaks."""
    before = backends.prefaces.count(("v2", None))

    answer = live.send(get().to("free.live", "free"), CASES[0])

    assert (answer.status, answer.by) == (200, "v2")
    assert backends.prefaces.count(("v2", None)) > before


def test_tcp_is_passed_on_as_it_is(live: Live):
    assert b'"by": "v2"' in spoken(socket.create_connection(("127.0.0.1", int(live.listeners["raw"])), 10), "raw.live")


@pytest.mark.parametrize(("name", "by"), [("secure.live", "secure"), ("a.b.wild.live", "secure2")])
def test_tls_goes_where_its_server_name_leads(live: Live, ca: Authority, name: str, by: str):
    """7.2: it is passed on as it is, so the certificate is the backend's."""
    answer = spoken(in_tls(live.listeners["sni"], ca, name), name)

    assert f'"by": "{by}"'.encode() in answer
    assert f'"sni": "{name}"'.encode() in answer


@pytest.mark.parametrize("name", ["nobody.live", "wild.live", "x.secure.live"])
def test_tls_to_an_unknown_name_is_closed(live: Live, ca: Authority, name: str):
    with pytest.raises((ssl.SSLError, ConnectionError)):
        in_tls(live.listeners["sni"], ca, name)


def test_tcp_can_leave_in_tls_under_the_services_name(live: Live):
    """D-79 and D-80: bytes have no Host, so the name is that of the service."""
    answer = spoken(socket.create_connection(("127.0.0.1", int(live.listeners["origin"])), 10), "whatever")

    assert b'"sni": "secure.live"' in answer


def test_tcp_does_not_leave_to_who_has_another_name(live: Live):
    with socket.create_connection(("127.0.0.1", int(live.listeners["wrong"])), 10) as client:
        assert not received(client, b"GET / HTTP/1.1\r\nhost: x\r\nx-live: 0\r\n\r\n")


def in_tls(port: int | str, ca: Authority, name: str) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=str(ca.file))
    context.check_hostname = False
    plain = socket.create_connection(("127.0.0.1", int(port)), 10)
    try:
        return context.wrap_socket(plain, server_hostname=name)
    except BaseException:
        plain.close()
        raise


def spoken(connected: socket.socket, host: str) -> bytes:
    """What comes back for one request in HTTP/1.1."""
    with connected:
        connected.sendall(f"GET / HTTP/1.1\r\nhost: {host}\r\nx-live: 0\r\n\r\n".encode())
        response = http.client.HTTPResponse(connected)
        response.begin()
        return f"{response.status} {response.reason}\n".encode() + response.read()


def received(connected: socket.socket, request: bytes) -> bytes:
    try:
        connected.sendall(request)
        return connected.recv(1000)
    except ConnectionError:
        return b""
