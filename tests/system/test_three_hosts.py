"""All traffic out through one gateway: the recipe of docs/egress.md, and whoever tries to get past it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.certificates import authority
from tests.system.network import CLIENT, GATEWAY, needs_root
from tests.system.three_hosts import AGENT, MESH, ThreeHosts, access_log, changed, three_hosts
from tests.waiting import until

pytestmark = [pytest.mark.envoy, needs_root]

SITES = {"shop.example": "203.0.113.10", "files.example": "203.0.113.11", "elsewhere.example": "203.0.113.12"}
SECOND, IMPOSTOR = "203.0.113.20", "203.0.113.21"
ELSEWHERE = """\
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: elsewhere, namespace: istio-system}
spec:
  hosts: [elsewhere.example]
  location: MESH_EXTERNAL
  resolution: DNS
  ports: [{number: 80, name: http, protocol: HTTP}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: elsewhere, namespace: istio-system}
spec:
  selector: {istio: egressgateway}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [elsewhere.example]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: elsewhere, namespace: istio-system}
spec:
  hosts: [elsewhere.example]
  gateways: [mesh, elsewhere]
  http:
  - match: [{gateways: [mesh], port: 80}]
    route: [{destination: {host: istio-egressgateway, port: {number: 80}}}]
  - match: [{gateways: [elsewhere], port: 80}]
    route: [{destination: {host: elsewhere.example, port: {number: 80}}}]
"""


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory, short: Path, envoy_binary: Path) -> Iterator[ThreeHosts]:
    ca = authority(tmp_path_factory.mktemp("ca"))
    with three_hosts(ca, short, envoy_binary) as hosts:
        for name, address in SITES.items():
            hosts.network.site(name, address)
        hosts.network.site("second.example", SECOND, pair=ca.signed("second", "DNS:shop.example"))
        hosts.network.site("impostor.example", IMPOSTOR)
        hosts.start(*MESH)
        yield hosts


@pytest.mark.spec("X-6")
def test_plain_http_leaves_as_verified_tls_from_the_gateway(hosts: ThreeHosts):
    told = hosts.curl("http://shop.example/cart").told

    assert (told["by"], told["path"], told["peer"]) == ("shop.example", "/cart", GATEWAY)
    assert told["tls"] == {"sni": "shop.example", "alpn": None, "client": None}
    assert {name for name, _ in told["headers"]} == {"host", "user-agent", "accept", "x-request-id"}


@pytest.mark.spec("X-8")
def test_tls_of_an_application_is_passed_on_as_it_is(hosts: ThreeHosts):
    """curl itself verifies the certificate."""
    told = hosts.curl("https://files.example/").told

    assert (told["by"], told["peer"], told["tls"]["sni"]) == ("files.example", GATEWAY, "files.example")
    assert "x-forwarded-for" not in dict(told["headers"])


@pytest.mark.spec("SC-14")
def test_a_host_that_is_not_listed_is_refused_and_told_why(hosts: ThreeHosts):
    reason = "host elsewhere.example is not in the registry"

    heard = hosts.curl("http://elsewhere.example/")

    assert (heard.reason, heard.body) == ((502, reason), reason)
    assert access_log(hosts.client, authority="elsewhere.example")["reason"] == reason


@pytest.mark.spec("SC-14")
def test_so_is_its_tls_whose_name_the_log_has(hosts: ThreeHosts):
    heard = hosts.curl("https://elsewhere.example/")

    assert heard.ended == 35, heard
    line = access_log(hosts.client, requested_server_name="elsewhere.example")
    assert (line["upstream_cluster"], line["downstream_local_address"]) == (
        "BlackHoleCluster",
        f"{SITES['elsewhere.example']}:443",
    )


def test_nobody_gets_past_the_sidecar_and_the_gateway(hosts: ThreeHosts):
    """Not even who is not captured. That there is somebody to reach, the gateway's machine can tell."""
    before = hosts.network.strays()

    for url in ("http://elsewhere.example/", "https://shop.example/", f"http://{SITES['shop.example']}/"):
        heard = hosts.curl(url, user=AGENT)
        assert (heard.ended, heard.status) == (7, 0), heard

    assert hosts.network.strays() >= before + 3
    assert "elsewhere.example" in hosts.edge.run("curl", "-sS", "http://elsewhere.example/")


def test_what_goes_by_the_sidecar_never_tries(hosts: ThreeHosts):
    before = hosts.network.strays()

    for url in ("http://shop.example/", "https://files.example/", "http://elsewhere.example/"):
        hosts.curl(url)

    assert hosts.network.strays() == before
    assert CLIENT not in {request.peer for request in hosts.network.world.received}


def test_the_gateway_serves_what_is_listed_and_nothing_else(hosts: ThreeHosts):
    """Asked by somebody who goes past his sidecar."""
    refused = hosts.curl("--resolve", f"elsewhere.example:80:{GATEWAY}", "http://elsewhere.example/", user=AGENT)
    served = hosts.curl("--resolve", f"shop.example:80:{GATEWAY}", "http://shop.example/", user=AGENT)

    assert refused.status == 404
    assert served.told["by"] == "shop.example"


def test_a_certificate_of_another_name_is_refused_and_the_log_says_so(hosts: ThreeHosts):
    """Somebody who has the answers of DNS, but no certificate for the name."""
    hosts.network.names.set("shop.example", IMPOSTOR, ttl=1)

    heard = until(lambda: _refused(hosts), what="the impostor to be refused")

    assert heard.status == 503
    line = access_log(hosts.gateway, response_code=503, authority="shop.example")
    assert line["upstream_host"] == f"{IMPOSTOR}:443"
    assert "CERTIFICATE_VERIFY_FAILED" in line["upstream_transport_failure_reason"]
    assert "[impostor.example]" in line["upstream_transport_failure_reason"]
    assert not [each for each in hosts.network.world.received if each.by == "impostor.example"]
    hosts.network.names.set("shop.example", SITES["shop.example"], ttl=1)
    hosts.until_answered("shop.example")


def _refused(hosts: ThreeHosts):
    heard = hosts.curl("http://shop.example/")
    return heard if heard.status != 200 else None


def test_a_push_moves_the_traffic_and_no_request_fails(hosts: ThreeHosts):
    elsewhere = changed(
        "  - {number: 80, name: http, protocol: HTTP, targetPort: 443}\n",
        "  - {number: 80, name: http, protocol: HTTP, targetPort: 443}\n  endpoints: [{address: second.example}]\n",
        *MESH,
    )
    with hosts.load("shop.example") as wrk:
        hosts.push(*elsewhere)
        told = hosts.until_answered("shop.example", by="second.example")
        hosts.push(*MESH)
        hosts.until_answered("shop.example")
        count = wrk.stop()

    assert (told["peer"], told["tls"]["sni"]) == (GATEWAY, "shop.example")
    assert count.requests > 100
    assert count.failed == 0, count.text


def test_a_push_lists_a_host_and_another_one_takes_it_out_again(hosts: ThreeHosts):
    hosts.push(*MESH, ELSEWHERE)
    told = hosts.curl("http://elsewhere.example/").told
    hosts.push(*MESH)

    assert (told["peer"], told["tls"]) == (GATEWAY, None)
    assert hosts.curl("http://elsewhere.example/").status == 502
