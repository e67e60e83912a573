"""Connections that are no HTTP, at listeners of a Sidecar: rules of `tcp` and `tls`, and policies (spec 5.10, 5.11)."""

from __future__ import annotations

import socket
import ssl
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass

import pytest

from tests.live import raw
from tests.live.cases import Case, case
from tests.live.certificates import Authority, server_context
from tests.live.raw import serving
from tests.live.requests import get
from tests.live.world import Live
from tests.waiting import until

pytestmark = pytest.mark.envoy


@dataclass(frozen=True, kw_only=True)
class Bytes:
    """A service `$host` at a listener of its own, called `port`; its endpoints a, b and c are subsets, too."""

    port: str
    case: Case


def by_bytes(
    port: str,
    id: str,  # noqa: A002
    rules: str = "",
    *,
    protocol: str = "TCP",
    policy: str = "",
    endpoints: str = "a b c",
    hosts: str = "[$host]",
    more: str = "",
) -> Bytes:
    """`rules`: what of a VirtualService comes after its hosts."""
    listed = "".join(
        f"- {{address: 127.0.0.1, ports: {{own: ${name}}}, labels: {{at: {name}}}}}\n" for name in endpoints.split()
    )
    entry = f"ports: [{{number: ${port}, name: own, protocol: {protocol}}}]\nresolution: STATIC\nendpoints:\n{listed}"
    subsets = "".join(f"- {{name: {name}, labels: {{at: {name}}}}}\n" for name in endpoints.split())
    head = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: $name}\nspec:\n"
    mesh = "\n---\n".join(part for part in (f"{head}  hosts: {hosts}\n{rules}" if rules else "", more) if part)
    return Bytes(port=port, case=case(id, http="", entry=entry, subsets=subsets, policy=policy, mesh=mesh))


def to(subset: str) -> str:
    return f"route: [{{destination: {{host: $host, subset: {subset}}}}}]"


