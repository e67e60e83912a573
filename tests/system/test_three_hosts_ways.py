"""Further ways out by the gateway, as docs/egress.md has them: below wildcards, by address, in IPv6, in mutual TLS."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.certificates import Authority, Pair, authority
from tests.system.network import CLIENT_SIX, GATEWAY, GATEWAY_SIX, add_address, needs_root, own_tls
from tests.system.three_hosts import AGENT, MESH, ThreeHosts, changed, recipe, three_hosts
from tests.waiting import until

pytestmark = [pytest.mark.envoy, needs_root]

WILD, BANK, SIX = "203.0.113.10", "203.0.113.11", "2001:db8::10"
BLOCK, NEXT_BLOCK = "198.51.100.7", "198.51.101.7"
IN_TLS = """\
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: wild, namespace: istio-system}
spec:
  host: "*.wild.example"
  trafficPolicy: {tls: {mode: SIMPLE}}
"""
IDENTITY = """\
apiVersion: meshd.io/v1
kind: MeshConfig
metadata: {name: mesh}
spec:
  secretRoot: /etc/ssl/secrets
  identity:
    certChain: /etc/ssl/identity/cert-chain.pem
    key: /etc/ssl/identity/key.pem
    rootCert: /etc/ssl/identity/root-cert.pem
"""
TWO_FAMILIES = f"""\
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: web-1-six, namespace: shop, annotations: {{meshd.io/host: web-1}}}}
spec: {{address: "{CLIENT_SIX}", labels: {{app: web}}}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: egress-1-six, namespace: istio-system, annotations: {{meshd.io/host: egress-1}}}}
spec: {{address: "{GATEWAY_SIX}", labels: {{istio: egressgateway}}}}
"""


def mesh(title: str) -> tuple[str, ...]:
    section = recipe(title)
    return (*section.shared, *section.resources)


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def hosts(ca: Authority, short: Path, envoy_binary: Path) -> Iterator[ThreeHosts]:
    with three_hosts(ca, short, envoy_binary) as hosts:
        hosts.network.site("any.wild.example", WILD)
        hosts.network.site("bank.example", BANK, clients=ca)
        hosts.network.site("shop.example", SIX)
        for address in (BLOCK, NEXT_BLOCK):
            add_address(hosts.network.internet, address, "lo")
            listening = hosts.network.internet.within(socket.create_server, (address, 5432))
            hosts.network.world.serve_on(address, listening)
        for machine, name in ((hosts.application, "web-1"), (hosts.edge, "egress-1")):
            _identify(machine, ca, name)
        put(hosts, ca.signed("one", "DNS:one"))
        hosts.start(*MESH)
        yield hosts


def _identify(machine, ca: Authority, name: str) -> None:
    pair = ca.signed(name, f"URI:spiffe://cluster.local/ns/hosts/sa/{name}")
    own = own_tls(machine) / "identity"
    own.mkdir()
    for source, target in ((pair.chain, "cert-chain.pem"), (pair.key, "key.pem"), (ca.file, "root-cert.pem")):
        shutil.copyfile(source, own / target)


def put(hosts: ThreeHosts, pair: Pair) -> None:
    """What the gateway shows to the bank, and whom it believes: renamed over what was there."""
    own = own_tls(hosts.edge) / "secrets/bank-client"
    own.mkdir(parents=True, exist_ok=True)
    for source, target in ((pair.key, "tls.key"), (pair.chain, "tls.crt"), (hosts.network.ca.file, "ca.crt")):
        shutil.copyfile(source, own / "next")
        (own / "next").rename(own / target)


@pytest.mark.spec("X-9", "S-11")
def test_a_name_below_a_wildcard_is_found_by_the_gateway(hosts: ThreeHosts):
    hosts.push(*mesh("9."))

    told = hosts.until_answered("any.wild.example")

    assert (told["peer"], told["tls"]) == (GATEWAY, None)
    assert hosts.curl("http://bank.example/").status == 502


@pytest.mark.spec("X-9")
def test_its_tls_is_opened_there_for_that_name(hosts: ThreeHosts):
    with_port = changed(
        "  resolution: DYNAMIC_DNS\n  ports:\n  - {number: 80, name: http, protocol: HTTP}\n",
        "  resolution: DYNAMIC_DNS\n  ports:\n  - {number: 80, name: http, protocol: HTTP, targetPort: 443}\n",
        *mesh("9."),
    )
    hosts.push(*with_port, IN_TLS)

    told = until(lambda: _in_tls(hosts), what="TLS")

    assert (told["peer"], told["tls"]["sni"]) == (GATEWAY, "any.wild.example")


def _in_tls(hosts: ThreeHosts):
    told = hosts.until_answered("any.wild.example")
    return told if told["tls"] else None


@pytest.mark.spec("X-10")
def test_bytes_go_by_their_address_where_that_is_in_the_block(hosts: ThreeHosts):
    hosts.push(*mesh("10."))

    told = hosts.curl(f"http://{BLOCK}:5432/").told

    assert (told["by"], told["peer"]) == (BLOCK, GATEWAY)
    assert hosts.curl(f"http://{NEXT_BLOCK}:5432/").ended in {52, 56}, "closed"


@pytest.mark.spec("X-7", "D-73", "D-75")
def test_an_external_service_is_shown_a_certificate_which_is_rotated_under_load(hosts: ThreeHosts, ca: Authority):
    """And between the hosts there is TLS of the mesh. Of a connection twenty requests, so that there are new ones."""
    pooled = changed(
        "    tls: {mode: MUTUAL, credentialName: bank-client}",
        "    connectionPool: {http: {maxRequestsPerConnection: 20}}\n"
        "    tls: {mode: MUTUAL, credentialName: bank-client}",
        *mesh("7."),
    )
    hosts.push(*pooled, IDENTITY)
    told = hosts.until_answered("bank.example")
    assert (told["peer"], told["tls"]) == (GATEWAY, {"sni": "bank.example", "alpn": None, "client": "one"})
    assert "spiffe://" not in str(told["headers"])

    with hosts.load("bank.example") as wrk:
        put(hosts, ca.signed("two", "DNS:two"))
        until(lambda: hosts.curl("http://bank.example/").told["tls"]["client"] == "two", what="the new certificate")
        hosts.until_more(100)
        count = wrk.stop()

    assert count.requests > 100
    assert count.failed == 0, count.text


def test_a_site_of_ipv6_is_reached_by_the_gateway_alone(hosts: ThreeHosts):
    hosts.network.router.run("nft", f"insert rule inet egress out ip6 saddr {GATEWAY_SIX} accept")
    hosts.push(*MESH, TWO_FAMILIES)
    before = hosts.network.strays()

    told = hosts.until_answered("shop.example")
    direct = hosts.curl("https://shop.example/", user=AGENT)

    assert (told["peer"], told["tls"]["sni"]) == (GATEWAY_SIX, "shop.example")
    assert direct.ended == 7, direct
    assert hosts.network.strays() > before
