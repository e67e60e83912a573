"""Who gets in, and what the backend learns of them: TLS that the real Envoy ends."""

from __future__ import annotations

import base64
import hashlib
import http.client
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from meshd.envoy import assignments, render
from meshd.envoy.bootstrap import BootstrapSettings
from meshd.envoy.fallback import fallback
from meshd.memo import Memo
from meshd.names import ListenerName, RouteTableName, SecretName
from meshd.plan import (
    CertificateSecret,
    ChainMatch,
    DownstreamTls,
    HttpChain,
    Listener,
    Secret,
    SocketBind,
    TcpChain,
    ValidationSecret,
)
from tests.envoy.plans import OWN, ROOT, a_cluster, a_plan, a_table, a_virtual_host, at, endpoints_of, to
from tests.envoy.process import Answer, running
from tests.envoy.tcp import client_hello, saying, told
from tests.live.certificates import Authority, Pair, authority
from tests.ports import free_port

pytestmark = pytest.mark.envoy

SIMPLE = DownstreamTls(certificates=(OWN,), alpn=("h2", "http/1.1"))
MUTUAL = replace(SIMPLE, validation=ROOT, requires_client_certificate=True)


@dataclass(frozen=True, kw_only=True)
class World:
    """`alice` and `bob` are signed by the CA that the gateway believes, `mallory` by another."""

    ca: Authority
    server: Pair
    alice: Pair
    bob: Pair
    mallory: Pair

    def secrets(self) -> tuple[Secret, ...]:
        own = CertificateSecret(name=OWN, certificate_chain=str(self.server.chain), private_key=str(self.server.key))
        return own, ValidationSecret(name=ROOT, ca_certificates=(str(self.ca.file),))

    def client(self, pair: Pair | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.ca.file))
        if pair:
            context.load_cert_chain(pair.chain, pair.key)
        return context


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    directory = tmp_path_factory.mktemp("world")
    ca, other = authority(directory, "ca"), authority(directory, "other-ca")
    return World(
        ca=ca,
        server=ca.signed("server", "DNS:localhost"),
        alice=ca.signed("alice", "DNS:alice.shop", "URI:spiffe://cluster.local/ns/shop/sa/alice"),
        bob=ca.signed("bob", "DNS:bob.shop"),
        mallory=other.signed("mallory", "DNS:alice.shop"),
    )


Serve = Callable[..., int]


@pytest.fixture
def serve(envoy_binary: Path, settings: BootstrapSettings, world: World, backend: int) -> Iterator[Serve]:
    """Starts one Envoy with one listener, whose port it gives; HTTP chains lead to the backend."""
    with ExitStack() as stack:

        def start(
            *chains: HttpChain | TcpChain,
            clusters: dict[str, int] | None = None,
            secrets: tuple[Secret, ...] = (),
            **listener: object,
        ) -> int:
            port = free_port()
            places = {"reviews": backend, **(clusters or {})}
            everything = replace(a_virtual_host("all"), domains=("*",))
            over_tls = replace(a_virtual_host("tls"), domains=("secure.shop",), routes=(), requires_tls=True)
            described = {"name": ListenerName("tls"), "bind": SocketBind(ip="127.0.0.1", port=port), "side": "gateway"}
            plan = a_plan(
                clusters=tuple(a_cluster(name) for name in places),
                endpoints=tuple(endpoints_of(name, at("127.0.0.1", place)) for name, place in places.items()),
                listeners=(Listener(**{**described, **listener}, chains=chains),),  # type: ignore[arg-type]
                route_tables=(a_table(everything, over_tls, name="http"),),
                secrets=(*world.secrets(), *secrets),
            )
            bootstrap = fallback(render(plan, Memo()), assignments(plan, {}, Memo()), settings)
            stack.enter_context(running(envoy_binary, bootstrap, settings))
            return port

        yield start


def a_chain(tls: DownstreamTls | None, **fields: object) -> HttpChain:
    described = {"route_table": RouteTableName("http"), "stat_prefix": "https", "side": "gateway", "tls": tls}
    return HttpChain(**{**described, **fields})  # type: ignore[arg-type]