WEIGHTED = by_bytes(
    "weighted",
    "V-114-weights-are-shares",
    """
  tcp:
  - route:
    - {destination: {host: $host, subset: a}, weight: 75}
    - {destination: {host: $host, subset: b}, weight: 25}
    - {destination: {host: $host, subset: c}, weight: 0}
""",
)
SOURCES = by_bytes(
    "sources",
    "V-113-conditions-that-do-not-hold-here",
    f"""
  gateways: [mesh, other]
  tcp:
  - {{match: [{{sourceLabels: {{app: other}}}}], {to("a")}}}
  - {{match: [{{gateways: [other]}}], {to("a")}}}
  - {{match: [{{sourceNamespace: other}}], {to("a")}}}
  - {{match: [{{port: 1}}], {to("a")}}}
  - {{match: [{{sourceLabels: {{app: web}}, sourceNamespace: default, gateways: [mesh], port: $sources}}], {to("b")}}}
  - {to("c")}
""",
    more="""
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: other}
spec: {selector: {app: other}, servers: [{port: {number: 1, name: tcp, protocol: TCP}, hosts: ["*"]}]}
""",
)
SUBNETS = by_bytes(
    "subnets",
    "V-110-subnets-in-the-order-of-the-rules",
    f"""
  tcp:
  - {{match: [{{destinationSubnets: [127.0.0.16/28]}}], {to("a")}}}
  - {{match: [{{destinationSubnets: [127.0.0.17, 127.0.0.8/29]}}], {to("b")}}}
""",
    endpoints="c a b",
    policy="",
)
BY_SOURCE_SUBNET = by_bytes(
    "source_subnet",
    "V-112-the-address-of-who-connects",
    f"""
  tcp:
  - {{match: [{{sourceSubnet: 127.0.0.32/28}}], {to("a")}}}
  - {to("b")}
""",
)
HASHED = by_bytes("hashed", "D-14-connections-by-source", policy="loadBalancer: {consistentHash: {useSourceIp: true}}")
ONE_CONNECTION = by_bytes(
    "single", "D-30-maxConnections", policy="connectionPool: {tcp: {maxConnections: 1}}", endpoints="a"
)
IDLE = by_bytes("idle", "D-34-idleTimeout", policy="connectionPool: {tcp: {idleTimeout: 50ms}}", endpoints="a")
BRIEF = by_bytes(
    "brief",
    "D-33-maxConnectionDuration",
    policy="connectionPool: {tcp: {maxConnectionDuration: 50ms}}",
    endpoints="a",
)
PROXY_1 = by_bytes("proxy_1", "D-91-V1", policy="proxyProtocol: {version: V1}", endpoints="shown")
PROXY_BY_DEFAULT = by_bytes("proxy_default", "D-91-V1-by-default", policy="proxyProtocol: {}", endpoints="shown")
PROXY_2 = by_bytes("proxy_2", "D-91-V2", policy="proxyProtocol: {version: V2}", endpoints="shown")
PROXY_BEFORE_TLS = by_bytes(
    "proxy_tls",
    "D-91-before-TLS",
    policy="{proxyProtocol: {version: V1}, tls: {mode: SIMPLE, caCertificates: $ca, sni: secure.live}}",
    endpoints="showntls",
)
PROXY_OF_REQUESTS = case(
    "D-91-of-requests",
    http="",
    subsets="",
    policy="proxyProtocol: {version: V1}",
    entry="""
    ports: [{number: 80, name: http, protocol: HTTP}]
    resolution: STATIC
    endpoints: [{address: 127.0.0.1, ports: {http: $shown_http}}]
    """,
)
TUNNELLED = by_bytes(
    "tunnelled",
    "D-90-a-connection-through-a-proxy",
    policy="tunnel: {targetHost: 127.0.0.1, targetPort: $b}",
    endpoints="connect",
)
TUNNELLED_TLS = by_bytes(
    "tunnelled_tls",
    "D-90-TLS-through-a-proxy",
    "\n  tls: [{match: [{sniHosts: [$host]}], route: [{destination: {host: $host}}]}]\n",
    protocol="TLS",
    policy="tunnel: {targetHost: localhost, targetPort: $tlsb}",
    endpoints="connect",
)
BY_NAME = by_bytes(
    "by_name",
    "V-101-by-server-name",
    f"""
  gateways: [mesh, other]
  tls:
  - {{match: [{{sniHosts: [$host], sourceLabels: {{app: other}}}}], {to("tlsa")}}}
  - {{match: [{{sniHosts: [$host], gateways: [other]}}], {to("tlsa")}}}
  - {{match: [{{sniHosts: [$host], sourceNamespace: other}}], {to("tlsa")}}}
  - {{match: [{{sniHosts: [$host], port: 1}}], {to("tlsa")}}}
  - {{match: [{{sniHosts: [$host], sourceLabels: {{tier: front}}, port: $by_name}}], {to("tlsb")}}}
""",
    protocol="TLS",
    endpoints="tlsa tlsb",
)
BY_WILDCARD = by_bytes(
    "by_wildcard",
    "V-101-several-names-and-shares",
    f"""
  tls:
  - match: [{{sniHosts: [a.names.live, "*.a.names.live"]}}]
    {to("tlsa")}
  - match: [{{sniHosts: ["*.names.live"]}}]
    route:
    - {{destination: {{host: $host, subset: tlsa}}, weight: 1}}
    - {{destination: {{host: $host, subset: tlsb}}, weight: 3}}
""",
    protocol="TLS",
    endpoints="tlsa tlsb",
    hosts="[$host, '*.names.live']",
)
NAME_AND_SUBNET = by_bytes(
    "name_and_subnet",
    "V-102-by-server-name-and-address",
    f"""
  tls:
  - {{match: [{{sniHosts: [$host], destinationSubnets: [127.0.0.16/28]}}], {to("tlsa")}}}
  - {{match: [{{sniHosts: [$host]}}], {to("tlsb")}}}
""",
    protocol="HTTPS",
    endpoints="tlsa tlsb",
)
OPAQUE = by_bytes(
    "opaque",
    "V-3-http-rules-are-not-for-TLS-ports",
    "\n  http: [{directResponse: {status: 418}}]\n",
    protocol="HTTPS",
    endpoints="tlsa",
)

