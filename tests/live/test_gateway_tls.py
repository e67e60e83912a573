"""TLS that a gateway ends: who is let in, with which certificate, and what the backend learns of the client (G-4)."""

from __future__ import annotations

import base64
import hashlib
import shutil
import ssl
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.live.cases import Case, only
from tests.live.certificates import Authority, Pair, authority
from tests.live.gateways import WORKLOAD, ports
from tests.live.requests import Ask, Keys, Secure, ask, get, opened
from tests.live.world import Live

pytestmark = pytest.mark.envoy

LISTENERS = ("tls", "any", "web")

FILES = "serverCertificate: $gateway_chain, privateKey: $gateway_key"
SERVERS = {
    "simple": f"{{mode: SIMPLE, {FILES}}}",
    "mutual": f"{{mode: MUTUAL, {FILES}, caCertificates: $ca}}",
    "optional": f"{{mode: OPTIONAL_MUTUAL, {FILES}, caCertificates: $ca}}",
    "mesh": "{mode: ISTIO_MUTUAL}",
    "mesh-named": "{mode: ISTIO_MUTUAL, subjectAltNames: ['spiffe://cluster.local/ns/shop/sa/web']}",
    "rsa": "{mode: SIMPLE, credentialName: rsa}",
    "folder": "{mode: SIMPLE, credentialName: team/inner}",
    "two": "{mode: SIMPLE, credentialNames: [rsa, ecdsa]}",
    "two-files": (
        "{mode: SIMPLE, tlsCertificates: [{serverCertificate: $secrets/rsa/tls.crt, privateKey: $secrets/rsa/tls.key}, "
        "{serverCertificate: $secrets/ecdsa/tls.crt, privateKey: $secrets/ecdsa/tls.key}]}"
    ),
    "own-ca": "{mode: MUTUAL, credentialName: ecdsa}",
    "beside-ca": "{mode: MUTUAL, credentialName: rsa}",
    "first-ca": "{mode: MUTUAL, credentialNames: [rsa, ecdsa]}",
    "named-ca": "{mode: MUTUAL, credentialName: ecdsa, caCertCredentialName: rsa-cacert}",
    "revoked": f"{{mode: MUTUAL, {FILES}, caCertificates: $ca, caCrl: $crl}}",
    "revoking": "{mode: MUTUAL, credentialName: revoking}",
    "san": f"{{mode: MUTUAL, {FILES}, caCertificates: $ca, subjectAltNames: [nobody.live, vm-1.live]}}",
    "other-san": f"{{mode: OPTIONAL_MUTUAL, {FILES}, caCertificates: $ca, subjectAltNames: [nobody.live]}}",
    "spki": f"{{mode: MUTUAL, {FILES}, caCertificates: $ca, verifyCertificateSpki: ['$spki']}}",
    "optional-spki": f"{{mode: OPTIONAL_MUTUAL, {FILES}, caCertificates: $ca, verifyCertificateSpki: ['$spki']}}",
    "hash": f"{{mode: MUTUAL, {FILES}, caCertificates: $ca, verifyCertificateHash: ['$hash']}}",
    "either": (
        f"{{mode: MUTUAL, {FILES}, caCertificates: $ca, verifyCertificateSpki: ['$spki'], "
        "verifyCertificateHash: ['$member_hash']}"
    ),
    "unverified": f"{{mode: MUTUAL, {FILES}, caCertificates: $ca, insecureSkipVerify: true}}",
    "unnamed": (
        f"{{mode: MUTUAL, {FILES}, caCertificates: $ca, insecureSkipVerify: true, subjectAltNames: [nobody.live]}}"
    ),
    "newest": f"{{mode: SIMPLE, {FILES}, minProtocolVersion: TLSV1_3}}",
    "older": f"{{mode: SIMPLE, {FILES}, maxProtocolVersion: TLSV1_2}}",
    "cipher": (
        f"{{mode: SIMPLE, {FILES}, maxProtocolVersion: TLSV1_2, "
        "cipherSuites: [ECDHE-ECDSA-AES256-GCM-SHA384, NO-SUCH-CIPHER]}"
    ),
    "curve": f"{{mode: SIMPLE, {FILES}, ecdhCurves: [P-384]}}",
}


