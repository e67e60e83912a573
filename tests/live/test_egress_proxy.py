"""`useEgressProxy`: whatever leaves the host leaves by the gateway, in plain text or in TLS of the mesh (spec 7.1)."""

from __future__ import annotations

import http.client
import ipaddress
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from meshd.compiler import Reach
from tests.live.backends import Backends, running_backends
from tests.live.certificates import Authority, server_context
from tests.live.hosts import Hosts, running_hosts
from tests.live.namespace import Namespace, namespace
from tests.live.raw import Talk, accepting, answering, greeting
from tests.live.requests import Answer, Ask, Keys, get

pytestmark = pytest.mark.envoy

APP, APP_SIX, GATEWAY = "10.9.0.2", "fd09::2", "10.9.0.9"
WEB, WEB_SIX, BYTES, BLOCK, BLOCK_SIX = "10.9.1.5", "fd09:1::5", "10.9.1.6", "10.9.2.77", "fd09:2::77"
MONGO, SHARED = "10.9.1.7", "10.9.1.8"
OUTSIDE_PLAIN, OUTSIDE_TLS, ANYBODY = "10.9.1.1", "10.9.1.2", "10.9.1.99"
GATEWAY_HOST = "istio-egressgateway.istio-system.svc.cluster.local"
CAPTURE = f"""
table inet meshd {{
  chain outbound {{
    type nat hook output priority -100;
    ip saddr {APP} tcp dport != {{ 15001, 15080 }} redirect to :15001
    ip6 saddr {APP_SIX} tcp dport != 15001 redirect to :15001
  }}
}}
"""


def rule(name: str, service: str, *ports: tuple[int, str]) -> str:
    listed = ", ".join(f"{{port: {number}, protocol: {protocol}}}" for number, protocol in ports)
    return f"""
apiVersion: config.istio.io/v1alpha2
kind: EgressRule
metadata: {{name: {name}}}
spec: {{destination: {{service: "{service}"}}, ports: [{listed}], useEgressProxy: true}}
---"""


def route(name: str, service: str, spec: str) -> str:
    return f"""
apiVersion: config.istio.io/v1alpha2
kind: RouteRule
metadata: {{name: {name}}}
spec: {{destination: {{service: {service}}}, {spec}}}
---"""


def uri(prefix: str) -> str:
    return f"match: {{request: {{headers: {{uri: {{prefix: {prefix}}}}}}}}}"


PORTS = {
    80: "HTTP",
    81: "HTTP",
    443: "HTTP",
    444: "HTTP",
    9000: "TCP",
    27017: "MONGO",
}
MESH = f"""
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: web-1}}
spec: {{address: {APP}, labels: {{app: web}}, serviceAccount: web}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: six, annotations: {{meshd.io/host: web-1}}}}
spec: {{address: "{APP_SIX}"}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: egress-1, namespace: istio-system}}
spec: {{address: {GATEWAY}, labels: {{istio: egressgateway}}, serviceAccount: $account}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: egress, namespace: istio-system}}
spec:
  hosts: [{GATEWAY_HOST}]
  location: MESH_INTERNAL
  resolution: STATIC
  addresses: [{GATEWAY}]
  ports:
{"".join(f"  - {{number: {n}, name: p{n}, protocol: {p}, targetPort: {n + 20000}}}{chr(10)}" for n, p in PORTS.items())}
  workloadSelector: {{labels: {{istio: egressgateway}}}}
---
apiVersion: meshd.io/v1
kind: MeshConfig
metadata: {{name: mesh}}
spec:
  systemCaFile: $ca
  identity: {{certChain: $chain, key: $key, rootCert: $ca}}
---
{rule("plain", "plain.example", (80, "http"), (81, "http2"))}
{rule("grpc", "grpc.example", (81, "grpc"))}
{rule("secure", "secure.example", (443, "https"))}
{rule("other", "other.example", (443, "https"))}
{rule("wild", "*.wild.localhost", (80, "http"), (443, "https"))}
{rule("part", "*-bar.part.localhost", (80, "http"))}
{rule("by-address", WEB, (80, "http"), (444, "https"))}
{rule("by-six", WEB_SIX, (80, "http"))}
{rule("bytes", BYTES, (9000, "tcp"))}
{rule("block", "10.9.2.0/24", (9000, "tcp"))}
{rule("block-six", "fd09:2::/32", (9000, "tcp"))}
{rule("mongo", MONGO, (27017, "mongo"))}
{rule("shared", SHARED, (80, "tcp"))}
{route("aborted", "plain.example", f"{uri('/abort')}, httpFault: {{abort: {{httpStatus: 418}}}}")}
{route("moved", "plain.example", f"{uri('/moved')}, redirect: {{uri: /here}}")}
{route("renamed", "plain.example", f"{uri('/old')}, rewrite: {{uri: /new, authority: renamed.example}}")}
{route("addressed", WEB, f"{uri('/old')}, rewrite: {{authority: renamed.example}}")}
{route("headed", "secure.example", f"{uri('/headed')}, appendHeaders: {{x-once: 'yes'}}")}
"""