ALL = (
    *(WEIGHTED, SOURCES, SUBNETS, BY_SOURCE_SUBNET, HASHED, ONE_CONNECTION, IDLE, BRIEF),
    *(PROXY_1, PROXY_BY_DEFAULT, PROXY_2, PROXY_BEFORE_TLS, TUNNELLED, TUNNELLED_TLS),
    *(BY_NAME, BY_WILDCARD, NAME_AND_SUBNET, OPAQUE),
)
CASES = (PROXY_OF_REQUESTS, *(each.case for each in ALL))
LISTENERS = tuple(each.port for each in ALL)
ENTRIES = "\n".join(
    f"  - {{port: {{number: ${each.port}, protocol: {'TCP' if 'protocol: TCP' in each.case.entry else 'TLS'}, "
    f"name: {each.port.replace('_', '-')}}}, bind: 0.0.0.0, hosts: ['./*']}}"
    for each in ALL
)
DOCUMENTS = f"""
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{name: web}}
spec:
  workloadSelector: {{labels: {{app: web}}}}
  egress:
{ENTRIES}
"""


@pytest.fixture(scope="module")
def names(names: dict[str, str], ca: Authority) -> Iterator[dict[str, str]]:
    context = server_context(ca.signed("bytes", "DNS:secure.live", "DNS:*.live", "DNS:*.names.live"))
    talks = {name: raw.answering(name) for name in "abc"}
    talks |= {f"tls{name}": raw.answering_in_tls(name, context) for name in "ab"}
    talks |= {"shown": raw.showing, "showntls": raw.showing_a_proxy_header(context), "shown_http": _shown_in_http}
    with ExitStack() as stack:
        ports = {name: str(stack.enter_context(serving(talk))) for name, talk in talks.items()}
        ports["connect"] = str(stack.enter_context(serving(raw.connect_proxy)))
        yield names | ports


def _shown_in_http(connection: socket.socket) -> None:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += connection.recv(1)
    line = head.splitlines()[0]
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(line), line))


