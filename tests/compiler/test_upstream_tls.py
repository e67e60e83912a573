"""The TLS that a proxy opens: what a DestinationRule asks for, and what the mesh does by itself."""

from __future__ import annotations

import pytest

from meshd.compiler.host import host_of
from meshd.compiler.upstream.upstream import Upstream, upstream
from meshd.memo import Memo
from meshd.names import ProxyName
from meshd.plan import ByEds, CertificateSecret, OriginalDestination, UpstreamTls, ValidationSecret
from meshd.resources import traffic_policy as tp
from meshd.resources.destination_rule import LabelSelector, TrafficPolicy
from meshd.resources.mesh_config import Identity
from meshd.resources.resource import Resource
from meshd.resources.service_entry import ServiceEntry
from tests.builders import (
    a_destination_rule,
    a_mesh,
    a_mesh_config,
    a_port,
    a_service_entry,
    a_subset,
    a_workload_entry,
    an_endpoint,
)
from tests.compiler.plans import HOST

SYSTEM_STORES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
)
SYSTEM_CA = "file-root:/etc/ssl/certs/ca-certificates.crt"


def called(*resources: Resource, proxy: ProxyName = "sidecar", **workload: object) -> Upstream:
    """The only service, as `vm-1` calls it."""
    memo = Memo()
    mesh = a_mesh(a_workload_entry(**workload), *resources, memo=memo)
    host = host_of(mesh, HOST, memo)
    ((service,),) = mesh.services.values()
    assert host
    return upstream(service, host, proxy, *(rule for rules in mesh.destination_rules.values() for rule in rules))


def tls_policy(**settings: object) -> TrafficPolicy:
    return TrafficPolicy(tls=tp.ClientTLSSettings(**settings))


def asking(port: str = "http", service: dict[str, object] | None = None, **settings: object) -> Upstream:
    entry = a_service_entry(ports=(a_port(name=port),), **service or {})
    return called(entry, a_destination_rule(traffic_policy=tls_policy(**settings)))


def tls_of(port: str = "http", service: dict[str, object] | None = None, **settings: object) -> UpstreamTls:
    tls = asking(port, service, **settings).clusters[0].tls
    assert tls
    return tls


def secrets_of(made: Upstream) -> dict[str, CertificateSecret | ValidationSecret]:
    return {secret.name: secret for secret in made.secrets}


# --- SIMPLE and MUTUAL --------------------------------------------------------------------------------------------


@pytest.mark.spec("D-70", "D-71")
def test_no_tls_is_opened_where_none_is_asked_for():
    assert called(a_service_entry()).clusters[0].tls is None
    assert asking(mode="DISABLE").clusters[0].tls is None
    assert asking().clusters[0].tls is None


@pytest.mark.spec("D-72", "D-76", "D-79", "D-80")
def test_tls_verifies_chain_and_name_unless_told_otherwise():
    tls = tls_of(mode="SIMPLE")

    assert (tls.sni, tls.validation, tls.san_from_host, tls.certificate) == (None, SYSTEM_CA, True, None)


@pytest.mark.spec("D-79")
def test_an_empty_sni_is_an_absent_one_and_does_not_end_the_check_of_names():
    assert tls_of(mode="SIMPLE", sni="") == tls_of(mode="SIMPLE")
    assert tls_of("tcp", mode="SIMPLE", sni="") == tls_of("tcp", mode="SIMPLE")


@pytest.mark.spec("D-79", "D-80")
def test_an_own_sni_is_sent_as_it_is_and_ends_the_automatic_check_of_names():
    tls = tls_of(mode="SIMPLE", sni="a.example")

    assert (tls.sni, tls.subject_alt_names, tls.san_from_host) == ("a.example", (), False)


@pytest.mark.spec("D-79")
def test_tls_for_bytes_without_host_verifies_the_services_name():
    tls = tls_of("tcp", mode="SIMPLE")

    assert (tls.sni, tls.subject_alt_names, tls.san_from_host) == ("reviews.shop", ("reviews.shop",), False)


@pytest.mark.spec("D-79")
def test_tls_for_bytes_of_a_wildcard_service_has_no_name_to_send():
    wildcard = a_service_entry(hosts=("*.shop",), ports=(a_port(name="tls"),), endpoints=(an_endpoint(),))

    tls = called(wildcard, a_destination_rule(host="*.shop", traffic_policy=tls_policy(mode="SIMPLE"))).clusters[0].tls

    assert tls
    assert (tls.sni, tls.subject_alt_names, tls.san_from_host) == ("", (), False)