@pytest.fixture(scope="module")
def room() -> Iterator[Namespace]:
    addresses = (APP, GATEWAY, WEB, BYTES, MONGO, SHARED, OUTSIDE_PLAIN, OUTSIDE_TLS, ANYBODY, BLOCK)
    with namespace(
        *(f"{each}/32" for each in addresses), *(f"{each}/128" for each in (APP_SIX, WEB_SIX, BLOCK_SIX))
    ) as made:
        made.run("nft", "-f", "-", given=CAPTURE)
        yield made


@pytest.fixture(scope="module")
def outside(room: Namespace, ca: Authority) -> Iterator[Backends]:
    pair = ca.signed("outside", "DNS:secure.example", "DNS:*.wild.localhost", f"IP:{WEB}")
    tls = server_context(pair)
    with running_backends() as backends, ExitStack() as stack:
        for version, address, port, secure in (
            ("plain", OUTSIDE_PLAIN, 80, None),
            ("plain", OUTSIDE_PLAIN, 81, None),
            ("secure", OUTSIDE_TLS, 443, tls),
            ("wild", "127.0.0.1", 80, None),
            ("wild", "127.0.0.1", 443, tls),
            ("by-address", WEB, 80, None),
            ("by-address", WEB, 444, tls),
            ("by-six", WEB_SIX, 80, None),
        ):
            backends.serve_on(version, listening(room, address, port), secure)
        raw: tuple[tuple[str, int, Talk], ...] = (
            (BYTES, 9000, answering("bytes")),
            (BLOCK, 9000, answering("block")),
            (BLOCK_SIX, 9000, answering("block-six")),
            (MONGO, 27017, greeting(b"mongo speaks first")),
            (SHARED, 80, answering("shared")),
        )
        for address, port, talk in raw:
            stack.enter_context(accepting(listening(room, address, port), talk))
        yield backends


