"""TLS among members of the mesh: who opens it, to whom, by which name; and by credentials (spec 6.4, D-74 to D-83)."""

from __future__ import annotations

import shutil
import ssl
from collections import Counter
from pathlib import Path

import pytest

from tests.live.backends import Backends
from tests.live.cases import Case, case, only
from tests.live.certificates import Authority, Pair, authority, server_context
from tests.live.requests import Exchange, get
from tests.live.world import Live

pytestmark = pytest.mark.envoy

NETWORK = "near"
DOCUMENTS = """
apiVersion: meshd.io/v1
kind: MeshConfig
metadata: {name: mesh}
spec:
  identity: {certChain: $mesh_chain, key: $mesh_key, rootCert: $ca}
  secretRoot: $credentials
  networks: {far: {gateways: [{address: 127.0.0.1, port: $member}]}}
"""
HTTP = "    - {route: [{destination: {host: $host%s}}], retries: {}}"
SHOP = "serviceAccount: shop"
LABELLED = "labels: {security.istio.io/tlsMode: %s}"


def among(
    id: str,  # noqa: A002
    *exchanges: Exchange,
    endpoints: tuple[str, ...] = (f"$member, {SHOP}",),
    policy: str = "",
    location: str = "MESH_INTERNAL",
    protocol: str = "HTTP",
    subset: str = "",
    more: str = "",
) -> Case:
    """Each of `endpoints` begins with its port, and has more fields then."""
    listed = "".join(
        f"- {{address: 127.0.0.1, ports: {{own: {port}}}, {fields}}}\n"
        for port, _, fields in (each.partition(", ") for each in endpoints)
    )
    entry = (
        f"location: {location}\nports: [{{number: 80, name: own, protocol: {protocol}}}]\nresolution: STATIC\n{more}\n"
    )
    return case(
        id,
        *exchanges,
        http=HTTP % (f", subset: {subset}" if subset else ""),
        subsets=f"- {{name: {subset}}}" if subset else "",
        policy=policy,
        entry=f"{entry}endpoints:\n{listed}",
    )


def credentialed(id: str, tls: str, *exchanges: Exchange, backend: str, selector: bool = True) -> Case:  # noqa: A002
    selected = "  workloadSelector: {matchLabels: {app: web}}\n" if selector else ""
    return case(
        id,
        *exchanges,
        http=HTTP % "",
        subsets="",
        entry=f"""
        ports: [{{number: 80, name: http, protocol: HTTP}}]
        resolution: STATIC
        endpoints: [{{address: 127.0.0.1, ports: {{http: ${backend}}}}}]
        """,
        mesh="apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: $name}\nspec:\n"
        f"  host: $host\n{selected}  trafficPolicy: {{tls: {tls}}}\n",
    )


def named(name: str, alpn: str | None = "istio", client: str | None = "vm-1") -> Exchange:
    return get().gives(tls={"sni": name, "alpn": alpn, "client": client})


REFUSED = get().gives(503, headers={"x-backend": None})
MUTUAL = "tls: {mode: ISTIO_MUTUAL%s}"

MIXED = among(
    "S-6-4-some-with-and-some-without",
    endpoints=(f"$member, {SHOP}", "$v1, weight: 1"),
    policy="loadBalancer: {simple: ROUND_ROBIN}",
)
IN_HTTP_2 = among("D-74-HTTP-2", policy=MUTUAL % "", protocol="HTTP2", endpoints=(f"$member2, {SHOP}",))

