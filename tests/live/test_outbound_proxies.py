"""Forward proxies of several kinds, each with a host of its own behind it: in TLS, Debian's, dead ones, and who may
go past them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.envoy.process import logged
from tests.live.backends import Backends
from tests.live.certificates import Authority, server_context
from tests.live.forward_proxy import ForwardProxy, basic, forward_proxy, tinyproxy, tinyproxy_binary
from tests.live.outbound import running_host, settings
from tests.ports import free_port
from tests.waiting import until

pytestmark = pytest.mark.envoy

PLAIN = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: plain}
spec:
  hosts: [plain.example]
  location: MESH_EXTERNAL
  resolution: DNS
  ports: [{number: 80, name: http, protocol: HTTP}]
"""
ALLOW_ANY = "outboundTrafficPolicy: {mode: ALLOW_ANY}"


def by(body: bytes) -> str:
    return str(json.loads(body)["by"])


def leading_to(backends: Backends, *authorities: str) -> dict[str, int]:
    return dict.fromkeys(authorities, backends.ports["v1"])


# --- TLS to the proxy -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["MUTUAL", "SIMPLE"])
def test_the_proxy_is_spoken_to_in_tls(
    envoy_binary: Path, backends: Backends, ca: Authority, mode: str, names: dict[str, str]
):
    pair = ca.signed("proxy", "DNS:proxy.live", "DNS:127.0.0.1")
    context = server_context(pair, clients=ca if mode == "MUTUAL" else None)
    proxy = ForwardProxy(leads=leading_to(backends, "plain.example:80"), tls=context)
    shown = "clientCertificate: $client_chain, privateKey: $client_key," if mode == "MUTUAL" else ""
    for name, value in names.items():
        shown = shown.replace(f"${name},", f"{value},")
    with forward_proxy(proxy) as port:
        tls = f"{{mode: {mode}, {shown} caCertificates: {ca.file}, sni: proxy.live, subjectAltNames: [proxy.live]}}"
        mesh = settings(f"[{{host: 127.0.0.1, port: {port}, tls: {tls}}}]") + PLAIN
        with running_host(envoy_binary, mesh) as outside:
            answer = outside.get("http://plain.example/")

    assert (answer.status, by(answer.body)) == (200, "v1")
    assert proxy.authorities == ["plain.example:80"]


def test_a_proxy_that_shows_another_name_is_not_told_whom_anybody_calls(
    envoy_binary: Path, backends: Backends, ca: Authority
):
    context = server_context(ca.signed("other", "DNS:other.live"))
    proxy = ForwardProxy(leads=leading_to(backends, "plain.example:80"), tls=context)
    with forward_proxy(proxy) as port:
        tls = f"{{mode: SIMPLE, caCertificates: {ca.file}, sni: proxy.live, subjectAltNames: [proxy.live]}}"
        mesh = settings(f"[{{host: 127.0.0.1, port: {port}, tls: {tls}}}]") + PLAIN
        with running_host(envoy_binary, mesh) as outside:
            answer = outside.get("http://plain.example/")
            until(lambda: "CERTIFICATE_VERIFY_FAILED" in outside.log(), what="the line of the handshake")

    assert answer.status == 503
    assert proxy.asked == []


# --- Debian's ---------------------------------------------------------------------------------------------------


@pytest.mark.skipif(tinyproxy_binary() is None, reason="NO TINYPROXY: `apt-get install tinyproxy-bin` to test it")
@pytest.mark.parametrize(("password", "status"), [("s3cret", 200), ("wrong", 503)])
def test_tinyproxy_takes_the_credentials_and_passes_the_name_on(
    envoy_binary: Path, backends: Backends, tmp_path: Path, password: str, status: int
):
    beyond = ForwardProxy(leads=leading_to(backends, "plain.example:80"))
    credentials = tmp_path / "corporate" / "proxy-authorization"
    credentials.parent.mkdir()
    credentials.write_text(basic("meshd", password))
    with forward_proxy(beyond) as last, tinyproxy(tmp_path, last, {"meshd": "s3cret"}) as port:
        said = f"[{{host: 127.0.0.1, port: {port}, credentialName: corporate}}]"
        with running_host(envoy_binary, settings(said, f"secretRoot: {tmp_path}") + PLAIN) as outside:
            answer = outside.get("http://plain.example/")
            if status == 503:
                until(lambda: "tunnel_response:40" in outside.log(), what="the line of the tunnel")

    assert answer.status == status
    assert beyond.authorities == (["plain.example:80"] if status == 200 else [])


