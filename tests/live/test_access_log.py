"""What stands in the access log where nothing is said of it: whatever failed or was refused, and why."""

from __future__ import annotations

import http.client
import socket
import ssl
from contextlib import suppress
from typing import Any

import pytest

from meshd.names import ProxyName
from tests.envoy.process import logged
from tests.live.backends import Backends
from tests.live.cases import Case, case, only
from tests.live.certificates import Authority, server_context
from tests.live.gateways import WORKLOAD, ports
from tests.live.requests import get, opened
from tests.live.world import Live
from tests.waiting import until

pytestmark = pytest.mark.envoy

LISTENERS = ("tls", "plain", "raw")
DOCUMENTS = f"""
{WORKLOAD}
{ports(p443="$tls")}
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: edge}}
spec:
  selector: {{istio: ingressgateway}}
  servers:
  - port: {{number: 443, name: https, protocol: HTTPS}}
    hosts: [edge.tls.live]
    tls: {{mode: MUTUAL, serverCertificate: $gateway_chain, privateKey: $gateway_key, caCertificates: $ca}}
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{name: default}}
spec:
  egress:
  - {{port: {{number: $plain, protocol: HTTP, name: http}}, hosts: ["*/*"]}}
  - {{port: {{number: $raw, protocol: TCP, name: tcp}}, hosts: ["*/*"]}}
  - {{hosts: ["*/*"]}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: raw}}
spec:
  hosts: [raw.live]
  resolution: STATIC
  ports: [{{number: $raw, name: tcp, protocol: TCP, targetPort: $dead}}]
  endpoints: [{{address: 127.0.0.1}}]
"""


def to(backend: str, tls: str = "") -> dict[str, str]:
    entry = f"""
    ports: [{{number: 80, name: web, protocol: HTTP}}]
    resolution: STATIC
    endpoints: [{{address: 127.0.0.1, ports: {{web: ${backend}}}}}]
    """
    http = "- route: [{destination: {host: $host}}]\n  retries: {}"
    return {"entry": entry, "policy": f"tls: {tls}" if tls else "", "subsets": "", "http": http}


SECURE = "{{mode: SIMPLE, caCertificates: $ca, sni: {0}, subjectAltNames: [{0}]}}"
WELL = case("well", **to("v1"))
DEAD = case("dead", **to("dead"))
WRONG_NAME = case("wrong-name", **to("secure", SECURE.format("elsewhere.live")))
STRANGER = case("stranger", **to("stranger", SECURE.format("secure.live")))
EXPIRED = case("expired", **to("expired", SECURE.format("secure.live")))
UNKNOWN = only("unknown", mesh="")
CASES = (WELL, DEAD, WRONG_NAME, STRANGER, EXPIRED)


@pytest.fixture(scope="module")
def names(names: dict[str, str], backends: Backends, ca: Authority) -> dict[str, str]:
    backends.serve("expired", server_context(ca.expired("expired", "DNS:secure.live")))
    return {**names, "expired": str(backends.ports["expired"])}


def line(live: Live, proxy: ProxyName = "sidecar", **words: object) -> dict[str, Any]:
    """The first that says all this."""
    of = live.proxies[proxy]
    return until(lambda: next((each for each in logged(of) if words.items() <= each.items()), {}), what=str(words))


def asked(live: Live, case: Case, path: str = "/") -> int:
    return live.send(get(path), case).status


# --- requests -------------------------------------------------------------------------------------------------


def test_what_goes_well_is_not_told_and_what_fails_is(live: Live):
    assert asked(live, WELL) == 200
    assert asked(live, DEAD, "/orders?token=secret") == 503

    failed = line(live, authority="dead.live")
    assert (failed["method"], failed["path"], failed["response_flags"]) == ("GET", "/orders", "UF")
    assert failed["upstream_cluster"] == "outbound|80||dead.live"
    assert "Connection_refused" in failed["upstream_transport_failure_reason"]
    assert failed["request_id"]
    assert "well.live" not in str(logged(live.proxies["sidecar"]))


@pytest.mark.parametrize("status", [500, 503])
def test_what_the_application_itself_answers_with_500_and_above_is_told(live: Live, status: int):
    assert live.send(get(f"/does-{status}", x_do=str(status)), WELL).status == status

    assert line(live, path=f"/does-{status}")["response_code_details"] == "via_upstream"


def test_a_host_that_is_not_in_the_registry_is_told_to_who_asks_and_to_the_log(live: Live):
    answer = live.send(get(), UNKNOWN)

    told = "host unknown.live is not in the registry"
    assert (answer.status, answer.body.decode(), answer.all("x-meshd-reason")) == (502, told, [told])
    refused = line(live, authority="unknown.live")
    assert (refused["reason"], refused["route_name"], refused["response_code"]) == (told, "block_all", 502)


