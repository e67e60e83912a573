"""IngressRules on a real Envoy, and the RouteRules of their destinations behind them (inventory A.9, EX-X-08)."""

from __future__ import annotations

import shutil
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.live.cases import Case, only
from tests.live.certificates import Authority
from tests.live.gateways import WORKLOAD, ports
from tests.live.raw import answering, serving
from tests.live.requests import Ask, Exchange, ask, get
from tests.live.world import Live

pytestmark = pytest.mark.envoy

ADDRESS = "127.0.0.1"
LISTENERS = ("web", "alt", "tls", "bytes")


def ingress(name: str, spec: str) -> str:
    return _rule("IngressRule", name, spec)


def route(name: str, service: str, spec: str) -> str:
    return _rule("RouteRule", name, f"destination: {{name: {service}}}, {spec}")


def _rule(kind: str, name: str, spec: str) -> str:
    return f"""
apiVersion: config.istio.io/v1alpha2
kind: {kind}
metadata: {{name: {name}}}
spec: {{{spec}}}
---"""


def asking(**headers: str) -> str:
    listed = ", ".join(f"{name.replace('_', '-')}: {match}" for name, match in headers.items())
    return f"match: {{request: {{headers: {{{listed}}}}}}}"


def to(version: str) -> str:
    return f"route: [{{labels: {{version: {version}}}}}]"


def service(name: str, listed: str, *endpoints: str) -> str:
    return f"""
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}}}
spec:
  hosts: [{name}.default.svc.cluster.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{listed}]
  endpoints: [{", ".join(endpoints)}]
---"""


VERSIONS = [f"{{address: 127.0.0.1, ports: {{http: ${each}}}, labels: {{version: {each}}}}}" for each in ("v1", "v2")]
TALKS = [f"{{address: 127.0.0.1, ports: {{tcp: ${each}}}, labels: {{version: {each}}}}}" for each in ("one", "two")]

DOCUMENTS = f"""
{WORKLOAD}
{ports(p80="$web", p8080="$alt", p443="$tls", p9000="$bytes")}
apiVersion: meshd.io/v1
kind: MeshConfig
metadata: {{name: mesh}}
spec: {{secretRoot: $secrets}}
---
{service("reviews", "{number: 9080, name: http, protocol: HTTP}", *VERSIONS)}
{
    service(
        "shop",
        "{number: 1, name: http-one, protocol: HTTP}, {number: 2, name: http-two, protocol: HTTP}",
        "{address: 127.0.0.1, ports: {http-one: $v1, http-two: $v3}}",
    )
}
{service("talks", "{number: 7000, name: tcp, protocol: TCP}", *TALKS)}
{route("testers", "reviews", f"precedence: 2, {asking(cookie='{regex: ^(.*?;)?(user=jason)(;.*)?$}')}, {to('v2')}")}
{route("renamed", "reviews", f"precedence: 1, {asking(uri='{prefix: /old}')}, rewrite: {{uri: /new}}, {to('v1')}")}
{route("posts", "reviews", f"{asking(method='POST')}, httpFault: {{abort: {{httpStatus: 418}}}}")}
{
    route(
        "split",
        "reviews",
        asking(uri="{prefix: /split}")
        + ", route: [{labels: {version: v1}, weight: 50}, {labels: {version: v2}, weight: 50}]",
    )
}
{route("all", "reviews", f"precedence: -1, {to('v1')}")}
{route("other-half", "talks", f"match: {{tcp: {{sourceSubnet: [127.0.0.2]}}}}, {to('two')}")}
{route("rest", "talks", f"match: {{tcp: {{}}}}, {to('one')}")}
{
    ingress(
        "bookinfo-tls",
        f"port: 443, tlsSecret: bookinfo/edge, precedence: 10, destination: {{name: reviews}}, destinationPort: 9080, "
        f"{asking(authority='{exact: secure.tls.live}', uri='{prefix: /reviews}')}",
    )
}
{
    ingress(
        "other-tls",
        f"port: 443, tlsSecret: other, destination: {{name: shop}}, destinationPort: 2, "
        f"{asking(authority='{exact: other.live}')}",
    )
}
{ingress("any", f"port: 80, destination: {{name: reviews}}, {asking(uri='{prefix: /any}')}")}
{ingress("split", f"port: 80, destination: {{name: reviews}}, {asking(uri='{prefix: /split}')}")}
{ingress("first", f"port: 80, precedence: 5, destination: {{name: shop}}, destinationPort: 2, {asking(x_who='me')}")}
{
    ingress(
        "www",
        "port: 80, precedence: 1, destination: {name: reviews}, "
        + asking(authority="www.live", uri="{prefix: /old/a}"),
    )
}
{
    ingress(
        "numbered",
        "port: 80, precedence: 1, destination: {name: reviews}, "
        + asking(authority="numbered.live", uri="{regex: '/old/[0-9]+/.*'}"),
    )
}
{ingress("by-number", f"port: 8080, destination: {{name: shop}}, destinationPort: 1, {asking(uri='/number')}")}
{ingress("by-name", f"port: 8080, destination: {{name: shop}}, destinationPortName: http-two, {asking(uri='/name')}")}
{ingress("a-tie", f"port: 8080, destination: {{name: shop}}, destinationPort: 2, {asking(uri='/tie')}")}
{ingress("b-tie", f"port: 8080, destination: {{name: shop}}, destinationPort: 1, {asking(uri='/tie')}")}
{
    ingress(
        "methods", f"port: 8080, destination: {{name: shop}}, destinationPort: 1, {asking(method='PUT', scheme='http')}"
    )
}
{ingress("unresolved", "port: 8080, destination: {name: nobody}")}
{ingress("which-port", "port: 8080, destination: {name: shop}")}
{ingress("sole-port", f"port: 8080, destination: {{name: reviews}}, {asking(uri='/sole')}")}
{ingress("bytes", "port: 9000, destination: {name: talks}")}
"""


