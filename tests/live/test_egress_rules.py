"""EgressRules on a real Envoy: what is outside, by the capture and by the HTTP proxy of the sidecar (inventory A.6)."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from meshd.compiler import Reach
from tests.live.backends import Backends, running_backends
from tests.live.certificates import Authority, Pair, authority, server_context
from tests.live.hosts import Hosts, running_hosts
from tests.live.namespace import Namespace, namespace
from tests.live.raw import Talk, accepting, answering, greeting
from tests.live.requests import Answer, Ask, Keys, get

pytestmark = pytest.mark.envoy

APP, APP_SIX = "10.9.0.2", "fd09::2"
PLAIN, SECURE, WRONG, STRANGE, WILD = (f"10.9.1.{number}" for number in (1, 2, 3, 4, 5))
WEB, BYTES, MONGO, ANYBODY, WEB_SIX = "10.9.1.6", "10.9.1.7", "10.9.1.8", "10.9.1.99", "fd09:1::6"
BAR, BESIDE_BAR, BLOCK_SIX = "92.198.174.200", "92.198.174.224", "fd09:2::77"
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
spec: {{destination: {{service: "{service}"}}, ports: [{listed}]}}
---"""


def route(name: str, service: str, spec: str) -> str:
    return f"""
apiVersion: config.istio.io/v1alpha2
kind: RouteRule
metadata: {{name: {name}}}
spec: {{destination: {{service: "{service}"}}, {spec}}}
---"""


def uri(prefix: str) -> str:
    return f"match: {{request: {{headers: {{uri: {{prefix: {prefix}}}}}}}}}"


MESH = f"""
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: web-1}}
spec: {{address: {APP}}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: six, annotations: {{meshd.io/host: web-1}}}}
spec: {{address: "{APP_SIX}"}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: web-2}}
spec: {{address: 10.9.0.3}}
---
apiVersion: meshd.io/v1
kind: MeshConfig
metadata: {{name: mesh}}
spec: {{systemCaFile: $ca, $more}}
---
{rule("plain", "Plain.example", (80, "http"), (81, "HTTP2"), (82, "grpc"))}
{rule("gmail", "gmail.com", (443, "https"))}
{rule("wrong", "wrong.example", (443, "https"))}
{rule("strange", "strange.example", (443, "https"))}
{rule("foo-egress-rule", "*.foo.localhost", (80, "http"), (443, "https"))}
{rule("bar", "*-bar.part.localhost", (80, "http"))}
{rule("web", WEB, (80, "http"), (443, "https"), (9000, "tcp"))}
{rule("six", WEB_SIX, (80, "http"))}
{rule("bytes", BYTES, (9000, "tcp"), (80, "tcp"))}
{rule("mongo", MONGO, (27017, "mongo"))}
{rule("bar-egress-rule", "92.198.174.192/27", (111, "tcp"))}
{rule("block-six", "fd09:2::/32", (111, "tcp"))}
{route("moved", "plain.example", f"{uri('/moved')}, redirect: {{uri: /here}}")}
{route("faulty", "PLAIN.example", f"{uri('/fault')}, httpFault: {{abort: {{httpStatus: 418}}}}")}
{route("named", "*.foo.localhost", f"{uri('/named')}, appendHeaders: {{x-rule: 'yes'}}")}
{route("by-address", WEB, f"{uri('/old')}, rewrite: {{uri: /new}}")}
{route("near-miss", "gmail.com.", f"{uri('/near')}, appendHeaders: {{x-rule: 'yes'}}")}
apiVersion: config.istio.io/v1alpha2
kind: DestinationPolicy
metadata: {{name: limited}}
spec:
  destination: {{service: plain.example}}
  circuitBreaker: {{simpleCb: {{maxConnections: 7}}}}
"""


@pytest.fixture(scope="module")
def room() -> Iterator[Namespace]:
    addresses = (APP, PLAIN, SECURE, WRONG, STRANGE, WILD, WEB, BYTES, MONGO, ANYBODY, BAR, BESIDE_BAR)
    with namespace(
        *(f"{each}/32" for each in addresses), *(f"{each}/128" for each in (APP_SIX, WEB_SIX, BLOCK_SIX))
    ) as made:
        made.run("nft", "-f", "-", given=CAPTURE)
        yield made