@pytest.mark.parametrize(
    "content", [basic("meshd", "s3cret") + "\n", "", "Basic a\0b", "Basic a\r\n\r\nGET / HTTP/1.1\r\n"]
)
def test_credentials_that_are_renewed_by_what_is_no_header_open_no_tunnel_and_nobody_waits_for_one(
    envoy_binary: Path, backends: Backends, tmp_path: Path, content: str
):
    proxy = ForwardProxy(leads=leading_to(backends, "plain.example:80", "other.example:80"))
    credentials = tmp_path / "corporate" / "proxy-authorization"
    credentials.parent.mkdir()
    credentials.write_text(basic("meshd", "s3cret"))
    with forward_proxy(proxy) as port:
        said = f"[{{host: 127.0.0.1, port: {port}, credentialName: corporate}}]"
        mesh = settings(said, f"secretRoot: {tmp_path}") + PLAIN.replace(
            "[plain.example]", "[plain.example, other.example]"
        )
        with running_host(envoy_binary, mesh) as outside:
            assert outside.get("http://plain.example/").status == 200
            credentials.with_name("next").write_text(content, newline="")
            credentials.with_name("next").replace(credentials)

            until(lambda: outside.get("http://other.example/").status == 503, what="the end of the tunnels")
            answer = outside.get("http://other.example/")
            refused = until(
                lambda: [each for each in logged(outside.proxies["sidecar"]) if "NR" in each["response_flags"]]
            )
            asked_before = len(proxy.asked)

            credentials.with_name("next").write_text(basic("meshd", "n3w"))
            credentials.with_name("next").replace(credentials)
            until(
                lambda: outside.get("http://other.example/").status == 200, what="the credentials that are good again"
            )

    assert answer.status == 503
    assert answer.headers["x-meshd-reason"] == f"not reached through the outbound proxy 127.0.0.1:{port}"
    assert refused[0]["downstream_local_address"] == "envoy://outboundProxy/other.example:80"
    assert proxy.asked[asked_before - 1].shown == basic("meshd", "s3cret")


# --- nobody there -----------------------------------------------------------------------------------------------


def test_a_proxy_that_is_down_is_503_with_a_reason(envoy_binary: Path, dead: int):
    mesh = settings(f"[{{host: 127.0.0.1, port: {dead}}}]") + PLAIN
    with running_host(envoy_binary, mesh) as outside:
        answer = outside.get("http://plain.example/")
        until(lambda: "onnection_refused" in outside.log().replace(" ", "_"), what="the line of the tunnel")
        told = until(lambda: [line["reason"] for line in logged(outside.proxies["sidecar"]) if "reason" in line])

    assert answer.status == 503
    assert answer.headers["x-meshd-reason"] == f"not reached through the outbound proxy 127.0.0.1:{dead}"
    assert told == [answer.headers["x-meshd-reason"]]


def test_a_proxy_that_never_answers_is_left_by_the_timeout_of_the_route(envoy_binary: Path):
    timeout = """
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: plain}
spec:
  hosts: [plain.example]
  http: [{timeout: 300ms, route: [{destination: {host: plain.example}}]}]
"""
    proxy = ForwardProxy(mute=True)
    with (
        forward_proxy(proxy) as port,
        running_host(envoy_binary, settings(f"[{{host: 127.0.0.1, port: {port}}}]") + PLAIN + timeout) as outside,
    ):
        answer = outside.get("http://plain.example/")

    assert answer.status == 504
    assert "outbound proxy" in answer.headers["x-meshd-reason"]


def test_a_proxy_that_never_answers_is_left_by_the_connect_timeout_where_tls_is_opened(envoy_binary: Path):
    tls = """
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: plain}
spec:
  host: plain.example
  trafficPolicy: {tls: {mode: SIMPLE}, connectionPool: {tcp: {connectTimeout: 300ms}}}
"""
    with (
        forward_proxy(ForwardProxy(mute=True)) as port,
        running_host(
            envoy_binary, settings(f"[{{host: 127.0.0.1, port: {port}}}]") + PLAIN.replace("80,", "443,") + tls
        ) as outside,
    ):
        answer = outside.get("http://plain.example:443/")

    assert answer.status == 503
    assert "outbound proxy" in answer.headers["x-meshd-reason"]


# --- who is meant -----------------------------------------------------------------------------------------------