def server(host: str, tls: str, number: int = 443) -> str:
    name = host.partition(".")[0].replace("*", "any")
    return f"  - {{port: {{number: {number}, name: https-{name}, protocol: HTTPS}}, hosts: ['{host}'], tls: {tls}}}\n"


SIMPLE = SERVERS["simple"]
DOCUMENTS = f"""
{WORKLOAD}
{ports(p80="$web", p443="$tls", p8443="$any")}
apiVersion: meshd.io/v1
kind: MeshConfig
metadata: {{name: mesh}}
spec:
  secretRoot: $secrets
  autoMtls: false
  identity: {{certChain: $gateway_chain, key: $gateway_key, rootCert: $ca}}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: edge}}
spec:
  selector: {{istio: ingressgateway}}
  servers:
  - {{port: {{number: 80, name: http, protocol: HTTP}}, hosts: ["*.tls.live"], tls: {{httpsRedirect: true}}}}
{"".join(server(f"{name}.tls.live", tls) for name, tls in SERVERS.items())}
  - port: {{number: 443, name: https-counted, protocol: HTTPS}}
    name: the-shop
    hosts: [counted.tls.live]
    tls: {SIMPLE}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: edge, namespace: team}}
spec:
  selector: {{istio: ingressgateway}}
  servers:
{server("team.tls.live", SIMPLE)}
{server("*.below.tls.live", SIMPLE)}
{server("a.below.tls.live", SERVERS["mutual"])}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: any}}
spec:
  selector: {{istio: ingressgateway}}
  servers:
{server("*", SIMPLE, 8443)}
{server("one.tls.live", SERVERS["mutual"], 8443)}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: behind}}
spec:
  hosts: [behind.live]
  resolution: STATIC
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  endpoints: [{{address: 127.0.0.1, ports: {{http: $v1}}}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: behind}}
spec:
  hosts: ["*.tls.live"]
  gateways: [edge, team/edge, any]
  http:
  - match: [{{uri: {{prefix: /moved}}}}]
    redirect: {{uri: /there, authority: moved.tls.live}}
  - match: [{{uri: {{prefix: /from-request}}}}]
    redirect: {{uri: /there, derivePort: FROM_REQUEST_PORT}}
  - match: [{{uri: {{prefix: /conditions}}, scheme: {{exact: https}}, port: 443}}]
    directResponse: {{status: 418}}
  - route: [{{destination: {{host: behind.live, port: {{number: 80}}}}}}]
"""


@pytest.fixture(scope="module")
def member(ca: Authority) -> Pair:
    """Another client that `ca` has signed, with an identity of the mesh."""
    return ca.signed("the member", "DNS:member.live", "URI:spiffe://cluster.local/ns/shop/sa/web")


@pytest.fixture(scope="module")
def keys(keys: Keys, member: Pair) -> Keys:
    return replace(keys, pairs={**keys.pairs, "member": member})


