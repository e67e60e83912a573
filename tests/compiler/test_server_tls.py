"""What `tls` of a server means: certificates, whom clients are asked to be, and the handshake (spec 4.1, 4.2)."""

from __future__ import annotations

from typing import Any

import pytest

from meshd.compiler.gateway.server_tls import Termination, server_tls
from meshd.plan import CertificateSecret, ValidationSecret
from meshd.registry.settings import MeshSettings
from meshd.resources.server_tls import ServerTLSSettings, TLSCertificate

SETTINGS = MeshSettings()
FILES = {"server_certificate": "/tls/a.crt", "private_key": "/tls/a.key"}


def terminated(mode: str, speaks: str = "http", **given: Any) -> Termination:
    return server_tls(ServerTLSSettings(mode=mode, **given), SETTINGS, speaks)


def certificates(found: Termination) -> list[tuple[str, str]]:
    return [(s.certificate_chain, s.private_key) for s in found.secrets if isinstance(s, CertificateSecret)]


def roots(found: Termination) -> list[ValidationSecret]:
    return [secret for secret in found.secrets if isinstance(secret, ValidationSecret)]


def root(found: Termination) -> ValidationSecret:
    (only,) = roots(found)
    assert found.tls.validation == only.name
    return only


@pytest.mark.spec("G-4.2", "G-4.3")
def test_simple_tls_shows_a_certificate_and_asks_for_none():
    found = terminated("SIMPLE", **FILES, ca_certificates="/tls/ca.crt", subject_alt_names=("a",))

    assert certificates(found) == [("/tls/a.crt", "/tls/a.key")]
    assert roots(found) == []
    assert (found.tls.validation, found.tls.requires_client_certificate, found.tls.subject_alt_names) == (
        None,
        False,
        (),
    )


@pytest.mark.spec("G-4.2", "G-4.4", "G-4.5", "G-4.10")
@pytest.mark.parametrize(("mode", "required"), [("MUTUAL", True), ("OPTIONAL_MUTUAL", False)])
def test_mutual_tls_verifies_clients_and_may_do_without(mode: str, required: bool):
    found = terminated(mode, **FILES, ca_certificates="/tls/ca.crt", ca_crl="/tls/ca.crl", subject_alt_names=("a", "b"))

    assert (root(found).ca_certificates, root(found).crl) == (("/tls/ca.crt",), "/tls/ca.crl")
    assert found.tls.requires_client_certificate is required
    assert found.tls.subject_alt_names == ("a", "b")


@pytest.mark.spec("G-4.6")
def test_a_credential_that_is_called_like_the_root_of_another_is_not_taken_for_it():
    mutual, simple = terminated("MUTUAL", credential_name="shop"), terminated("SIMPLE", credential_name="shop-cacert")

    assert len({secret.name for secret in (*mutual.secrets, *simple.secrets)}) == 3
    assert certificates(simple) == [
        ("/etc/meshd/secrets/shop-cacert/tls.crt", "/etc/meshd/secrets/shop-cacert/tls.key")
    ]


@pytest.mark.spec("G-4.6")
def test_a_credential_is_a_folder_of_the_file_store():
    found = terminated("MUTUAL", credential_name="eu/shop", ca_certificates="/ignored.crt")

    assert certificates(found) == [("/etc/meshd/secrets/eu/shop/tls.crt", "/etc/meshd/secrets/eu/shop/tls.key")]
    assert root(found).ca_certificates == (
        "/etc/meshd/secrets/eu/shop/ca.crt",
        "/etc/meshd/secrets/eu/shop-cacert/ca.crt",
    )
    assert root(found).crl_if_present == "/etc/meshd/secrets/eu/shop/ca.crl"


@pytest.mark.spec("G-4.7")
def test_of_two_credentials_both_certificates_are_shown_and_the_first_ones_ca_counts():
    found = terminated("MUTUAL", credential_names=("rsa", "ecdsa"))

    assert [name for name, _ in certificates(found)] == [
        "/etc/meshd/secrets/rsa/tls.crt",
        "/etc/meshd/secrets/ecdsa/tls.crt",
    ]
    assert len(found.tls.certificates) == 2
    assert root(found).ca_certificates[0] == "/etc/meshd/secrets/rsa/ca.crt"


