"""Names that lead back to the very proxy that looks them up: one request would go round until all memory is taken."""

from __future__ import annotations

import socket
import ssl
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from meshd.names import DnsName
from tests.envoy.process import logged
from tests.live.outbound import running_host
from tests.ports import free_port
from tests.waiting import until

pytestmark = pytest.mark.envoy

ALLOW_ANY = """
apiVersion: meshd.io/v1
kind: MeshConfig
metadata: {name: mesh}
spec: {outboundTrafficPolicy: {mode: ALLOW_ANY}}
"""
BELOW_A_WILDCARD = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: apps}
spec:
  hosts: ["*.apps.localhost"]
  resolution: DYNAMIC_DNS
  ports: [{number: $port, name: port, protocol: $protocol}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: out}
spec:
  selector: {app: web}
  servers:
  - {port: {number: $port, name: port, protocol: $protocol}, hosts: ["*.apps.localhost"]$tls}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: apps}
spec:
  hosts: ["*.apps.localhost"]
  gateways: [out]
  $rule
"""
BY_ADDRESS = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: shop}
spec:
  hosts: [shop.example]
  resolution: $resolution
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints: [{address: "$address", ports: {http: $port}}]
"""
MEMBERS = r"cluster\.outbound.80..shop.example.*membership_total"
TO_ALL = "route: [{destination: {host: '*.apps.localhost'}}]"


def below_a_wildcard(protocol: str, port: int) -> str:
    rule, tls = f"http: [{{{TO_ALL}}}]", ""
    if protocol == "TLS":
        rule = f"tls: [{{match: [{{sniHosts: ['*.apps.localhost']}}], {TO_ALL}}}]"
        tls = ", tls: {mode: PASSTHROUGH}"
    texts = {"$protocol": protocol, "$port": str(port), "$rule": rule, "$tls": tls}
    text = BELOW_A_WILDCARD
    for name, value in texts.items():
        text = text.replace(name, value)
    return text


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", "[::ffff:127.0.0.1]"])
def test_a_request_for_the_http_proxy_itself_is_answered(envoy_binary: Path, host: str):
    with running_host(envoy_binary, ALLOW_ANY) as outside:
        answer = outside.get(f"http://{host}:{outside.port}/")
        (line,) = until(lambda: logged(outside.proxies["sidecar"]), what="a line in the log")

    assert (answer.status, answer.headers["x-meshd-reason"]) == (508, "this name leads back to this very proxy")
    assert line["reason"] == "this name leads back to this very proxy"


def test_a_name_below_a_wildcard_that_leads_to_the_gateway_itself_is_answered(envoy_binary: Path):
    port = free_port()
    with running_host(envoy_binary, below_a_wildcard("HTTP", port), port=port) as outside:
        answer = outside.get(f"http://a.apps.localhost:{port}/")

    assert answer.status == 508


def test_tls_below_a_wildcard_that_leads_to_the_gateway_itself_is_closed(envoy_binary: Path):
    port = free_port()
    with running_host(envoy_binary, below_a_wildcard("TLS", port)) as outside:
        with socket.create_connection(("127.0.0.1", port), 10) as plain, pytest.raises(OSError):
            ssl.create_default_context().wrap_socket(plain, server_hostname="a.apps.localhost")
        opened = outside.statistic(r"listener\.0\.0\.0\.0_\d+\.downstream_cx_total", "gateway")

    assert 1 <= opened <= 2  # this one, and the one of the proxy to itself that got no further


def by_address(address: str, port: int) -> str:
    resolution = "DNS" if address.endswith(".example") else "STATIC"
    return BY_ADDRESS.replace("$resolution", resolution).replace("$address", address).replace("$port", str(port))


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::ffff:127.0.0.1", "db.example"])
def test_a_service_whose_address_is_the_proxy_itself_has_no_endpoint_there(envoy_binary: Path, address: str):
    port = free_port()
    answers = {DnsName("db.example"): ("127.0.0.1",)}
    with running_host(envoy_binary, by_address(address, port), port=port, answers=answers) as outside:
        answer = outside.get("http://shop.example/")
        opened = outside.statistic(r"listener\.127\.0\.0\.1_\d+\.downstream_cx_total")

    assert answer.status == 503
    assert opened == 1


@pytest.mark.parametrize("port", [15001, 15006])
def test_nor_where_redirected_connections_come_in(envoy_binary: Path, port: int):
    with running_host(envoy_binary, by_address("127.0.0.1", port), captured=True) as outside:
        answer = outside.get("http://shop.example/")
        members = outside.statistic(MEMBERS)

    assert (answer.status, members) == (503, 0)


def test_an_application_beside_the_proxy_at_a_port_of_its_own_is_no_circle(envoy_binary: Path):
    class Shop(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(204)
            self.end_headers()

    with HTTPServer(("127.0.0.1", 0), Shop) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            with running_host(envoy_binary, by_address("127.0.0.1", server.server_port)) as outside:
                assert outside.get("http://shop.example/").status == 204
                assert outside.statistic(MEMBERS) == 1
        finally:
            server.shutdown()