@pytest.mark.spec("D-78", "D-80", "S-12")
def test_names_of_the_rule_win_over_those_of_the_service_and_over_the_host():
    service = {"subject_alt_names": ("a.example",)}

    of_the_service = tls_of(mode="SIMPLE", service=service)
    of_the_rule = tls_of(mode="SIMPLE", service=service, subject_alt_names=("b.example",))

    assert (of_the_service.subject_alt_names, of_the_service.san_from_host) == (("a.example",), False)
    assert (of_the_rule.subject_alt_names, of_the_rule.san_from_host) == (("b.example",), False)
    assert of_the_rule.sni is None


@pytest.mark.spec("D-81")
def test_insecure_tls_verifies_nothing():
    made = asking(mode="SIMPLE", insecure_skip_verify=True, service={"subject_alt_names": ("a.example",)})

    tls = made.clusters[0].tls
    assert tls
    assert (tls.validation, tls.subject_alt_names, tls.san_from_host) == (None, (), False)
    assert made.secrets == ()


@pytest.mark.spec("D-73", "D-75", "D-76", "D-82")
def test_mutual_tls_shows_a_certificate_and_simple_does_not():
    files = {
        "client_certificate": "/c.pem",
        "private_key": "/k.pem",
        "ca_certificates": "/ca.pem",
        "ca_crl": "/crl.pem",
    }

    mutual, simple = asking(mode="MUTUAL", **files), asking(mode="SIMPLE", **files)

    assert secrets_of(mutual) == {
        "file-cert:/c.pem~/k.pem": CertificateSecret(
            name="file-cert:/c.pem~/k.pem", certificate_chain="/c.pem", private_key="/k.pem"
        ),
        "file-root:/ca.pem~/crl.pem": ValidationSecret(
            name="file-root:/ca.pem~/crl.pem", ca_certificates=("/ca.pem",), crl="/crl.pem"
        ),
    }
    assert mutual.clusters[0].tls.certificate == "file-cert:/c.pem~/k.pem"
    assert simple.clusters[0].tls.certificate is None


@pytest.mark.spec("D-76")
@pytest.mark.parametrize("given", [None, "", "system"])
def test_the_systems_own_store_is_the_file_that_the_mesh_names(given: str | None):
    rule = a_destination_rule(traffic_policy=tls_policy(mode="SIMPLE", ca_certificates=given))

    made = called(a_service_entry(), rule, a_mesh_config(system_ca_file="/ca/bundle.pem"))

    assert made.clusters[0].tls.validation == "file-root:/ca/bundle.pem"
    assert secrets_of(made)["file-root:/ca/bundle.pem"].ca_certificates == ("/ca/bundle.pem",)


@pytest.mark.spec("D-76")
@pytest.mark.parametrize("given", [None, "", "system"])
def test_without_a_word_it_is_where_the_distribution_of_the_host_has_it(given: str | None):
    made = asking(mode="SIMPLE", ca_certificates=given)

    assert secrets_of(made)[SYSTEM_CA].ca_certificates == SYSTEM_STORES


# --- credentials --------------------------------------------------------------------------------------------------


def with_credential(proxy: ProxyName, *, selector: dict[str, str] | None = None, **settings: object) -> Upstream:
    rule = a_destination_rule(
        traffic_policy=tls_policy(credential_name="team/own", **settings),
        workload_selector=LabelSelector(match_labels=selector) if selector else None,
    )
    service = a_service_entry(endpoints=(an_endpoint(),))
    return called(service, rule, proxy=proxy, labels={"app": "web"})


@pytest.mark.spec("D-73", "D-77")
def test_a_credential_is_a_folder_of_the_file_store():
    made = with_credential("gateway", mode="MUTUAL")

    own, root = secrets_of(made)["credential:team/own"], secrets_of(made)["credential:team/own-cacert"]
    tls = made.clusters[0].tls
    assert (own.certificate_chain, own.private_key) == (
        "/etc/meshd/secrets/team/own/tls.crt",
        "/etc/meshd/secrets/team/own/tls.key",
    )
    assert root.ca_certificates == (
        "/etc/meshd/secrets/team/own/ca.crt",
        "/etc/meshd/secrets/team/own-cacert/ca.crt",
    )
    assert (tls.certificate, tls.validation) == (own.name, root.name)