@pytest.fixture(scope="module")
def outside(room: Namespace, ca: Authority) -> Iterator[Backends]:
    """`wrong` has the name of somebody else, `strange` an authority that nobody trusts."""
    pair = ca.signed("outside", "DNS:gmail.com", "DNS:*.foo.localhost", f"IP:{WEB}")
    strange = authority(ca.directory, "strange outside CA").signed("strange", "DNS:strange.example")
    with running_backends() as backends, ExitStack() as stack:
        for version, address, port, shown in servers(pair, strange):
            backends.serve_on(version, listening(room, address, port), shown and server_context(shown))
        raw: tuple[tuple[str, int, Talk], ...] = (
            (WEB, 9000, answering("web")),
            (BYTES, 9000, answering("bytes")),
            (BYTES, 80, answering("bytes")),
            (MONGO, 27017, greeting(b"mongo speaks first")),
            (BAR, 111, answering("bar")),
            (BESIDE_BAR, 111, answering("beside")),
            (BLOCK_SIX, 111, answering("six")),
        )
        for address, port, talk in raw:
            stack.enter_context(accepting(listening(room, address, port), talk))
        yield backends


def servers(pair: Pair, strange: Pair) -> tuple[tuple[str, str, int, Pair | None], ...]:
    return (
        *(("plain", PLAIN, port, None) for port in (80, 81, 82)),
        ("gmail", SECURE, 443, pair),
        ("wrong", WRONG, 443, pair),
        ("strange", STRANGE, 443, strange),
        ("wild", WILD, 80, None),
        ("wild", WILD, 443, pair),
        ("looked-up", "127.0.0.1", 80, None),
        ("looked-up", "127.0.0.1", 443, pair),
        ("web", WEB, 80, None),
        ("web", WEB, 443, pair),
        ("six", WEB_SIX, 80, None),
        ("anybody", ANYBODY, 80, None),
    )