CASES = (
    MIXED,
    IN_HTTP_2,
    # --- asked for ---
    among("D-74-ISTIO-MUTUAL", named("outbound_.80_._.$host"), policy=MUTUAL % ""),
    among("D-74-the-name-of-a-subset", named("outbound_.80_.all_.$host"), policy=MUTUAL % "", subset="all"),
    among("D-79-its-own-name", named("chosen.example"), policy=MUTUAL % ", sni: chosen.example"),
    among("D-74-somebody-else", REFUSED, policy=MUTUAL % "", endpoints=(f"$intruder, {SHOP}",)),
    among(
        "D-78-somebody-else-who-is-expected",
        get().gives(by="intruder"),
        policy=MUTUAL % ", subjectAltNames: ['spiffe://cluster.local/ns/default/sa/intruder']",
        endpoints=(f"$intruder, {SHOP}",),
    ),
    among(
        "S-12-names-of-the-service-beside-those-of-its-endpoints",
        get().gives(by="intruder"),
        policy=MUTUAL % "",
        endpoints=(f"$intruder, {SHOP}",),
        more="subjectAltNames: ['spiffe://cluster.local/ns/default/sa/intruder']",
    ),
    among("D-74-a-server-of-another-authority", REFUSED, policy=MUTUAL % "", endpoints=(f"$foreigner, {SHOP}",)),
    among(
        "D-74-also-to-who-is-outside",
        named("outbound_.80_._.$host"),
        policy=MUTUAL % "",
        location="MESH_EXTERNAL",
    ),
    # --- by itself ---
    among("S-6-4-who-has-a-service-account", named("outbound_.80_._.$host")),
    among("S-6-4-who-has-the-label", named("outbound_.80_._.$host"), endpoints=(f"$member, {LABELLED % 'istio'}",)),
    among(
        "S-6-4-a-label-says-otherwise",
        get().gives(by="v1"),
        endpoints=(f"$v1, {SHOP}, {LABELLED % 'disabled'}",),
    ),
    among("S-6-4-who-has-neither", get().gives(by="v1"), endpoints=("$v1, weight: 1",)),
    among("S-7-never-to-who-is-outside", get().gives(by="v1"), location="MESH_EXTERNAL", endpoints=(f"$v1, {SHOP}",)),
    among("S-6-4-somebody-else", REFUSED, endpoints=(f"$intruder, {SHOP}",)),
    among(
        "S-6-4-a-rule-about-balancing-changes-nothing",
        named("outbound_.80_._.$host"),
        policy="loadBalancer: {simple: RANDOM}",
    ),
    among(
        "D-71-DISABLE-is-plain-text-to-members-too", get().gives(by="v1"), endpoints=(f"$v1, {SHOP}",), policy="tls: {}"
    ),
    among(
        "D-72-SIMPLE-replaces-it",
        get().gives(by="secure", tls={"sni": "secure.live", "client": None}),
        endpoints=(f"$secure, {SHOP}",),
        policy="tls: {mode: SIMPLE, caCertificates: $ca, sni: secure.live, subjectAltNames: [secure.live]}",
    ),
    # --- groups and networks ---
    only(
        "W-11-a-member-of-a-group-is-who-its-template-says",
        named("outbound_.80_._.$host"),
        get().gives(by="grouped"),
        mesh="""
        apiVersion: networking.istio.io/v1
        kind: WorkloadGroup
        metadata: {name: $name}
        spec:
          metadata: {labels: {app: $name}}
          template: {ports: {http: $grouped}}
        ---
        apiVersion: networking.istio.io/v1
        kind: WorkloadEntry
        metadata: {name: $name-1, annotations: {istio.io/autoRegistrationGroup: $name}}
        spec: {address: 127.0.0.1}
        ---
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {name: $name}
        spec:
          hosts: [$host]
          location: MESH_INTERNAL
          resolution: STATIC
          ports: [{number: 80, name: http, protocol: HTTP}]
          workloadSelector: {labels: {app: $name}}
        """,
    ),
    among(
        "W-4-another-network-is-behind-its-gateway",
        named("outbound_.80_._.$host"),
        endpoints=(f"$dead, {SHOP}, network: far",),
    ),
    # --- credentials ---
    credentialed(
        "D-77-SIMPLE-uses-the-CA-of-a-credential",
        "{mode: SIMPLE, credentialName: shop, sni: secure.live}",
        get().gives(by="secure", tls={"client": None}),
        backend="secure",
    ),
    credentialed(
        "D-77-and-believes-no-other",
        "{mode: SIMPLE, credentialName: shop, sni: secure.live}",
        REFUSED,
        backend="stranger",
    ),
    credentialed(
        "D-77-MUTUAL-shows-its-certificate",
        "{mode: MUTUAL, credentialName: shop, sni: secure.live}",
        get().gives(by="mutual", tls={"client": "vm-1"}),
        backend="mutual",
    ),
    credentialed(
        "D-77-without-selector-nothing-leaves",
        "{mode: SIMPLE, credentialName: shop, sni: secure.live}",
        REFUSED,
        backend="v1",
        selector=False,
    ),
    # --- what is revoked, which version ---
    credentialed(
        "D-82-who-is-revoked-is-not-believed",
        "{mode: SIMPLE, caCertificates: $revoking_ca, caCrl: $crl, sni: revoked.live}",
        REFUSED,
        backend="revoked",
    ),
    credentialed(
        "D-82-the-others-are",
        "{mode: SIMPLE, caCertificates: $revoking_ca, caCrl: $crl, sni: good.live}",
        get().gives(by="unrevoked"),
        backend="unrevoked",
    ),
    *(
        credentialed(
            f"D-83-TLS-1-{version}",
            "{mode: SIMPLE, caCertificates: $ca, sni: secure.live}",
            get().gives(by=f"tls1{version}"),
            backend=f"tls1{version}",
        )
        for version in (2, 3)
    ),
)