def ask(port: int, context: ssl.SSLContext | None, **headers: str) -> Answer | None:
    """None where no connection is to be had."""
    connection = (
        http.client.HTTPSConnection("localhost", port, context=context, timeout=10)
        if context
        else http.client.HTTPConnection("localhost", port, timeout=10)
    )
    try:
        connection.request("GET", "/", headers={name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    except OSError:
        return None
    finally:
        connection.close()


def status(port: int, context: ssl.SSLContext) -> int:
    answer = ask(port, context)
    return answer.status if answer else 0


@pytest.mark.spec("G-4.2", "G-4.3")
def test_simple_tls_asks_nobody_who_they_are(serve: Serve, world: World):
    port = serve(a_chain(SIMPLE))

    forged = {"x_forwarded_client_cert": "Subject=forged", "x_forwarded_for": "203.0.113.9"}

    answer = ask(port, world.client(), **forged)

    assert answer is not None
    assert answer.status == 200
    assert "x-forwarded-client-cert" not in answer.seen
    assert answer.seen["x-forwarded-proto"] == "https"
    claimed, seen = answer.seen["x-forwarded-for"].split(",")
    assert (claimed, bool(seen)) == ("203.0.113.9", True)


@pytest.mark.spec("G-4.4")
def test_mutual_tls_takes_who_the_ca_signed_and_tells_the_backend_who_it_is(serve: Serve, world: World):
    port = serve(a_chain(MUTUAL))

    answer = ask(port, world.client(world.alice), x_forwarded_client_cert="Subject=forged")

    assert answer is not None
    shown = answer.seen["x-forwarded-client-cert"]
    assert 'Subject="CN=alice"' in shown
    assert "DNS=alice.shop" in shown
    assert "URI=spiffe://cluster.local/ns/shop/sa/alice" in shown
    assert "Cert=" in shown
    assert "forged" not in shown
    assert status(port, world.client()) == 0
    assert status(port, world.client(world.mallory)) == 0


@pytest.mark.spec("G-4.10")
@pytest.mark.parametrize("name", ["alice.shop", "spiffe://cluster.local/ns/shop/sa/alice"])
def test_one_of_the_names_must_be_in_the_certificate(serve: Serve, world: World, name: str):
    port = serve(a_chain(replace(MUTUAL, subject_alt_names=("nobody", name))))

    assert status(port, world.client(world.alice)) == 200
    assert status(port, world.client(world.bob)) == 0


def test_optional_mutual_tls_judges_only_what_is_shown(serve: Serve, world: World):
    port = serve(a_chain(replace(MUTUAL, requires_client_certificate=False)))

    assert status(port, world.client()) == 200
    assert status(port, world.client(world.alice)) == 200
    assert status(port, world.client(world.mallory)) == 0


@pytest.mark.spec("G-4.16")
@pytest.mark.parametrize("root", [ROOT, None])
def test_a_certificate_that_is_not_judged_is_passed_on(serve: Serve, world: World, root: SecretName | None):
    port = serve(a_chain(replace(SIMPLE, validation=root, accepts_untrusted=True)))

    answer = ask(port, world.client(world.mallory))

    assert answer is not None
    assert 'Subject="CN=mallory"' in answer.seen["x-forwarded-client-cert"]
    assert status(port, world.client()) == 200


def hash_of(pair: Pair) -> str:
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pair.chain.read_text())).hexdigest()


def spki_of(pair: Pair) -> str:
    command = ["openssl", "pkey", "-in", str(pair.key), "-pubout", "-outform", "DER"]
    key = subprocess.run(command, check=True, capture_output=True).stdout
    return base64.b64encode(hashlib.sha256(key).digest()).decode()


@pytest.mark.spec("G-4.11", "G-4.12")
def test_a_match_of_key_or_of_certificate_is_enough(serve: Serve, world: World):
    port = serve(a_chain(replace(MUTUAL, spki=(spki_of(world.alice),), hashes=(hash_of(world.bob),))))

    assert status(port, world.client(world.alice)) == 200
    assert status(port, world.client(world.bob)) == 200
    assert status(port, world.client(world.server)) == 0


@pytest.mark.spec("G-4.13", "G-4.14", "G-4.15", "G-4.17")
def test_versions_ciphers_and_curves_are_as_asked(serve: Serve, world: World):
    strict = replace(
        SIMPLE,
        min_version="TLSv1_2",
        max_version="TLSv1_2",
        cipher_suites=("ECDHE-ECDSA-AES256-GCM-SHA384",),
        ecdh_curves=("P-384",),
    )
    port = serve(a_chain(strict))
    newest = world.client()
    newest.minimum_version = ssl.TLSVersion.TLSv1_3
    other_cipher = world.client()
    other_cipher.maximum_version = ssl.TLSVersion.TLSv1_2
    other_cipher.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    other_curve = world.client()
    other_curve.set_ecdh_curve("prime256v1")

    assert status(port, world.client()) == 200
    assert [status(port, each) for each in (newest, other_cipher, other_curve)] == [0, 0, 0]
    assert handshake(port, world.client()) == ("TLSv1.2", None)


def test_a_client_is_offered_what_the_chain_speaks(serve: Serve, world: World):
    port = serve(a_chain(SIMPLE))
    context = world.client()
    context.set_alpn_protocols(["h2", "http/1.1"])

    assert handshake(port, context) == ("TLSv1.3", "h2")


