"""Out of the mesh, by the sidecar alone or by an egress gateway: the recipes of spec 9.2, both proxies on one host."""

from __future__ import annotations

import ipaddress
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import pytest

from tests.live.cases import Case, only
from tests.live.certificates import Authority
from tests.live.gateways import WORKLOAD
from tests.live.requests import Ask, get
from tests.live.world import Live

pytestmark = pytest.mark.envoy

ADDRESS = "127.0.0.1"
LISTENERS = ("out_http", "out_mesh", "out_pass", "out_tcp", "app_tls", "app_tcp", "entry_proxy")
APP_TCP = "127.0.0.9"
"""Where applications call what goes out by address."""


def service(name: str, port: str, *more: str) -> str:
    spec = "\n  ".join(more or ("resolution: STATIC",))
    return f"""
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name.partition(".")[0].replace("*", "any")}}}
spec:
  hosts: ["{name}"]
  ports: [{port}]
  {spec}
---
"""


def at(backend: str) -> tuple[str, str]:
    return "resolution: STATIC", f"endpoints: [{{address: 127.0.0.1, ports: {{web: ${backend}}}}}]"


def out(name: str, rules: str) -> str:
    """A VirtualService for applications and for the gateway."""
    return f"""
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name.partition(".")[0].replace("*", "any")}}}
spec:
  hosts: ["{name}"]
  gateways: [mesh, out]
{rules.strip(chr(10))}
---
"""


def http_out(name: str, to: str) -> str:
    """`to`: how the gateway goes on."""
    return out(
        name,
        f"""
  http:
  - match: [{{gateways: [mesh], port: 80}}]
    route: [{{destination: {{host: egress.live, port: {{number: 80}}}}}}]
  - match: [{{gateways: [out], port: 80}}]
    headers: {{request: {{set: {{x-by: gateway}}}}}}
    route: [{{destination: {{{to}}}}}]
""",
    )


def tls_out(name: str, to: str) -> str:
    return out(
        name,
        f"""
  tls:
  - match: [{{gateways: [mesh], port: $app_tls, sniHosts: [{name}]}}]
    route: [{{destination: {{host: egress.live, port: {{number: 8443}}}}}}]
  - match: [{{gateways: [out], port: 8443, sniHosts: [{name}]}}]
    route: [{{destination: {{{to}}}}}]
""",
    )


def policy(host: str, text: str) -> str:
    return f"""
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: {host.partition(".")[0]}}}
spec:
  host: {host}
  {text}
---
"""


HTTP = "{number: 80, name: web, protocol: HTTP}"
TLS = "{number: $app_tls, name: web, protocol: TLS}"