@pytest.mark.parametrize("host", ["<b>bold</b>", 'a"b', "a b", "a\\b", "x\u00e9y"])
def test_what_cannot_be_a_host_is_refused_before_anybody_repeats_it(live: Live, host: str):
    answer = raw(live, f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode("latin-1"))

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert host.encode("latin-1") not in answer


def test_of_a_host_that_is_too_long_only_the_beginning_is_repeated(live: Live):
    answer = raw(live, f"GET / HTTP/1.1\r\nHost: {'a' * 9000}\r\nConnection: close\r\n\r\n".encode())

    assert answer.startswith(b"HTTP/1.1 502 ")
    assert b"a" * 253 in answer
    assert b"a" * 254 not in answer


def test_connect_is_refused_with_a_reason(live: Live):
    answer = raw(live, b"CONNECT well.live:443 HTTP/1.1\r\nHost: well.live:443\r\nConnection: close\r\n\r\n", "proxy")

    assert answer.startswith(b"HTTP/1.1 405 ")
    assert b"x-meshd-reason: CONNECT is not taken here: ask for http://" in answer
    assert line(live, method="CONNECT")["authority"] == "well.live:443"


def test_tls_to_a_port_that_speaks_plain_http_is_told_with_its_name(live: Live):
    """The application opens TLS where it is opened for it, or where there is none."""
    context = ssl.create_default_context()
    with pytest.raises(ssl.SSLError), opened(int(live.listeners["plain"])) as connection:
        context.wrap_socket(connection, server_hostname="well.live")

    told = line(live, response_code_details="http1.codec_error")
    assert (told["requested_server_name"], told["response_flags"]) == ("well.live", "DPE")


def raw(live: Live, request: bytes, listener: str = "plain") -> bytes:
    answer = b""
    with socket.create_connection(("127.0.0.1", int(live.listeners[listener])), 10) as connection:
        connection.sendall(request)
        with suppress(ConnectionResetError):
            while received := connection.recv(10_000):
                answer += received
    return answer


# --- TLS to the other side ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("server", "why"),
    [
        pytest.param(WRONG_NAME, "certificate_SANs_are_[secure.live", marks=pytest.mark.spec("D-80")),
        pytest.param(STRANGER, "unable_to_get_local_issuer_certificate", marks=pytest.mark.spec("D-76")),
        pytest.param(EXPIRED, "certificate_has_expired", marks=pytest.mark.spec("D-76")),
    ],
    ids=["wrong-name", "untrusted", "expired"],
)
def test_each_reason_for_which_the_other_side_is_not_believed_is_told(live: Live, server: Case, why: str):
    assert asked(live, server) == 503

    failed = line(live, authority=server.host)
    assert failed["response_flags"] == "UF"
    assert why in failed["upstream_transport_failure_reason"]
    assert failed["upstream_host"].startswith("127.0.0.1:")


# --- connections ----------------------------------------------------------------------------------------------


def test_bytes_for_which_nobody_is_there_are_told_with_where_they_were_to_go(live: Live):
    with suppress(ConnectionResetError), opened(int(live.listeners["raw"])) as connection:
        assert connection.recv(100) == b""

    failed = line(live, upstream_cluster=f"outbound|{live.listeners['raw']}||raw.live")
    assert "UF" in failed["response_flags"]
    assert "Connection_refused" in failed["upstream_transport_failure_reason"]


def test_a_server_name_that_a_gateway_does_not_serve_is_told(live: Live):
    with pytest.raises((OSError, http.client.HTTPException)):
        live.send(get().through("tls").over_tls("nobody.tls.live"), WELL)

    refused = line(live, "gateway", requested_server_name="nobody.tls.live")
    assert (refused["response_flags"], refused["response_code_details"]) == ("NR", "filter_chain_not_found")


@pytest.mark.parametrize(
    ("pair", "why"), [("", "peer_did_not_provide_required_client_certificate"), ("stranger", "CERTIFICATE_VERIFY")]
)
def test_a_client_that_a_gateway_does_not_let_in_is_told(live: Live, pair: str, why: str):
    with pytest.raises((OSError, http.client.HTTPException)):
        live.send(get().through("tls").over_tls("edge.tls.live", pair), WELL)

    def refused() -> list[dict[str, Any]]:
        told = [each.get("downstream_transport_failure_reason", "") for each in logged(live.proxies["gateway"])]
        return [each for each in told if why in each]

    assert until(refused)


def test_whom_a_gateway_lets_in_to_find_nothing_is_told_as_no_route(live: Live):
    assert live.send(get("/lost").through("tls").over_tls("edge.tls.live", "client"), WELL).status == 404

    assert line(live, "gateway", path="/lost")["response_code_details"] == "route_not_found"