@pytest.mark.spec("D-77")
def test_of_a_credential_simple_tls_takes_only_whom_to_believe():
    made = with_credential("gateway", mode="SIMPLE")

    assert list(secrets_of(made)) == ["credential:team/own-cacert"]
    assert made.clusters[0].tls.certificate is None


@pytest.mark.spec("D-77")
@pytest.mark.parametrize("mode", ["SIMPLE", "MUTUAL"])
def test_a_sidecar_that_the_rule_does_not_select_calls_nobody_rather_than_in_plain_text(mode: str):
    made = with_credential("sidecar", mode=mode)

    (assigned,) = made.endpoints
    assert (made.clusters[0].tls, made.clusters[0].discovery, assigned.endpoints) == (None, ByEds(), ())
    assert made.secrets == ()


@pytest.mark.spec("D-77", "D-6")
def test_a_sidecar_that_the_rule_selects_has_the_credential():
    made = with_credential("sidecar", mode="MUTUAL", selector={"app": "web"})

    assert made.clusters[0].tls.certificate == "credential:team/own"
    assert len(made.endpoints[0].endpoints) == 1


@pytest.mark.spec("D-77")
def test_what_is_withheld_does_not_leave_by_the_original_destination_either():
    policy = TrafficPolicy(
        tls=tp.ClientTLSSettings(mode="SIMPLE", credential_name="own"),
        load_balancer=tp.LoadBalancerSettings(simple="PASSTHROUGH"),
    )

    made = called(a_service_entry(), a_destination_rule(traffic_policy=policy))

    assert made.clusters[0].discovery == ByEds()


# --- the mesh's own TLS -------------------------------------------------------------------------------------------

IDENTITY = {
    "default": CertificateSecret(
        name="default",
        certificate_chain="/etc/meshd/identity/cert-chain.pem",
        private_key="/etc/meshd/identity/key.pem",
    ),
    "ROOTCA": ValidationSecret(name="ROOTCA", ca_certificates=("/etc/meshd/identity/root-cert.pem",)),
}


def internal(*endpoints: object, **more: object) -> ServiceEntry:
    return a_service_entry(
        **{"namespace": "shop", "location": "MESH_INTERNAL", "endpoints": endpoints, "export_to": ("*",), **more}
    )


SPEAKING = an_endpoint("10.0.0.1", service_account="reviews")
PLAIN = an_endpoint("10.0.0.2")


@pytest.mark.spec("D-74", "W-7")
def test_istio_mutual_shows_this_hosts_identity_and_expects_that_of_the_service():
    entry = internal(SPEAKING, PLAIN, an_endpoint("10.0.0.3", service_account="old"), subject_alt_names=("a.example",))
    rule = a_destination_rule("reviews", "v1", namespace="shop", traffic_policy=tls_policy(mode="ISTIO_MUTUAL"))

    made = called(entry, rule)

    whole, subset = made.clusters
    assert secrets_of(made) == IDENTITY
    assert whole.tls == UpstreamTls(
        sni="outbound_.80_._.reviews.shop",
        validation="ROOTCA",
        certificate="default",
        subject_alt_names=(
            "a.example",
            "spiffe://cluster.local/ns/shop/sa/old",
            "spiffe://cluster.local/ns/shop/sa/reviews",
        ),
        alpn=("istio",),
    )
    assert subset.tls.sni == "outbound_.80_.v1_.reviews.shop"
    assert whole.mesh_tls is None


@pytest.mark.spec("D-74", "D-78", "D-79")
def test_names_of_the_rule_are_expected_and_sent_in_istio_mutual_too():
    tls = asking(mode="ISTIO_MUTUAL", sni="b.example", subject_alt_names=("spiffe://other",)).clusters[0].tls

    assert (tls.sni, tls.subject_alt_names) == ("b.example", ("spiffe://other",))


@pytest.mark.spec("D-74")
def test_http2_to_a_member_of_the_mesh_is_offered_beside_the_mesh_itself():
    assert tls_of("grpc", mode="ISTIO_MUTUAL").alpn == ("istio", "h2")
    assert tls_of("tcp", mode="ISTIO_MUTUAL").alpn == ("istio",)