DOCUMENTS = f"""
{WORKLOAD}
apiVersion: meshd.io/v1
kind: MeshConfig
metadata: {{name: mesh}}
spec:
  identity: {{certChain: $identity_chain, key: $identity_key, rootCert: $ca}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: egress}}
spec:
  hosts: [egress.live]
  location: MESH_INTERNAL
  resolution: STATIC
  ports:
  - {{number: 80, name: http, protocol: HTTP, targetPort: $out_http}}
  - {{number: 443, name: http-443, protocol: HTTP, targetPort: $out_mesh}}
  - {{number: 8443, name: tls, protocol: TLS, targetPort: $out_pass}}
  - {{number: 5432, name: tcp, protocol: TCP, targetPort: $out_tcp}}
  workloadSelector: {{labels: {{istio: ingressgateway}}}}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: out}}
spec:
  selector: {{istio: ingressgateway}}
  servers:
  - {{port: {{number: 80, name: http, protocol: HTTP}}, hosts: ["*"]}}
  - {{port: {{number: 443, name: https, protocol: HTTPS}}, hosts: [bank.live], tls: {{mode: ISTIO_MUTUAL}}}}
  - {{port: {{number: 8443, name: tls, protocol: TLS}}, hosts: ["*.live"], tls: {{mode: PASSTHROUGH}}}}
  - {{port: {{number: 5432, name: tcp, protocol: TCP}}, hosts: ["*"]}}
---
{
    policy(
        "egress.live",
        '''subsets:
  - {name: bank, trafficPolicy: {portLevelSettings: [
      {port: {number: 443}, tls: {mode: ISTIO_MUTUAL, sni: bank.live}}]}}
  - {name: proxied, trafficPolicy: {proxyProtocol: {version: V2}}}''',
    )
}
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{name: web}}
spec:
  workloadSelector: {{labels: {{app: web}}}}
  egress:
  - {{port: {{number: $app_tls, protocol: TLS, name: tls}}, hosts: ["./*"]}}
  - {{port: {{number: $app_tcp, protocol: TCP, name: tcp}}, bind: {APP_TCP}, hosts: [./block.live]}}
  - {{port: {{number: $entry_proxy, protocol: HTTP_PROXY, name: proxy}}, hosts: ["./*"]}}
---
{service("mutual.live", HTTP, *at("mutual"))}
{
    policy(
        "mutual.live",
        "trafficPolicy: {tls: {mode: MUTUAL, clientCertificate: $client_chain, privateKey: $client_key, "
        "caCertificates: $ca, sni: secure.live}}",
    )
}
{service("secure.live", TLS, *at("secure"))}
{service("plain.live", HTTP, *at("v1"))}
{http_out("plain.live", "host: plain.live")}
{service("api.live", HTTP, *at("secure"))}
{http_out("api.live", "host: api.live")}
{policy("api.live", "trafficPolicy: {tls: {mode: SIMPLE, caCertificates: $ca, sni: secure.live}}")}
{service("bank.live", HTTP, *at("mutual"))}
{
    out(
        "bank.live",
        '''
  http:
  - match: [{gateways: [mesh], port: 80}]
    route: [{destination: {host: egress.live, subset: bank, port: {number: 443}}}]
  - match: [{gateways: [out], port: 443}]
    route: [{destination: {host: bank.live, port: {number: 80}}}]
''',
    )
}
{
    policy(
        "bank.live",
        "trafficPolicy: {tls: {mode: MUTUAL, clientCertificate: $client_chain, privateKey: $client_key, "
        "caCertificates: $ca, sni: secure.live}}",
    )
}
{service("files.pass.live", TLS, *at("secure2"))}
{tls_out("files.pass.live", "host: files.pass.live")}
{service("*.apps.localhost", "{number: $v2, name: http, protocol: HTTP}", "resolution: DYNAMIC_DNS")}
{
    http_out("*.apps.localhost", 'host: "*.apps.localhost", port: {number: $v2}').replace(
        "gateways: [mesh], port: 80", "gateways: [mesh]"
    )
}
{service("also.live", TLS, *at("dead"))}
{tls_out("also.live", "host: relay.live, port: {number: 3128}")}
{service("relay.live", "{number: 3128, name: web, protocol: TCP}", *at("relay"))}
{policy("relay.live", "trafficPolicy: {tunnel: {protocol: CONNECT, targetHost: also.live, targetPort: $secure}}")}
{
    service(
        "block.live",
        "{number: $app_tcp, name: tcp, protocol: TCP}",
        "addresses: [127.0.0.0/8]",
        "resolution: NONE",
    )
}
{service("direct.live", "{number: 9000, name: web, protocol: TCP}", *at("v3"))}
{
    out(
        "block.live",
        '''
  tcp:
  - match: [{gateways: [mesh], port: $app_tcp}]
    route: [{destination: {host: egress.live, subset: proxied, port: {number: 5432}}}]
  - match: [{gateways: [out], port: 5432, destinationSubnets: [127.0.0.9]}]
    route: [{destination: {host: direct.live, port: {number: 9000}}}]
  - match: [{gateways: [out], port: 5432, destinationSubnets: [127.0.0.1]}]
    route: [{destination: {host: block.live}}]
''',
    )
}
"""


@pytest.fixture(scope="module")
def names(names: dict[str, str], ca: Authority, relay: Relay) -> dict[str, str]:
    identity = ca.signed("this host", "URI:spiffe://cluster.local/ns/default/sa/web")
    files = {"identity_chain": str(identity.chain), "identity_key": str(identity.key)}
    return {**names, **files, "relay": str(relay.port)}


def ask(host: str, path: str = "/") -> Ask:
    return get(path).to(host, "entry_proxy")


def asked(id: str, *exchanges: object) -> Case:  # noqa: A002
    return only(id, *exchanges, mesh="")  # type: ignore[arg-type]