@pytest.fixture(scope="module")
def names(names: dict[str, str], ca: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    root = tmp_path_factory.mktemp("secrets")
    for secret, name in (("bookinfo/edge", "secure.tls.live"), ("other", "other.live")):
        pair = ca.signed(f"edge of {name}", f"DNS:{name}")
        directory = root / secret
        directory.mkdir(parents=True)
        shutil.copy(pair.chain, directory / "tls.crt")
        shutil.copy(pair.key, directory / "tls.key")
    with serving(answering("one")) as one, serving(answering("two")) as two:
        yield {**names, "secrets": str(Path(root)), "one": str(one), "two": str(two)}


def asked(id: str, *exchanges: Exchange) -> Case:  # noqa: A002
    return only(id, *exchanges, mesh="")


def at(host: str, path: str = "/", listener: str = "web", **headers: str) -> Ask:
    return get(path, **headers).to(host, listener)


CASES = (
    asked(
        "IR-01-what-comes-in-goes-to-the-destination",
        at("a.live", "/any/1").gives(by="v1", path="/any/1", sent_host="a.live"),
        at("b.live", "/any").gives(by="v1"),
        at("a.live", "/else").gives(404),
        at("a.live", "/any", "alt").gives(404),
    ),
    asked(
        "IR-09-the-secret-of-the-rule",
        at("secure.tls.live", "/reviews/1", "tls").over_tls("secure.tls.live").gives(by="v1", path="/reviews/1"),
        at("secure.tls.live", "/else", "tls").over_tls("secure.tls.live").gives(404),
        at("secure.tls.live", "/reviews", "tls").is_refused(),
    ),
    asked(
        "C-IN-03-another-host-another-secret",
        at("other.live", "/", "tls").over_tls("other.live").gives(by="v3"),
        at("nobody.live", "/", "tls").over_tls("nobody.live").is_refused(),
    ),
    asked(
        "EX-X-08-rules-of-the-destination-are-composed",
        at("secure.tls.live", "/reviews", "tls", cookie="a=b; user=jason").over_tls("secure.tls.live").gives(by="v1"),
        at("secure.tls.live", "/reviews", "tls", cookie="user=jason").over_tls("secure.tls.live").gives(by="v2"),
        at("secure.tls.live", "/else", "tls", cookie="user=jason").over_tls("secure.tls.live").gives(404),
    ),
    asked(
        "IR-05-matches-are-joined-and-actions-done",
        at("a.live", "/any", cookie="user=jason").gives(by="v2"),
        ask("POST", "/any").to("a.live", "web").gives(418),
        ask("POST", "/else").to("a.live", "web").gives(404),
    ),
    asked(
        "C-IN-07-a-rewrite-keeps-what-is-beyond-the-prefix",
        at("www.live", "/old/a/b").gives(by="v1", path="/new/a/b"),
        at("www.live", "/old/b").gives(404),
        at("numbered.live", "/old/7/b?old=1").gives(by="v1", path="/new/7/b?old=1"),
        at("numbered.live", "/old/a").gives(404),
    ),
    asked(
        "IR-10-precedence-and-rules-for-every-host",
        at("a.live", "/any", x_who="me").gives(by="v3"),
        at("www.live", "/old/a", x_who="me").gives(by="v3"),
        at("www.live", "/any").gives(by="v1"),
    ),
    asked("IR-11-ties-are-told-by-name", at("a.live", "/tie", "alt").gives(by="v3")),
    asked("IR-12-method-and-scheme", ask("PUT", "/x").to("a.live", "alt").gives(by="v1")),
    asked("IR-15-a-port-by-number", at("a.live", "/number", "alt").gives(by="v1")),
    asked("IR-16-a-port-by-name", at("a.live", "/name", "alt").gives(by="v3")),
    asked("IR-17-a-sole-port-needs-no-word", at("a.live", "/sole", "alt").gives(by="v1")),
    asked("IR-04-what-does-not-resolve-is-left-out", at("a.live", "/unresolved", "alt").gives(404)),
)


@pytest.mark.spec("IR-03", "IR-08")
def test_an_ingress_rule_is_obeyed(live: Live, case: Case):
    for exchange in case.exchanges:
        live.holds(case, exchange)


@pytest.mark.spec("IR-06")
def test_a_destination_that_is_split_is_split_at_the_ingress_too(live: Live):
    answers = Counter(live.send(at("a.live", "/split"), CASES[0]).by for _ in range(200))

    assert set(answers) == {"v1", "v2"}
    assert 60 < answers["v2"] < 140


@pytest.mark.spec("IR-02")
def test_the_ingress_answers_at_all_addresses_of_its_host(live: Live):
    """So those of the mesh may come in there as well."""
    assert live.send(at("a.live", "/any").through("web", "127.0.0.5"), CASES[0]).by == "v1"


@pytest.mark.spec("C-IN-08", "IR-05")
@pytest.mark.parametrize(("source", "says"), [("127.0.0.1", b"one"), ("127.0.0.2", b"two")])
def test_connections_come_in_and_their_rules_count(live: Live, source: str, says: bytes):
    with socket.create_connection(("127.0.0.1", int(live.listeners["bytes"])), 10, (source, 0)) as client:
        client.sendall(b"hello\n")
        with suppress(ConnectionResetError):
            assert client.recv(100) == says