def listening(room: Namespace, address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return room.within(socket.create_server, (address, port), family=family)


@pytest.fixture(scope="module", params=["careful", "careless"])
def careful(request: pytest.FixtureRequest) -> bool:
    """Whether servers are verified, and only what rules name may be reached. Else all is as in v1alpha1."""
    return bool(request.param == "careful")


@pytest.fixture(scope="module")
def host(
    envoy_binary: Path, room: Namespace, outside: Backends, ca: Authority, keys: Keys, careful: bool
) -> Iterator[Hosts]:
    """`web-1` captures, `web-2` has an HTTP proxy alone."""
    careless = "v1alpha1: {egressTlsVerify: false}, outboundTrafficPolicy: {mode: ALLOW_ANY}"
    text = MESH.replace("$ca", str(ca.file)).replace("$more", "" if careful else careless)
    reach = {"web-1": Reach(capture="nftables", http_proxy_port=15080), "web-2": Reach(http_proxy_port=15081)}
    found = {"plain.example": PLAIN, "gmail.com": SECURE, "wrong.example": WRONG, "strange.example": STRANGE}
    answers = {name: (address,) for name, address in found.items()}
    with running_hosts(envoy_binary, room, outside, keys, text, reach, answers) as hosts:
        yield hosts


def call(name: str, target: str, path: str = "/", source: str = APP) -> Ask:
    """The application dials the address, and its Host says the name."""
    return get(path).to(name, "captured").through("captured", target).out_of(source)


def by_proxy(url: str, path: str = "/") -> Ask:
    """`http_proxy=http://127.0.0.1:15081`."""
    return get(path).to(url, "proxy").out_of("127.0.0.1")


def sent(answer: Answer, name: str) -> list[str]:
    return [value for key, value in answer.told["headers"] if key == name]


# --- names ------------------------------------------------------------------------------------------------------


@pytest.mark.spec("ER-01", "ER-04", "ER-05", "ERP-01", "ERP-04", "C-EG-02")
def test_a_name_in_http_goes_where_it_is_looked_up(host: Hosts):
    dialled = host.asked(call("plain.example", ANYBODY, "/a"), 80)
    proxied = host.asked(by_proxy("plain.example", "/a"), 15081)

    assert [(each.by, each.told["path"]) for each in (dialled, proxied)] == [("plain", "/a")] * 2


@pytest.mark.spec("ERP-06", "ERP-07")
@pytest.mark.parametrize("port", [81, 82])
def test_http2_and_grpc_are_spoken_to_the_server(host: Hosts, port: int):
    answer = host.asked(call("plain.example", PLAIN, "/a").in_http2(), port)

    assert answer.by == "plain"
    assert host.backends.prefaces[-1] == ("plain", None)


@pytest.mark.spec("EX-003-18", "ER-07", "ERP-05", "C-EG-03")
def test_plain_http_to_a_port_of_https_becomes_tls_that_is_verified(host: Hosts):
    dialled = host.asked(call("gmail.com:443", SECURE, "/a"), 443)
    proxied = host.asked(by_proxy("gmail.com:443", "/a"), 15081)

    assert [(each.by, each.told["tls"]["sni"]) for each in (dialled, proxied)] == [("gmail", "gmail.com")] * 2


@pytest.mark.spec("EX-003-18", "ER-07", "C-EG-03", "Q-04")
@pytest.mark.parametrize(
    ("name", "counted"), [("wrong", "fail_verify_san"), ("strange", "fail_verify_error|connection_error")]
)
def test_a_server_with_another_name_or_authority_is_refused(host: Hosts, careful: bool, name: str, counted: str):
    """Unless the mesh wants nobody to be verified."""
    url, address = f"{name}.example:443", {"wrong": WRONG, "strange": STRANGE}[name]

    answer = host.asked(call(url, address), 443)

    assert (answer.status, answer.by) == ((503, "") if careful else (200, name))
    failed = host.count("web-1", rf"^cluster\.outbound\|443\|\|{name}\.example\.ssl\.({counted})$")
    assert (failed > 0) is careful


@pytest.mark.spec("C-EG-06")
def test_tls_of_the_application_itself_is_outside_the_rule(host: Hosts, careful: bool):
    """Unknown traffic, which may pass or not."""
    own = call("gmail.com", SECURE).over_tls("gmail.com")

    if careful:
        with pytest.raises((OSError, http.client.HTTPException)):
            host.asked(own, 443)
    else:
        assert host.asked(own, 443).by == "gmail"


# --- wildcards --------------------------------------------------------------------------------------------------


@pytest.mark.spec("EX-003-07", "ER-08", "ER-13")
@pytest.mark.parametrize(("port", "sni"), [(80, None), (443, "x.foo.localhost")])
def test_names_below_a_wildcard(host: Hosts, port: int, sni: str | None):
    """With the capture it goes where the connection was going; by the HTTP proxy, to where the name is looked up."""
    url = "x.foo.localhost" if port == 80 else "x.foo.localhost:443"
    dialled, proxied = host.asked(call(url, WILD, "/a"), port), host.asked(by_proxy(url, "/a"), 15081)

    assert (dialled.by, proxied.by) == ("wild", "looked-up")
    assert [(each.told["tls"] or {}).get("sni") for each in (dialled, proxied)] == [sni] * 2


@pytest.mark.spec("EX-003-07", "C-EG-03")
def test_below_a_wildcard_the_name_that_is_asked_for_is_verified(host: Hosts, careful: bool):
    """The certificate is for one label below."""
    url = "x.y.foo.localhost:443"

    found = host.asked(call(url, WILD), 443), host.asked(by_proxy(url), 15081)

    # The cluster of a wildcard that is looked up verifies names even then: Envoy has no other.
    assert [each.status for each in found] == ([503, 503] if careful else [200, 200])


@pytest.mark.spec("ER-13", "ER-14")
@pytest.mark.parametrize(("name", "known"), [("baz-bar", True), ("-bar", False), ("bar", False), ("a.b-bar", True)])
def test_the_asterisk_is_not_nothing(host: Hosts, careful: bool, name: str, known: bool):
    host.asked(call(f"{name}.part.localhost", WILD), 80)
    counted = r"^cluster\.outbound\|80\|\|\*-bar\.part\.localhost\.upstream_rq_2xx$"
    before = host.count("web-1", counted)

    answer = host.asked(call(f"{name}.part.localhost", WILD), 80)

    assert answer.status == (200 if known or not careful else 502)
    assert host.count("web-1", counted) - before == int(known)


# --- addresses --------------------------------------------------------------------------------------------------


@pytest.mark.spec("ER-05", "C-EG-02")
def test_http_to_an_address(host: Hosts):
    found = [
        host.asked(call(WEB, WEB, "/a"), 80),
        host.asked(call(f"[{WEB_SIX}]", WEB_SIX, "/a", APP_SIX), 80),
        host.asked(by_proxy(WEB, "/a"), 15081),
    ]

    assert [(each.by, each.told["path"]) for each in found] == [("web", "/a"), ("six", "/a"), ("web", "/a")]


@pytest.mark.spec("ER-05", "ER-07", "C-EG-03")
def test_https_to_an_address_expects_it_in_the_certificate(host: Hosts):
    answer = host.asked(call(f"{WEB}:443", WEB), 443)

    assert (answer.by, answer.told["tls"]["sni"]) == ("web", None)


@pytest.mark.spec("ER-06", "ER-15", "ERP-08", "C-EG-02")
def test_bytes_to_an_address(host: Hosts):
    assert host.said(APP, BYTES, 9000) == b"bytes"
    assert host.said(APP, WEB, 9000) == b"web"


@pytest.mark.spec("EX-003-08", "ER-06", "ER-09", "ER-15", "ERP-08")
def test_bytes_to_a_block_of_addresses(host: Hosts):
    assert host.said(APP, BAR, 111) == b"bar"
    assert host.said(APP_SIX, BLOCK_SIX, 111) == b"six"
    assert host.connections("web-1", r"outbound\|111\|\|bar-egress-rule\.default\.egress\.invalid") > 0


@pytest.mark.spec("ERP-09")
def test_mongo_is_heard_before_the_client_speaks(host: Hosts):
    assert host.said(APP, MONGO, 27017, b"") == b"mongo speaks first"


@pytest.mark.spec("C-EG-08")
def test_requests_and_bytes_share_a_port_number(host: Hosts):
    assert host.said(APP, BYTES, 80) == b"bytes"
    assert host.asked(call("plain.example", ANYBODY), 80).by == "plain"


# --- what else is said of them ----------------------------------------------------------------------------------


@pytest.mark.spec("ER-02", "C-EG-09")
def test_the_rules_are_a_list_of_what_is_allowed(host: Hosts, careful: bool):
    """As long as the mesh does not let everything pass."""
    answer = host.asked(call("nobody.example", ANYBODY), 80)

    assert (answer.status, answer.by) == ((502, "") if careful else (200, "anybody"))
    assert host.said(APP, BESIDE_BAR, 111) == (b"" if careful else b"beside")


@pytest.mark.spec("ER-03", "ER-12", "C-EG-07", "C-HOST-03")
def test_rules_that_name_it_by_the_same_text_count(host: Hosts):
    assert host.asked(call("plain.example", PLAIN, "/moved"), 80).all("location") == ["http://plain.example/here"]
    assert host.asked(call("plain.example", PLAIN, "/fault"), 80).status == 418
    assert sent(host.asked(call("x.foo.localhost", WILD, "/named"), 80), "x-rule") == ["yes"]
    assert sent(host.asked(call("x.foo.localhost:443", WILD, "/named"), 443), "x-rule") == ["yes"]
    assert host.asked(call(WEB, WEB, "/old/1"), 80).told["path"] == "/new/1"


@pytest.mark.spec("ER-12")
def test_a_dot_at_its_end_makes_no_other_name(host: Hosts):
    assert sent(host.asked(call("gmail.com:443", SECURE, "/near"), 443), "x-rule") == ["yes"]


@pytest.mark.spec("ER-03", "ER-12", "C-DP-07")
def test_policies_count_for_what_is_outside(host: Hosts):
    limit = host.within("web-1", "/clusters").splitlines()

    assert "outbound|80||plain.example::default_priority::max_connections::7" in limit


@pytest.mark.spec("ER-18")
def test_without_being_asked_nobody_takes_a_way_round(host: Hosts):
    host.asked(call("plain.example", PLAIN), 80)

    assert host.connections("web-1", r"outbound\|80\|\|plain\.example") > 0
    assert host.connections("web-1", r"outbound\|.*egressgateway.*") == 0