def listening(room: Namespace, address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return room.within(socket.create_server, (address, port), family=family)


@pytest.fixture(scope="module", params=["plain-text", "mesh-tls"])
def is_mutual(request: pytest.FixtureRequest) -> bool:
    """Whether the gateways have an identity."""
    return bool(request.param == "mesh-tls")


@pytest.fixture(scope="module")
def hosts(
    is_mutual: bool, envoy_binary: Path, room: Namespace, outside: Backends, ca: Authority, keys: Keys
) -> Iterator[Hosts]:
    pair = ca.signed(
        f"members {is_mutual}",
        "URI:spiffe://cluster.local/ns/default/sa/web",
        "URI:spiffe://cluster.local/ns/istio-system/sa/egress",
        "DNS:plain.example",  # for a client of the test, which verifies names as the world does
    )
    text = MESH.replace("$account", "egress" if is_mutual else "''")
    for name, value in {"$ca": ca.file, "$chain": pair.chain, "$key": pair.key}.items():
        text = text.replace(name, str(value))
    reach = {"web-1": Reach(capture="nftables", http_proxy_port=15080), "egress-1": Reach(http_proxy_port=0)}
    found = {"plain": OUTSIDE_PLAIN, "grpc": OUTSIDE_PLAIN, "secure": OUTSIDE_TLS, "other": OUTSIDE_TLS}
    answers = {f"{name}.example": (address,) for name, address in found.items()}
    with running_hosts(envoy_binary, room, outside, keys, text, reach, answers) as running:
        yield running


def call(host: str, path: str = "/", **headers: str) -> Ask:
    """Wherever the application dials, its Host says what it means."""
    return get(path, **headers).to(host, "captured").through("captured", ANYBODY).out_of(APP)


def dialled(target: str, path: str = "/", source: str = APP) -> Ask:
    """An address, which is the Host, too."""
    return (
        get(path).to(f"[{target}]" if ":" in target else target, "captured").through("captured", target).out_of(source)
    )


def sent(answer: Answer, name: str) -> list[str]:
    return [value for key, value in answer.told["headers"] if key == name]


def led_out(hosts: Hosts, cluster: str) -> bool:
    """By the gateway, and by it alone."""
    return hosts.connections("egress-1", cluster) > 0 and hosts.connections("web-1", cluster) == 0


# --- requests ---------------------------------------------------------------------------------------------------


@pytest.mark.spec("ER-17", "C-EG-10", "X-5")
def test_an_exact_name_in_http(hosts: Hosts):
    answer = hosts.asked(call("plain.example", "/a"), 80)

    assert (answer.by, answer.told["path"], sent(answer, "host")) == ("plain", "/a", ["plain.example"])
    assert led_out(hosts, r"outbound\|80\|\|plain\.example")


@pytest.mark.spec("ER-17", "ERP-06", "ERP-07", "C-EG-10")
@pytest.mark.parametrize("host", ["plain.example", "grpc.example"])
def test_http2_and_grpc_stay_http2_though_the_port_of_the_gateway_is_http(hosts: Hosts, host: str):
    answer = hosts.asked(call(host, "/a").in_http2(), 81)

    assert (answer.by, answer.told["tls"]) == ("plain", None)
    assert hosts.backends.prefaces[-1] == ("plain", None)
    assert hosts.count("web-1", r"^cluster\.outbound\|81\|[^|]*(H2|h2)\|istio.*\.upstream_rq_2xx$") > 0
    assert led_out(hosts, rf"outbound\|81\|\|{host}")


@pytest.mark.spec("ER-17", "ERP-05", "C-EG-03", "X-6")
def test_https_is_opened_by_the_gateway_alone(hosts: Hosts):
    answer = hosts.asked(call("secure.example", "/a"), 443)

    assert (answer.by, answer.told["tls"]["sni"]) == ("secure", "secure.example")
    handshakes = r"^cluster\.outbound\|443\|\|secure\.example\.ssl\.handshake$"
    assert (hosts.count("egress-1", handshakes) > 0, hosts.count("web-1", handshakes)) == (True, False)
    assert led_out(hosts, r"outbound\|443\|\|secure\.example")


@pytest.mark.spec("C-EG-03")
def test_the_gateway_takes_no_server_of_another_name(hosts: Hosts):
    answer = hosts.asked(call("other.example"), 443)

    assert answer.status == 503
    assert hosts.count("egress-1", r"^cluster\.outbound\|443\|\|other\.example\.ssl\.fail_verify_san$") > 0


@pytest.mark.spec("ER-17", "C-EG-10", "C-EG-11", "X-9")
@pytest.mark.parametrize(("port", "sni"), [(80, None), (443, "x.wild.localhost")])
def test_names_below_a_wildcard(hosts: Hosts, port: int, sni: str | None):
    answer = hosts.asked(call("x.wild.localhost", "/a"), port)

    assert (answer.by, sent(answer, "host")) == ("wild", ["x.wild.localhost"])
    assert (answer.told["tls"] or {}).get("sni") == sni
    assert led_out(hosts, rf"outbound\|{port}\|\|\*\.wild\.localhost")


@pytest.mark.spec("ER-13", "ER-14", "C-EG-11")
def test_a_wildcard_may_begin_within_a_label_and_stands_for_something(hosts: Hosts):
    answer = hosts.asked(call("x-bar.part.localhost"), 80)
    empty = hosts.asked(call("-bar.part.localhost"), 80)

    assert (answer.by, empty.status) == ("wild", 502)
    assert led_out(hosts, r"outbound\|80\|\|\*-bar\.part\.localhost")


@pytest.mark.spec("ER-05", "ER-17", "C-EG-02")
@pytest.mark.parametrize(
    ("target", "source", "port", "by"),
    [(WEB, APP, 80, "by-address"), (WEB, APP, 444, "by-address"), (WEB_SIX, APP_SIX, 80, "by-six")],
)
def test_http_to_an_address(hosts: Hosts, target: str, source: str, port: int, by: str):
    asked = dialled(target, "/a", source)
    if port != 80:
        asked = replace(asked, host=f"{asked.host}:{port}")

    answer = hosts.asked(asked, port)

    assert (answer.by, sent(answer, "host"), bool(answer.told["tls"])) == (by, [asked.host], port == 444)
    assert led_out(hosts, rf"outbound\|{port}\|\|{by}\.default\.egress\.invalid")


@pytest.mark.spec("ER-02")
def test_what_no_rule_names_goes_nowhere(hosts: Hosts):
    requests = r"^http\.outbound.*\.downstream_rq_total$"
    before = hosts.count("egress-1", requests)

    assert hosts.asked(call("nobody.example"), 80).status == 502
    assert hosts.count("egress-1", requests) == before


def test_by_the_http_proxy_of_the_sidecar_all_of_it_goes_the_same_way(hosts: Hosts):
    proxy = get("/a").out_of("127.0.0.1").through("proxy", "127.0.0.1")

    answers = [hosts.asked(proxy.to(host), 15080) for host in ("plain.example", "secure.example:443", WEB)]

    assert [answer.by for answer in answers] == ["plain", "secure", "by-address"]
    assert [bool(answer.told["tls"]) for answer in answers] == [False, True, False]


# --- rules of users ---------------------------------------------------------------------------------------------


@pytest.mark.spec("ER-03", "C-EG-07")
def test_rules_count_once_and_not_at_the_gateway(hosts: Hosts):
    requests = r"^http\..*20080.*\.downstream_rq_total$"
    before = hosts.count("egress-1", requests)

    assert hosts.asked(call("plain.example", "/abort"), 80).status == 418
    assert hosts.asked(call("plain.example", "/moved"), 80).all("location") == ["http://plain.example/here"]
    assert hosts.count("egress-1", requests) == before
    assert sent(hosts.asked(call("secure.example", "/headed"), 443), "x-once") == ["yes"]


@pytest.mark.spec("ER-12", "C-EG-07")
@pytest.mark.parametrize(("host", "by", "path"), [("plain.example", "plain", "/new/1"), (WEB, "by-address", "/old/1")])
def test_a_rewritten_authority_is_for_the_outside_and_does_not_lead_astray(hosts: Hosts, host: str, by: str, path: str):
    answer = hosts.asked(call(host, "/old/1"), 80)

    assert (answer.by, answer.told["path"], sent(answer, "host")) == (by, path, ["renamed.example"])
    assert sent(answer, "x-meshd-egress-authority") == []


@pytest.mark.spec("Q-06")
def test_the_outside_does_not_learn_who_called(hosts: Hosts):
    answer = hosts.asked(call("plain.example"), 80)

    assert sent(answer, "x-forwarded-client-cert") == []


# --- connections ------------------------------------------------------------------------------------------------


@pytest.mark.spec("ER-06", "ER-15", "ER-17", "C-EG-10", "X-10")
@pytest.mark.parametrize(
    ("source", "target", "says", "rule"),
    [(APP, BYTES, b"bytes", "bytes"), (APP, BLOCK, b"block", "block"), (APP_SIX, BLOCK_SIX, b"block-six", "block-six")],
)
def test_bytes_to_an_address_and_to_blocks_share_a_port(hosts: Hosts, source: str, target: str, says: bytes, rule: str):
    assert hosts.said(source, target, 9000) == says
    assert led_out(hosts, rf"outbound\|9000\|\|{rule}\.default\.egress\.invalid")


@pytest.mark.spec("ER-15", "ER-02")
def test_bytes_to_any_other_address_are_not_passed_on(hosts: Hosts):
    assert hosts.said(APP, ANYBODY, 9000) == b""


@pytest.mark.spec("ERP-09", "X-10")
def test_a_server_that_speaks_first_is_heard(hosts: Hosts):
    assert hosts.said(APP, MONGO, 27017, b"") == b"mongo speaks first"
    assert led_out(hosts, r"outbound\|27017\|\|mongo\.default\.egress\.invalid")


@pytest.mark.spec("C-EG-08", "X-10")
@pytest.mark.parametrize("first", [b"hello\n", b"GET / HTTP/1.1\r\nhost: plain.example\r\n\r\n"])
def test_a_port_of_the_gateway_takes_requests_and_connections(hosts: Hosts, first: bytes):
    """TCP to an address stays TCP, even if a request for another service is in it."""
    requests = hosts.count("egress-1", r"^http\..*20080.*\.downstream_rq_total$")

    assert hosts.said(APP, SHARED, 80, first) == b"shared"
    assert hosts.count("egress-1", r"^http\..*20080.*\.downstream_rq_total$") == requests
    assert led_out(hosts, r"outbound\|80\|\|shared\.default\.egress\.invalid")


# --- who comes to the gateway himself ---------------------------------------------------------------------------


@pytest.mark.spec("X-10")
@pytest.mark.parametrize("port", [20080, 29000])
@pytest.mark.parametrize("target", [GATEWAY, BYTES, ANYBODY])
def test_without_a_header_or_to_another_address_nobody_gets_out(hosts: Hosts, port: int, target: str):
    words = b"these are no header, and more of them than one would have\r\n"

    assert hosts.said(ANYBODY, GATEWAY, port, words) == b""
    if (target, port) != (BYTES, 29000):
        assert hosts.said(ANYBODY, GATEWAY, port, header(target, 9000) + words) == b""


@pytest.mark.spec("Q-06", "X-7")
def test_where_the_hop_is_tls_only_members_of_the_mesh_get_out(hosts: Hosts, is_mutual: bool):
    asked = get().to("plain.example", "gateway").through("gateway", GATEWAY).out_of(ANYBODY)
    of_the_mesh = asked.over_tls("plain.example", "client") if is_mutual else asked

    assert hosts.asked(of_the_mesh, 20080).by == "plain"
    assert hosts.said(ANYBODY, GATEWAY, 29000, header(BYTES, 9000) + b"hello\n") == (b"" if is_mutual else b"bytes")
    for other in (asked, asked.over_tls("plain.example", "stranger")) if is_mutual else ():
        with pytest.raises((OSError, http.client.HTTPException)):
            hosts.asked(other, 20080)


@pytest.mark.spec("Q-06", "X-7")
def test_the_hop_is_tls_of_the_mesh_where_the_gateways_have_an_identity(hosts: Hosts, is_mutual: bool):
    hosts.asked(call("plain.example"), 80)
    assert hosts.said(APP, BYTES, 9000) == b"bytes"

    handshakes = [
        hosts.count("web-1", rf"^cluster\.outbound\|{port}\|[^|]*\|istio-egressgateway.*\.ssl\.handshake$")
        for port in (80, 9000)
    ]
    assert [each > 0 for each in handshakes] == [is_mutual] * 2


def header(address: str, port: int) -> bytes:
    """Of PROXY protocol, version 2: somebody called this address."""
    addresses = ipaddress.ip_address(ANYBODY).packed + ipaddress.ip_address(address).packed
    ports = struct.pack("!HH", 40_000, port)
    return b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + struct.pack("!H", len(addresses + ports)) + addresses + ports