def connected(live: Live, asked: Bytes, *, source: str = "127.0.0.1", target: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection((target, int(live.listeners[asked.port])), 10, (source, 0))


def told(live: Live, asked: Bytes, *, source: str = "127.0.0.1", target: str = "127.0.0.1") -> bytes:
    """Who answers; nobody where the connection is closed."""
    with connected(live, asked, source=source, target=target) as connection, suppress(ConnectionError):
        connection.sendall(b"hello\n")
        return connection.recv(1000)
    return b""


def told_in_tls(live: Live, asked: Bytes, name: str, *, target: str = "127.0.0.1") -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    name = name.replace("$host", asked.case.host)
    plain = connected(live, asked, target=target)
    with plain, suppress(OSError), context.wrap_socket(plain, server_hostname=name) as secure:
        secure.sendall(b"hello\n")
        return secure.recv(1000)
    return b""


# --- rules of tcp ---------------------------------------------------------------------------------------------


@pytest.mark.spec("V-114")
def test_connections_share_by_weight(live: Live):
    """5 standard deviations of 200 draws of a quarter are 31."""
    counts = Counter(told(live, WEIGHTED) for _ in range(200))

    assert 119 <= counts[b"a"] <= 181
    assert counts[b"a"] + counts[b"b"] == 200


@pytest.mark.spec("V-111", "V-113")
def test_only_rules_that_hold_here_are_looked_at(live: Live):
    assert {told(live, SOURCES) for _ in range(4)} == {b"b"}


@pytest.mark.spec("V-110")
def test_the_first_rule_for_an_address_wins_even_over_a_narrower_one(live: Live):
    assert {told(live, SUBNETS, target="127.0.0.17") for _ in range(3)} == {b"a"}
    assert {told(live, SUBNETS, target="127.0.0.9") for _ in range(3)} == {b"b"}
    assert len({told(live, SUBNETS, target="127.0.0.99") for _ in range(60)}) == 3


@pytest.mark.spec("V-112")
def test_a_rule_may_look_at_who_connects(live: Live):
    assert told(live, BY_SOURCE_SUBNET, source="127.0.0.40") == b"a"
    assert told(live, BY_SOURCE_SUBNET, source="127.0.0.4") == b"b"


# --- rules of tls ---------------------------------------------------------------------------------------------


@pytest.mark.spec("V-101", "V-103")
def test_tls_goes_by_its_server_name_and_the_conditions_that_hold(live: Live):
    assert told_in_tls(live, BY_NAME, "$host") == b"b"
    assert told_in_tls(live, BY_NAME, "other.live") == b""


@pytest.mark.spec("V-101", "V-104")
def test_the_narrower_of_two_names_is_meant_and_weights_are_shares(live: Live):
    assert {told_in_tls(live, BY_WILDCARD, name) for name in ("a.names.live", "x.a.names.live")} == {b"a"}
    assert {told_in_tls(live, BY_WILDCARD, "b.names.live") for _ in range(30)} == {b"a", b"b"}


@pytest.mark.spec("V-102")
def test_a_name_may_be_for_some_addresses_only(live: Live):
    assert told_in_tls(live, NAME_AND_SUBNET, "$host", target="127.0.0.20") == b"a"
    assert told_in_tls(live, NAME_AND_SUBNET, "$host") == b"b"
    assert told_in_tls(live, NAME_AND_SUBNET, "other.live", target="127.0.0.20") == b""


@pytest.mark.spec("V-3", "V-4")
def test_rules_of_http_are_not_for_tls(live: Live):
    """5.12: without rules of `tls` the name is that of the service."""
    assert told_in_tls(live, OPAQUE, "$host") == b"a"


# --- policies -------------------------------------------------------------------------------------------------


@pytest.mark.spec("D-14")
def test_the_source_address_decides_the_endpoint_of_a_connection(live: Live):
    places = [{told(live, HASHED, source=f"127.0.0.{number}") for _ in range(3)} for number in range(2, 18)]

    assert all(len(found) == 1 for found in places)
    assert len(set().union(*places)) > 1


@pytest.mark.spec("D-30")
def test_one_connection_too_many_is_closed(live: Live):
    with connected(live, ONE_CONNECTION) as first:
        first.sendall(b"hello\n")
        answer = first.recv(100)
        refused = told(live, ONE_CONNECTION)

    assert (answer, refused) == (b"a", b"")
    until(lambda: told(live, ONE_CONNECTION) == b"a", what="a place for the next")


@pytest.mark.spec("D-33", "D-34")
@pytest.mark.parametrize("asked", [IDLE, BRIEF], ids=lambda each: each.port)
def test_a_connection_ends_when_its_time_is_over(live: Live, asked: Bytes):
    with connected(live, asked) as connection, suppress(ConnectionResetError):
        connection.sendall(b"hello\n")
        assert connection.recv(100) == b"a"
        assert connection.recv(100) == b""


@pytest.mark.spec("D-91")
@pytest.mark.parametrize("asked", [PROXY_1, PROXY_BY_DEFAULT], ids=lambda each: each.port)
def test_the_endpoint_is_told_in_text_who_connects(live: Live, asked: Bytes):
    port = int(live.listeners[asked.port])
    with connected(live, asked, source="127.0.0.5") as connection:
        own = connection.getsockname()[1]
        connection.sendall(b"hello\n")
        shown = connection.recv(1000)

    assert shown.startswith(b"PROXY TCP4 127.0.0.5 127.0.0.1 %d %d\r\n" % (own, port))


@pytest.mark.spec("D-91")
def test_or_in_binary(live: Live):
    shown = told(live, PROXY_2, source="127.0.0.5")

    assert shown.startswith(b"\r\n\r\n\x00\r\nQUIT\n\x21\x11")
    assert shown[16:24] == b"\x7f\x00\x00\x05\x7f\x00\x00\x01"


@pytest.mark.spec("D-91")
def test_before_the_tls_that_the_proxy_opens(live: Live):
    assert told(live, PROXY_BEFORE_TLS, source="127.0.0.5").startswith(b"PROXY TCP4 127.0.0.5 127.0.0.1 ")


@pytest.mark.spec("D-91")
def test_and_for_requests_too(live: Live):
    answer = live.send(get().out_of("127.0.0.5"), PROXY_OF_REQUESTS)

    assert answer.body.startswith(b"PROXY TCP4 127.0.0.5 127.0.0.1 ")


@pytest.mark.spec("D-90")
def test_a_connection_is_carried_through_a_proxy(live: Live):
    assert told(live, TUNNELLED) == b"b"
    assert told_in_tls(live, TUNNELLED_TLS, "$host") == b"b"