@pytest.fixture(scope="module")
def names(
    names: dict[str, str], ca: Authority, keys: Keys, member: Pair, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """A file store with credentials, and digests of clients."""
    store = tmp_path_factory.mktemp("secrets")
    other = authority(store, "other CA")
    rsa = ca.signed("rsa", "DNS:*.tls.live", rsa=True)
    ecdsa = ca.signed("ecdsa", "DNS:*.tls.live")
    revoked = ca.revoking(member)
    kept(store / "rsa", rsa)
    kept(store / "rsa-cacert", ca=ca.file)
    kept(store / "ecdsa", ecdsa, ca=other.file)
    kept(store / "team" / "inner", ecdsa)
    kept(store / "revoking", ecdsa, ca=ca.file, crl=revoked)
    client = keys.pairs["client"]
    digests = {"spki": spki_of(client), "hash": hash_of(client), "member_hash": hash_of(member, ":")}
    return {**names, "secrets": str(store), "crl": str(revoked), **digests}


def kept(folder: Path, pair: Pair | None = None, ca: Path | None = None, crl: Path | None = None) -> None:
    folder.mkdir(parents=True)
    files = {"tls.crt": pair and pair.chain, "tls.key": pair and pair.key, "ca.crt": ca, "ca.crl": crl}
    for name, file in files.items():
        if file:
            shutil.copy(file, folder / name)


def spki_of(pair: Pair) -> str:
    command = ["openssl", "pkey", "-in", str(pair.key), "-pubout", "-outform", "DER"]
    key = subprocess.run(command, check=True, capture_output=True).stdout
    return base64.b64encode(hashlib.sha256(key).digest()).decode()


def hash_of(pair: Pair, between: str = "") -> str:
    certificate = ssl.PEM_cert_to_DER_cert(pair.chain.read_text())
    digest = hashlib.sha256(certificate).digest()
    return digest.hex(between) if between else digest.hex()


def at(server: str, pair: str = "", path: str = "/", **headers: str) -> Ask:
    return get(path, **headers).through("tls").over_tls(f"{server}.tls.live", pair)


def asked(id: str, *exchanges: object) -> Case:  # noqa: A002
    return only(id, *exchanges, mesh="")  # type: ignore[arg-type]


FORGED = "By=spiffe://cluster.local;URI=spiffe://cluster.local/ns/bank/sa/boss"

CASES = (
    # --- modes ---
    asked(
        "G-4.2-SIMPLE-asks-for-no-certificate",
        at("simple", path="/a").gives(by="v1", path="/a", sent_host="simple.tls.live"),
        at("simple", "client").gives(by="v1", sent={"x-forwarded-client-cert": None}),
        at("simple").gives(sent={"x-forwarded-proto": "https"}),
        get().through("tls").to("simple.tls.live").is_refused(),
    ),
    asked(
        "G-4.2-MUTUAL-wants-one-of-the-CA",
        at("mutual", "client").gives(by="v1"),
        at("mutual").is_refused(),
        at("mutual", "stranger").is_refused(),
    ),
    asked(
        "G-4.2-OPTIONAL_MUTUAL-verifies-what-is-shown".replace("_", "-"),
        at("optional", "client").gives(by="v1"),
        at("optional", x_forwarded_client_cert=FORGED).gives(by="v1", sent={"x-forwarded-client-cert": None}),
        at("optional", "stranger").is_refused(),
    ),
    asked(
        "G-4.2-ISTIO-MUTUAL-is-for-members-of-the-mesh",
        at("mesh", "member").gives(by="v1"),
        at("mesh").is_refused(),
        at("mesh", "stranger").is_refused(),
        at("mesh-named", "member").gives(by="v1"),
        at("mesh-named", "client").is_refused(),
    ),
    # --- names ---
    asked(
        "G-3.7-a-server-name-has-its-own-hosts-only",
        at("simple").to("simple.tls.live:443").gives(by="v1"),
        at("simple").to("mutual.tls.live").gives(404),
        at("simple").to("other.example").gives(404),
        get().through("tls").over_tls("nobody.tls.live").is_refused(),
        get().through("tls").over_tls("").is_refused(),
    ),
    asked(
        "G-3.7-the-most-specific-server-name",
        at("b.below").gives(by="v1"),
        at("a.below", "client").gives(by="v1"),
        at("a.below").is_refused(),
    ),
    asked(
        "G-3.7-every-server-name",
        get().through("any").over_tls("x.tls.live").gives(by="v1"),
        get().through("any").over_tls("x.tls.live").to("y.tls.live").gives(by="v1"),
        get().through("any").over_tls("one.tls.live", "client").gives(by="v1"),
        get().through("any").over_tls("one.tls.live").is_refused(),
        get().to("x.tls.live", "any").over_tls("").gives(by="v1"),
    ),
    asked(
        "G-4.2-no-way-around-a-certificate",
        get().through("any").over_tls("x.tls.live").to("one.tls.live").gives(421),
        get().through("any").over_tls("x.tls.live").to("One.tls.live:443").gives(421),
        at("b.below").to("a.below.tls.live").gives(421),
        at("b.below").to("x.a.below.tls.live").gives(by="v1"),
    ),
    asked("G-3-servers-of-two-Gateways-on-one-port", at("team").gives(by="v1")),
    asked(
        "G-4.1-plain-text-is-sent-to-TLS",
        get("/a?b").to("simple.tls.live", "web").gives(301, headers={"location": "https://simple.tls.live/a?b"}),
        get("/a?b").to("unheard-of.tls.live", "web").gives(301),
        get("/conditions").to("simple.tls.live", "web").gives(301),
    ),
    asked(
        "V-62-the-scheme-is-that-of-the-server",
        at("simple", path="/moved").gives(301, headers={"location": "https://moved.tls.live/there"}),
        at("simple", path="/from-request").gives(301, headers={"location": "https://simple.tls.live/there"}),
    ),
    asked(
        "V-37-the-port-and-the-scheme-of-the-server",
        at("simple", path="/conditions").gives(418),
        get("/conditions").through("any").over_tls("x.tls.live").gives(by="v1"),
    ),
    # --- where certificates are ---
    asked("G-4.3-files", at("simple").gives(by="v1")),
    asked("G-4.6-a-credential", at("rsa").gives(by="v1"), at("folder").gives(by="v1")),
    asked(
        "G-4.4-the-CA-of-a-credential-or-beside-it",
        at("own-ca", "client").is_refused(),
        at("beside-ca", "client").gives(by="v1"),
        at("beside-ca", "stranger").is_refused(),
        at("first-ca", "client").gives(by="v1"),
    ),
    asked("G-4.8-a-CA-of-its-own-wins", at("named-ca", "client").gives(by="v1"), at("named-ca").is_refused()),
    asked(
        "G-4.5-who-is-revoked-is-out",
        at("revoked", "client").gives(by="v1"),
        at("revoked", "member").is_refused(),
        at("revoking", "client").gives(by="v1"),
        at("revoking", "member").is_refused(),
    ),
    # --- what is asked of a client's certificate ---
    asked(
        "G-4.10-one-of-the-names",
        at("san", "client").gives(by="v1"),
        at("san", "member").is_refused(),
        at("san", "stranger").is_refused(),
        at("other-san", "client").is_refused(),
        at("other-san").is_refused(),  # Envoy: who has to have a name has to show a certificate
    ),
    asked(
        "G-4.11-the-key",
        at("spki", "client").gives(by="v1"),
        at("spki", "member").is_refused(),
        at("optional-spki").is_refused(),
    ),
    asked(
        "G-4.12-the-certificate",
        at("hash", "client").gives(by="v1"),
        at("hash", "member").is_refused(),
        at("either", "client").gives(by="v1"),
        at("either", "member").gives(by="v1"),
        at("either", "stranger").is_refused(),
    ),
    asked(
        "G-4.16-anybody-may-show-anything",
        at("unverified").gives(by="v1", sent={"x-forwarded-client-cert": None}),
        at("unverified", "client").gives(by="v1"),
        at("unverified", "stranger").gives(by="v1"),
        at("unnamed").gives(by="v1"),
        at("unnamed", "stranger").gives(by="v1"),
    ),
    # --- protocols ---
    asked(
        "G-3.3-HTTP-2-over-TLS",
        at("simple", path="/h2").in_http2().gives(by="v1", path="/h2", sent_host="simple.tls.live"),
        at("simple").in_http2().to("mutual.tls.live").gives(404),
        ask("POST", "/p").through("tls").over_tls("mutual.tls.live", "client").in_http2().gives(by="v1"),
    ),
)


def test_tls(live: Live, case: Case):
    for exchange in case.exchanges:
        live.holds(case, exchange)


# --- what the backend learns of the client ----------------------------------------------------------------------


@pytest.mark.spec("G-4.2")
def test_a_backend_learns_who_was_verified(live: Live):
    """4.3: subject, certificate and names; what the client says of others is gone."""
    answer = live.send(at("mutual", "member", x_forwarded_client_cert=FORGED), CASES[0])

    (told,) = answer.sent("x-forwarded-client-cert")
    assert "boss" not in told
    assert 'Subject="CN=the member"' in told
    assert "URI=spiffe://cluster.local/ns/shop/sa/web" in told
    assert "DNS=member.live" in told
    assert 'Cert="-----BEGIN%20CERTIFICATE-----' in told


@pytest.mark.spec("G-4.16")
def test_a_backend_learns_who_was_not_verified(live: Live):
    answer = live.send(at("unverified", "stranger"), CASES[0])

    (told,) = answer.sent("x-forwarded-client-cert")
    assert 'Subject="CN=the stranger"' in told


@pytest.mark.spec("G-3.1")
def test_a_server_is_counted_by_its_name(live: Live):
    assert live.send(at("counted"), CASES[0]).status == 200

    assert live.statistic(r"http\.the-shop\.downstream_rq_2xx", "gateway") == 1


# --- the handshake ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Shaken:
    version: str | None
    cipher: str
    alpn: str | None
    certificate: str


def shaken(live: Live, server: str, change: Callable[[ssl.SSLContext], object] = lambda _: None) -> Shaken:
    """`change`: what is particular to this client."""
    name = f"{server}.tls.live"
    context = live.keys.context(Secure(sni=name, alpn=("h2", "http/1.1")))
    change(context)
    plain = opened(live.listeners["tls"])
    with plain, context.wrap_socket(plain, server_hostname=name) as client:
        subject = dict(part for group in (client.getpeercert() or {})["subject"] for part in group)  # type: ignore[index]
        cipher = (client.cipher() or ("",))[0]
        return Shaken(
            version=client.version(),
            cipher=cipher,
            alpn=client.selected_alpn_protocol(),
            certificate=str(subject["commonName"]),
        )


def at_most_1_2(context: ssl.SSLContext) -> None:
    context.maximum_version = ssl.TLSVersion.TLSv1_2


def only_of(ciphers: str) -> Callable[[ssl.SSLContext], None]:
    def change(context: ssl.SSLContext) -> None:
        at_most_1_2(context)
        context.set_ciphers(ciphers)

    return change


RSA, ECDSA = only_of("ECDHE-RSA-AES128-GCM-SHA256"), only_of("ECDHE-ECDSA-AES128-GCM-SHA256")


@pytest.mark.spec("G-4.13", "G-4.14")
def test_versions_are_from_1_2_unless_the_server_says_otherwise(live: Live):
    assert shaken(live, "simple").version == "TLSv1.3"
    assert shaken(live, "simple", at_most_1_2).version == "TLSv1.2"
    assert shaken(live, "older").version == "TLSv1.2"
    assert shaken(live, "newest").version == "TLSv1.3"
    with pytest.raises(ssl.SSLError):
        shaken(live, "newest", at_most_1_2)


@pytest.mark.spec("G-4.15")
def test_ciphers_are_those_that_the_server_lists(live: Live):
    assert shaken(live, "cipher").cipher == "ECDHE-ECDSA-AES256-GCM-SHA384"
    with pytest.raises(ssl.SSLError):
        shaken(live, "cipher", ECDSA)


@pytest.mark.spec("G-4.17")
def test_curves_are_those_that_the_server_lists(live: Live):
    shaken(live, "curve", lambda context: context.set_ecdh_curve("secp384r1"))
    with pytest.raises(ssl.SSLError):
        shaken(live, "curve", lambda context: context.set_ecdh_curve("prime256v1"))


@pytest.mark.parametrize("server", [pytest.param("two", marks=pytest.mark.spec("G-4.7")), "two-files"])
@pytest.mark.spec("G-4.9")
def test_of_two_certificates_a_client_gets_the_one_that_it_understands(live: Live, server: str):
    assert shaken(live, server, RSA).certificate == "rsa"
    assert shaken(live, server, ECDSA).certificate == "ecdsa"


@pytest.mark.spec("G-4.6")
@pytest.mark.parametrize(("server", "shown"), [("rsa", "rsa"), ("folder", "ecdsa"), ("simple", "gateway")])
def test_a_server_shows_the_certificate_that_it_is_told_to(live: Live, server: str, shown: str):
    assert shaken(live, server).certificate == shown


@pytest.mark.spec("G-4.2")
def test_http_2_is_offered_before_http_1(live: Live):
    assert shaken(live, "simple").alpn == "h2"
    assert shaken(live, "simple", lambda context: context.set_alpn_protocols(["http/1.1"])).alpn == "http/1.1"
    assert shaken(live, "simple", lambda context: context.set_alpn_protocols(["istio"])).alpn is None


@pytest.mark.spec("G-3.3")
def test_a_websocket_is_let_through_tls(live: Live):
    secure = Secure(sni="mutual.tls.live", pair="client", alpn=("http/1.1",))
    with opened(live.listeners["tls"], secure=secure, keys=live.keys) as client:
        client.sendall(
            b"GET /chat HTTP/1.1\r\nhost: mutual.tls.live\r\nx-live: 0\r\n"
            b"connection: Upgrade\r\nupgrade: websocket\r\n\r\n"
        )
        head = client.recv(1000)
        client.sendall(b"\x00 any bytes")
        echoed = client.recv(1000)

    assert head.startswith(b"HTTP/1.1 101")
    assert echoed == b"\x00 any bytes"