def handshake(port: int, context: ssl.SSLContext) -> tuple[str | None, str | None]:
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        return connection.version(), connection.selected_alpn_protocol()


@pytest.mark.spec("G-4.7", "G-4.9")
def test_of_two_certificates_a_client_is_shown_the_one_it_understands(serve: Serve, world: World, rsa: Secret):
    port = serve(a_chain(replace(SIMPLE, certificates=(OWN, rsa.name), max_version="TLSv1_2")), secrets=(rsa,))

    def shown(ciphers: str) -> str:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_ciphers(ciphers)
        with (
            socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as connection,
        ):
            return hashlib.sha256(connection.getpeercert(binary_form=True) or b"").hexdigest()

    assert shown("ECDHE-ECDSA-AES128-GCM-SHA256") == hash_of(world.server)
    assert shown("ECDHE-RSA-AES128-GCM-SHA256") != hash_of(world.server)


@pytest.fixture
def rsa(tmp_path: Path) -> CertificateSecret:
    chain, key = str(tmp_path / "rsa.pem"), str(tmp_path / "rsa.key")
    new = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost")
    subprocess.run([*new, "-keyout", key, "-out", chain], check=True, capture_output=True)
    return CertificateSecret(name=SecretName("rsa"), certificate_chain=chain, private_key=key)


def test_of_several_servers_on_a_port_the_name_decides(serve: Serve, world: World):
    open_to_all = a_chain(SIMPLE, match=ChainMatch(server_names=("*.open.shop", "localhost")), stat_prefix="open")
    closed = a_chain(MUTUAL, match=ChainMatch(server_names=("closed.shop",)), stat_prefix="closed")
    port = serve(open_to_all, closed)

    assert status(port, world.client()) == 200
    with suppress(OSError), as_name(port, world, "closed.shop") as stranger:
        stranger.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        assert stranger.recv(100) == b""
    with pytest.raises(OSError, match=r"EOF|reset"), as_name(port, world, "unknown.shop"):
        pass


@contextmanager
def as_name(port: int, world: World, name: str) -> Iterator[ssl.SSLSocket]:
    context = world.client()
    context.check_hostname = False
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=name) as connection,
    ):
        yield connection


def test_bytes_behind_tls_are_passed_on(serve: Serve, world: World):
    with saying("db") as db:
        chain = TcpChain(destinations=(to("db"),), stat_prefix="db", tls=replace(SIMPLE, alpn=()))
        port = serve(chain, clusters={"db": db})

        with as_name(port, world, "db.shop") as connection:
            connection.sendall(b"hello\n")
            assert connection.recv(100) == b"db"


@pytest.mark.spec("G-4.1")
def test_plain_requests_are_sent_to_https_where_the_host_wants_it(serve: Serve):
    port = serve(a_chain(None))

    moved, served = ask(port, None, host="secure.shop"), ask(port, None, host="shop")

    assert moved is not None
    assert served is not None
    assert (moved.status, moved.headers["location"]) == (301, "https://secure.shop/")
    assert served.status == 200
    assert served.seen["x-forwarded-proto"] == "http"


def test_an_inbound_port_takes_the_mesh_strangers_in_plain_text_and_passes_other_tls_on(serve: Serve, world: World):
    """Permissive mutual TLS (spec 10): who offers the mesh's ALPN shows a certificate, the others need none."""
    mesh_tls = replace(MUTUAL, alpn=("istio", "h2", "http/1.1"))
    inbound = a_chain(mesh_tls, side="inbound", match=ChainMatch(transport="tls", alpn=("istio",)), stat_prefix="mesh")
    plain = a_chain(None, side="inbound", match=ChainMatch(transport="raw_buffer"), stat_prefix="plain")
    with saying("own tls") as own:
        other = TcpChain(destinations=(to("own"),), stat_prefix="other", match=ChainMatch(transport="tls"))
        port = serve(inbound, plain, other, clusters={"own": own}, side="inbound")
        peer = world.client(world.alice)
        peer.set_alpn_protocols(["istio"])
        nameless = world.client()
        nameless.set_alpn_protocols(["istio"])

        known, unknown = ask(port, peer, x_forwarded_for="10.0.0.1"), ask(port, None, x_forwarded_client_cert="forged")

        assert known is not None
        assert unknown is not None
        assert "URI=spiffe://cluster.local/ns/shop/sa/alice" in known.seen["x-forwarded-client-cert"]
        assert known.seen["x-forwarded-for"] == "10.0.0.1"
        assert (unknown.status, "x-forwarded-client-cert" in unknown.seen) == (200, False)
        assert status(port, nameless) == 0
        assert told(port, begins=client_hello("localhost")) == "own tls"