@pytest.mark.spec("D-74")
def test_files_of_the_mesh_are_where_the_mesh_says():
    identity = Identity(cert_chain="/i/chain.pem", key="/i/key.pem", root_cert="/i/root.pem")
    config = a_mesh_config(identity=identity, trust_domain="example.org")
    rule = a_destination_rule(namespace="shop", traffic_policy=tls_policy(mode="ISTIO_MUTUAL"))

    made = called(internal(SPEAKING), rule, config)

    assert secrets_of(made)["default"].certificate_chain == "/i/chain.pem"
    assert secrets_of(made)["ROOTCA"].ca_certificates == ("/i/root.pem",)
    assert made.clusters[0].tls.subject_alt_names == ("spiffe://example.org/ns/shop/sa/reviews",)


@pytest.mark.spec("D-74")
def test_many_hosts_behind_one_wildcard_are_named_by_each_request():
    entry = a_service_entry(hosts=("*.shop",), resolution="DYNAMIC_DNS")

    made = called(entry, a_destination_rule(host="*.shop", traffic_policy=tls_policy(mode="ISTIO_MUTUAL")))

    assert made.clusters[0].tls.sni is None


@pytest.mark.spec("W-7", "S-7")
def test_members_of_the_mesh_are_called_by_its_tls_and_others_in_plain_text():
    labelled = an_endpoint("10.0.0.3", labels={"security.istio.io/tlsMode": "istio"})
    off = an_endpoint("10.0.0.4", labels={"security.istio.io/tlsMode": "disabled"}, service_account="reviews")

    made = called(internal(SPEAKING, PLAIN, labelled, off))

    assert made.clusters[0].tls is None
    assert made.clusters[0].mesh_tls.sni == "outbound_.80_._.reviews.shop"
    assert secrets_of(made) == IDENTITY
    assert [(each.address.ip, each.speaks_mesh_tls) for each in made.endpoints[0].endpoints] == [
        ("10.0.0.1", True),
        ("10.0.0.2", False),
        ("10.0.0.3", True),
        ("10.0.0.4", False),
    ]


def plain_reason(reason: str) -> tuple[Resource, ...]:
    rule = a_destination_rule(namespace="shop", traffic_policy=tls_policy(mode="DISABLE"))
    return {
        "nobody speaks it": (internal(PLAIN),),
        "outside of the mesh": (internal(SPEAKING, location="MESH_EXTERNAL"),),
        "the mesh says no": (internal(SPEAKING), a_mesh_config(auto_mtls=False)),
        "the rule says no": (internal(SPEAKING), rule),
    }[reason]


@pytest.mark.spec("D-71", "S-7")
@pytest.mark.parametrize("reason", ["nobody speaks it", "outside of the mesh", "the mesh says no", "the rule says no"])
def test_the_mesh_opens_no_tls_by_itself_where(reason: str):
    made = called(*plain_reason(reason))

    assert (made.clusters[0].tls, made.clusters[0].mesh_tls, made.secrets) == (None, None, ())
    assert not made.endpoints[0].endpoints[0].speaks_mesh_tls


@pytest.mark.spec("W-7")
def test_a_rule_keeps_the_meshs_tls_unless_it_says_something_of_tls():
    balancing = TrafficPolicy(load_balancer=tp.LoadBalancerSettings(simple="RANDOM"))
    simple = a_subset("simple", tls_policy(mode="SIMPLE"))

    made = called(internal(SPEAKING), a_destination_rule("reviews", simple, namespace="shop", traffic_policy=balancing))

    whole, subset = made.clusters
    assert (whole.tls, whole.mesh_tls is not None) == (None, True)
    assert (subset.tls is not None, subset.mesh_tls) == (True, None)


@pytest.mark.spec("W-7", "D-11")
@pytest.mark.parametrize(("endpoints", "speaks"), [((SPEAKING,), True), ((SPEAKING, PLAIN), False), ((), False)])
def test_who_calls_the_original_destination_speaks_it_only_if_everybody_does(
    endpoints: tuple[object, ...], *, speaks: bool
):
    passing = TrafficPolicy(load_balancer=tp.LoadBalancerSettings(simple="PASSTHROUGH"))

    made = called(internal(*endpoints), a_destination_rule(namespace="shop", traffic_policy=passing))

    assert made.clusters[0].discovery == OriginalDestination()
    assert (made.clusters[0].tls is not None) is speaks
    assert made.clusters[0].mesh_tls is None


@pytest.mark.spec("W-7")
def test_a_member_without_an_account_is_anybody_whom_the_mesh_vouches_for():
    made = called(internal(an_endpoint(labels={"security.istio.io/tlsMode": "istio"})))

    assert made.clusters[0].mesh_tls.subject_alt_names == ()
    assert made.clusters[0].mesh_tls.validation == "ROOTCA"