@pytest.mark.spec("G-4.8")
def test_a_ca_of_its_own_wins_over_that_of_the_credential():
    found = terminated("MUTUAL", credential_name="shop", ca_cert_credential_name="clients")

    assert root(found).ca_certificates[0] == "/etc/meshd/secrets/clients/ca.crt"


@pytest.mark.spec("G-4.9")
def test_of_several_certificates_in_files_the_ca_is_that_of_the_server():
    pair = TLSCertificate(server_certificate="/1.crt", private_key="/1.key", ca_certificates="/ignored.crt")
    other = TLSCertificate(server_certificate="/2.crt", private_key="/2.key")

    found = terminated("MUTUAL", tls_certificates=(pair, other), ca_certificates="/ca.crt")

    assert certificates(found) == [("/1.crt", "/1.key"), ("/2.crt", "/2.key")]
    assert root(found).ca_certificates == ("/ca.crt",)


@pytest.mark.spec("G-4.11", "G-4.12")
def test_pinned_certificates_count_where_clients_are_asked_for_one():
    pins = {"verify_certificate_spki": ("c3BraQ==",), "verify_certificate_hash": ("aa:bb",)}

    mutual = terminated("MUTUAL", credential_name="shop", **pins).tls
    simple = terminated("SIMPLE", credential_name="shop", **pins).tls

    assert (mutual.spki, mutual.hashes) == (("c3BraQ==",), ("aa:bb",))
    assert (simple.spki, simple.hashes) == ((), ())


@pytest.mark.spec("G-4.13", "G-4.14", "G-4.15", "G-4.17")
def test_the_handshake_is_as_asked_and_1_2_at_least_where_nothing_is():
    asked = terminated(
        "SIMPLE",
        credential_name="shop",
        min_protocol_version="TLSV1_0",
        max_protocol_version="TLSV1_3",
        cipher_suites=("ECDHE-RSA-AES128-GCM-SHA256", "NO-SUCH", "ECDHE-RSA-AES128-GCM-SHA256"),
        ecdh_curves=("X25519", "P-256"),
    ).tls
    default = terminated("SIMPLE", credential_name="shop").tls

    assert (asked.min_version, asked.max_version) == ("TLSv1_0", "TLSv1_3")
    assert asked.cipher_suites == ("ECDHE-RSA-AES128-GCM-SHA256",)
    assert asked.ecdh_curves == ("X25519", "P-256")
    assert (default.min_version, default.max_version, default.cipher_suites) == ("TLSv1_2", None, ())


@pytest.mark.spec("G-4.16")
def test_without_verification_a_certificate_is_asked_for_but_not_enforced():
    mutual = terminated("MUTUAL", credential_name="shop", insecure_skip_verify=True).tls
    simple = terminated("SIMPLE", credential_name="shop", insecure_skip_verify=True).tls

    assert (mutual.accepts_untrusted, mutual.requires_client_certificate) == (True, False)
    assert mutual.validation is not None
    assert simple.accepts_untrusted is False


@pytest.mark.spec("G-4.2", "G-4.13")
def test_between_members_of_the_mesh_the_identity_of_the_host_counts():
    found = terminated(
        "ISTIO_MUTUAL", ca_crl="/ca.crl", subject_alt_names=("spiffe://a",), min_protocol_version="TLSV1_0"
    )

    assert certificates(found) == [(SETTINGS.identity.cert_chain, SETTINGS.identity.key)]
    assert (root(found).ca_certificates, root(found).crl) == ((SETTINGS.identity.root_cert,), "/ca.crl")
    assert (found.tls.requires_client_certificate, found.tls.subject_alt_names) == (True, ("spiffe://a",))
    assert found.tls.min_version == "TLSv1_2"
    assert found.tls.trust_domain == ""  # as in Istio: meshes of one root call each other by their gateways


@pytest.mark.spec("G-4.2", "D-74")
@pytest.mark.parametrize(
    ("mode", "speaks", "alpn"),
    [
        ("SIMPLE", "http", ("h2", "http/1.1")),
        ("SIMPLE", "tcp", ()),
        ("ISTIO_MUTUAL", "http", ("h2", "http/1.1")),
        ("ISTIO_MUTUAL", "tcp", ("istio",)),
    ],
)
def test_what_is_offered_is_what_is_spoken_inside(mode: str, speaks: str, alpn: tuple[str, ...]):
    assert terminated(mode, speaks, **({} if mode == "ISTIO_MUTUAL" else FILES)).tls.alpn == alpn