def test_unknown_hosts_go_through_as_they_are_called_and_those_of_noproxy_do_not(
    envoy_binary: Path, backends: Backends
):
    proxy = ForwardProxy(leads=leading_to(backends, "unknown.example:80", "unknown.example:8080"))
    with forward_proxy(proxy) as port:
        said = f"[{{host: 127.0.0.1, port: {port}, noProxy: ['*.near.localhost']}}]"
        mesh = settings(said, ALLOW_ANY) + PLAIN
        with running_host(envoy_binary, mesh) as outside:
            through = [outside.get(f"http://unknown.example{each}/") for each in ("", ":8080")]
            v2 = backends.ports["v2"]
            past = [outside.get(f"http://{each}:{v2}/") for each in ("a.near.localhost", "127.0.0.1", "localhost")]

    assert [(each.status, by(each.body)) for each in through] == [(200, "v1"), (200, "v1")]
    assert [(each.status, by(each.body)) for each in past] == [(200, "v2")] * 3
    assert proxy.authorities == ["unknown.example:80", "unknown.example:8080"]


@pytest.mark.parametrize(
    ("proxies", "is_led"),
    [
        ("[{host: 127.0.0.1, port: $port, noProxy: [plain.example]}]", False),
        ("[{host: 127.0.0.1, port: $port, noProxy: [.example]}]", False),
        ("[{host: 127.0.0.1, port: $port, noProxy: ['*.example:80']}]", False),
        ("[{host: 127.0.0.1, port: $port, noProxy: ['*.example:443']}]", True),
        ("[{selector: {app: web}, host: 127.0.0.1, port: $port}]", True),
        ("[{selector: {app: db}, host: 127.0.0.1, port: $port}]", False),
        ("[{selector: {app: web}, direct: true}, {host: 127.0.0.1, port: $port}]", False),
        ("[{selector: {app: db}, direct: true}, {host: 127.0.0.1, port: $port}]", True),
    ],
)
def test_the_proxy_is_for_whom_and_what_it_is_said_to_be(
    envoy_binary: Path, backends: Backends, proxies: str, is_led: bool
):
    """Who goes past it finds nobody: no name has an answer from DNS."""
    proxy = ForwardProxy(leads=leading_to(backends, "plain.example:80"))
    with (
        forward_proxy(proxy) as port,
        running_host(envoy_binary, settings(proxies.replace("$port", str(port))) + PLAIN) as outside,
    ):
        answer = outside.get("http://plain.example/")

    assert answer.status == (200 if is_led else 503)
    assert bool(proxy.asked) == is_led


# --- gateways ---------------------------------------------------------------------------------------------------


def test_an_egress_gateway_goes_through_the_proxy_and_its_clients_do_not(envoy_binary: Path, backends: Backends):
    port_of_gateway = free_port()
    mesh = f"""
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: gateway, annotations: {{meshd.io/host: vm-1}}}}
spec: {{address: 10.255.255.1, labels: {{istio: egressgateway}}}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: out}}
spec:
  hosts: [out.mesh]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{{number: {port_of_gateway}, name: http, protocol: HTTP}}]
  endpoints: [{{address: 127.0.0.1}}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: out}}
spec:
  selector: {{istio: egressgateway}}
  servers:
  - {{port: {{number: {port_of_gateway}, name: http, protocol: HTTP}}, hosts: [plain.example], bind: 127.0.0.1}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: plain}}
spec:
  hosts: [plain.example]
  gateways: [mesh, out]
  http:
  - match: [{{gateways: [mesh]}}]
    route: [{{destination: {{host: out.mesh}}}}]
  - match: [{{gateways: [out]}}]
    route: [{{destination: {{host: plain.example}}}}]
---
"""
    proxy = ForwardProxy(leads=leading_to(backends, "plain.example:80"))
    with (
        forward_proxy(proxy) as port,
        running_host(
            envoy_binary,
            settings(_for_gateways(port)) + mesh + PLAIN,
        ) as outside,
    ):
        answer = outside.get("http://plain.example/")
        by_sidecar = outside.statistic("cluster.outbound_80__plain.example.upstream_rq_total")

    assert (answer.status, by(answer.body)) == (200, "v1")
    assert proxy.authorities == ["plain.example:80"]
    assert by_sidecar == 0


def _for_gateways(port: int) -> str:
    return f"[{{selector: {{istio: egressgateway}}, host: 127.0.0.1, port: {port}}}]"