@pytest.fixture(scope="module")
def names(
    names: dict[str, str], backends: Backends, ca: Authority, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    def identity(account: str, of: Authority = ca) -> Pair:
        return of.signed(account, f"URI:spiffe://cluster.local/ns/default/sa/{account}")

    own = identity("vm-1")
    strangers = authority(tmp_path_factory.mktemp("strangers"), "foreign mesh CA")
    for version, pair, alpn in (
        ("member", identity("shop"), ["istio"]),
        ("member2", identity("shop"), ["h2", "istio"]),
        ("intruder", identity("intruder"), ["istio"]),
        ("foreigner", identity("shop", strangers), ["istio"]),
        ("grouped", identity("default"), ["istio"]),
    ):
        context = server_context(pair, clients=ca)
        context.set_alpn_protocols(alpn)
        backends.serve(version, context)
    for version, number in (("tls12", ssl.TLSVersion.TLSv1_2), ("tls13", ssl.TLSVersion.TLSv1_3)):
        context = server_context(ca.signed(version, "DNS:secure.live"))
        context.minimum_version = context.maximum_version = number
        backends.serve(version, context)
    files = {"mesh_chain": own.chain, "mesh_key": own.key, "credentials": _credentials(tmp_path_factory, own, ca)}
    files |= _revoked(backends, authority(tmp_path_factory.mktemp("revoking"), "revoking CA"))
    ports = {version: str(port) for version, port in backends.ports.items()}
    return names | ports | {name: str(path) for name, path in files.items()}


def _credentials(factory: pytest.TempPathFactory, pair: Pair, ca: Authority) -> Path:
    directory = factory.mktemp("credentials") / "shop"
    directory.mkdir()
    for source, name in ((pair.chain, "tls.crt"), (pair.key, "tls.key"), (ca.file, "ca.crt")):
        shutil.copy(source, directory / name)
    return directory.parent


def _revoked(backends: Backends, ca: Authority) -> dict[str, Path]:
    """Two servers of one authority, of which one is revoked."""
    pairs = {"revoked": ca.signed("revoked", "DNS:revoked.live"), "unrevoked": ca.signed("good", "DNS:good.live")}
    for version, pair in pairs.items():
        backends.serve(version, server_context(pair))
    return {"revoking_ca": ca.file, "crl": ca.revoking(pairs["revoked"])}


def test_mesh_tls(live: Live, case: Case):
    for exchange in case.exchanges:
        live.holds(case, exchange)


def test_each_endpoint_is_spoken_to_as_it_is(live: Live):
    """6.4."""
    answers = [live.send(get(), MIXED) for _ in range(10)]

    assert Counter(answer.by for answer in answers) == {"member": 5, "v1": 5}


def test_members_speak_http_2_where_the_port_does(live: Live):
    """D-74: `h2` is offered beside `istio`."""
    answer = live.send(get(), IN_HTTP_2)

    assert answer.by == "member2"
    assert ("member2", "h2") in live.backends.prefaces