CASES = (
    asked("X-3-mutual-TLS-to-the-outside", ask("mutual.live").gives(by="mutual", tls={"client": "the client"})),
    asked(
        "X-4-TLS-of-the-application-passes",
        get().through("app_tls").over_tls("secure.live").gives(by="secure", tls={"sni": "secure.live"}),
        get().through("app_tls").over_tls("nobody.live").is_refused(),
    ),
    asked(
        "X-5-requests-go-out-by-the-gateway",
        ask("plain.live", "/a").gives(by="v1", path="/a", sent_host="plain.live", sent={"x-by": "gateway"}),
        get().to("plain.live", "out_http").gives(by="v1", sent={"x-by": "gateway"}),
        get().to("mutual.live", "out_http").gives(404),
    ),
    asked(
        "X-6-the-gateway-opens-TLS",
        ask("api.live").gives(by="secure", sent={"x-by": "gateway"}, tls={"sni": "secure.live", "client": None}),
    ),
    asked(
        "X-7-in-TLS-of-the-mesh-to-the-gateway",
        ask("bank.live", "/a").gives(by="mutual", path="/a", tls={"client": "the client"}),
        get().through("out_mesh").over_tls("bank.live").is_refused(),
    ),
    asked(
        "X-8-TLS-of-the-application-by-the-gateway",
        get().through("app_tls").over_tls("files.pass.live").gives(by="secure2", tls={"sni": "files.pass.live"}),
        get().through("out_pass").over_tls("files.pass.live").gives(by="secure2"),
        get().through("out_pass").over_tls("secure.live").is_refused(),
    ),
    asked(
        "X-9-names-below-a-wildcard-by-the-gateway",
        ask("shop.apps.localhost:$v2", "/a").gives(by="v2", path="/a", sent={"x-by": "gateway"}),
        ask("a.b.apps.localhost:$v2").gives(by="v2", sent={"x-by": "gateway"}),
    ),
    asked("X-10-by-the-address-that-was-called", get().through("app_tcp", APP_TCP).gives(by="v3")),
)


def test_egress(live: Live, case: Case):
    for exchange in case.exchanges:
        host = (exchange.ask.host or "").replace("$v2", str(live.backends.ports["v2"]))
        live.holds(case, replace(exchange, ask=replace(exchange.ask, host=host or None)))


@pytest.mark.spec("X-7")
def test_the_outside_learns_who_called_the_gateway(live: Live):
    answer = live.send(ask("bank.live"), CASES[0])

    (told,) = answer.sent("x-forwarded-client-cert")
    assert "URI=spiffe://cluster.local/ns/default/sa/web" in told


@pytest.mark.spec("X-6")
def test_only_the_gateway_opens_tls(live: Live):
    handshakes = r"cluster\.outbound\|80\|\|api\.live\.ssl\.handshake"
    live.send(ask("api.live"), CASES[0])

    assert live.statistic(handshakes, "gateway") > 0
    assert live.statistic(handshakes, "sidecar") == 0


# --- by address -------------------------------------------------------------------------------------------------


@pytest.mark.spec("X-10")
def test_a_proxy_header_says_where_a_connection_goes(live: Live):
    port = live.backends.ports["v2"]

    assert b'"by": "v2"' in said(live, proxied("127.0.0.1", port) + REQUEST)
    assert not said(live, proxied("10.9.9.9", port) + REQUEST)
    assert not said(live, REQUEST)


REQUEST = b"GET / HTTP/1.1\r\nhost: any\r\nx-live: 0\r\nconnection: close\r\n\r\n"


def proxied(address: str, port: int) -> bytes:
    """A PROXY header in version 2, of somebody who called this address."""
    addresses = ipaddress.ip_address("192.0.2.1").packed + ipaddress.ip_address(address).packed
    ports = struct.pack("!HH", 40_000, port)
    return b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + struct.pack("!H", len(addresses + ports)) + addresses + ports


def said(live: Live, first: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", int(live.listeners["out_tcp"])), 10) as client:
        try:
            client.sendall(first)
            return client.recv(10_000)
        except ConnectionError:
            return b""


# --- by a proxy -------------------------------------------------------------------------------------------------


class Relay:
    """A forward proxy: each CONNECT leads to that port of this machine, whatever the name."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                self._start(self._connect, client)

    def _connect(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            client.settimeout(10)
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += client.recv(1)
            start = head.decode().splitlines()[0]
            self.asked.append(start)
            port = int(start.split()[1].rpartition(":")[2])
            with socket.create_connection(("127.0.0.1", port), 10) as server:
                client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                back = self._start(_pour, server, client)
                _pour(client, server)
                back.join(10)

    def _start(self, function: object, *sockets: socket.socket) -> threading.Thread:
        thread = threading.Thread(target=function, args=sockets)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()
        return thread


def _pour(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while chunk := source.recv(10_000):
            target.sendall(chunk)
        target.shutdown(socket.SHUT_WR)


@pytest.fixture(scope="module")
def relay() -> Iterator[Relay]:
    running = Relay()
    yield running
    running.close()


@pytest.mark.spec("X-11")
def test_tls_of_the_application_is_carried_by_a_forward_proxy(live: Live, relay: Relay):
    """Sidecar, gateway, forward proxy, and then the server that the application verifies."""
    answer = live.send(get("/a").through("app_tls").over_tls("also.live"), CASES[0])

    assert (answer.by, answer.told["tls"]["sni"]) == ("secure", "also.live")
    assert relay.asked == [f"CONNECT also.live:{live.backends.ports['secure']} HTTP/1.1"]
