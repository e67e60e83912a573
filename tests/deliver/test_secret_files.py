"""What is said of the files of secrets before Envoy is asked."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from meshd.deliver import secret_files
from meshd.names import SecretName
from meshd.plan import CertificateSecret, Secret, ValidationSecret
from meshd.problems import Origin
from tests.deliver.certificates import made

AT = Origin("mesh/gateway.yaml", 9, 7, "spec.servers[0].tls")


def a_certificate(directory: Path, below: str = "") -> CertificateSecret:
    chain, key = str(directory / "tls.crt"), str(directory / "tls.key")
    return CertificateSecret(
        name=SecretName("credential:web"), certificate_chain=chain, private_key=key, below=below, origin=AT
    )


def a_root(store: Path, *, crl: str | None = None) -> ValidationSecret:
    return ValidationSecret(
        name=SecretName("credential:web-cacert"),
        ca_certificates=(str(store / "web" / "ca.crt"), str(store / "web-cacert" / "ca.crt")),
        crl=crl,
        crl_if_present=None if crl else str(store / "web" / "ca.crl"),
        below=str(store),
        origin=AT,
    )


def faults(secret: Secret) -> list[str]:
    problems = secret_files.problems(secret, secret_files.present([secret]))
    assert {problem.code for problem in problems} <= {"E-SECRET-FILE"}
    assert {problem.at for problem in problems} <= {AT}
    return [problem.message for problem in problems]


def test_good_files_have_no_problem(tmp_path: Path):
    made(tmp_path, "shop")

    assert faults(a_certificate(tmp_path)) == []
    assert faults(a_certificate(tmp_path, below=str(tmp_path))) == []


def test_what_is_missing_is_named(tmp_path: Path):
    assert faults(a_certificate(tmp_path)) == [
        f"certificate {tmp_path}/tls.crt does not exist",
        f"private key {tmp_path}/tls.key does not exist",
    ]


def test_what_the_identity_is_for_is_said(tmp_path: Path):
    identity = replace(a_certificate(tmp_path), name=SecretName("default"))

    (first, _) = secret_files.problems(identity, frozenset())
    assert "autoMtls" in first.hint


def test_what_is_no_certificate_or_no_file_is_named(tmp_path: Path):
    (tmp_path / "tls.crt").write_text("-----BEGIN NOTHING-----\n")
    (tmp_path / "tls.key").mkdir()

    assert faults(a_certificate(tmp_path)) == [
        f"certificate {tmp_path}/tls.crt is not PEM",
        f"private key {tmp_path}/tls.key is no file",
    ]


def test_what_cannot_be_a_name_is_no_reason_to_fail(tmp_path: Path):
    long = tmp_path / ("x" * 300)

    assert faults(a_certificate(long))[0] == f"certificate {long}/tls.crt: File name too long"
    assert faults(a_certificate(tmp_path / "a\0b"))[0].endswith("is not the name of a file")
    assert faults(a_root(long))[0] == f"CA {long}/web/ca.crt: File name too long"
    assert faults(a_root(tmp_path / "a\0b"))[0].endswith("is not the name of a file")


def test_a_pipe_is_not_opened(tmp_path: Path):
    made(tmp_path, "shop")
    (tmp_path / "tls.crt").unlink()
    os.mkfifo(tmp_path / "tls.crt")

    assert faults(a_certificate(tmp_path)) == [f"certificate {tmp_path}/tls.crt is no file"]


def test_a_path_that_leads_through_a_file_is_said_to_be_absent(tmp_path: Path):
    (tmp_path / "web").write_text("")

    assert faults(a_certificate(tmp_path / "web"))[0] == f"certificate {tmp_path}/web/tls.crt does not exist"


@pytest.mark.spec("G-4.6")
def test_no_link_leads_out_of_the_store(tmp_path: Path):
    store, elsewhere = tmp_path / "secrets", tmp_path / "elsewhere"
    made(elsewhere, "shop")
    store.mkdir()
    (store / "web").symlink_to(elsewhere)
    (elsewhere / "ca.crt").write_bytes((elsewhere / "tls.crt").read_bytes())

    assert faults(a_certificate(store / "web", below=str(store)))[0] == (
        f"certificate {store}/web/tls.crt is a link that leads out of {store}"
    )
    assert secret_files.present([a_root(store)]) == frozenset()
    assert faults(a_certificate(store / "web")) == []


def test_a_link_within_the_store_is_followed(tmp_path: Path):
    made(tmp_path / "archive", "shop")
    (tmp_path / "web").symlink_to("archive")

    assert faults(a_certificate(tmp_path / "web", below=str(tmp_path))) == []


def test_a_link_to_nowhere_is_told_from_a_missing_file(tmp_path: Path):
    (tmp_path / "tls.crt").symlink_to("gone.crt")

    assert faults(a_certificate(tmp_path))[0] == f"certificate {tmp_path}/tls.crt is a link that leads to nowhere"


@pytest.mark.spec("G-4.6")
def test_the_ca_beside_the_credential_is_found(tmp_path: Path):
    pair = made(tmp_path / "web-cacert", "ca", stem="ca")

    assert secret_files.present([a_root(tmp_path)]) == {str(pair.chain)}
    assert faults(a_root(tmp_path)) == []


@pytest.mark.spec("G-4.5")
def test_a_revocation_list_must_be_one(tmp_path: Path):
    pair = made(tmp_path / "web", "ca", stem="ca")

    assert faults(a_root(tmp_path, crl=str(pair.chain))) == [f"revocation list {pair.chain} is not PEM"]
    assert faults(a_root(tmp_path, crl=str(tmp_path / "crl"))) == [f"revocation list {tmp_path}/crl does not exist"]


def as_nobody(check: Callable[[], None]) -> None:
    """Root, who may run the tests, is stopped by no file's mode. Whoever else runs them is nobody enough."""
    if os.geteuid() != 0:
        check()
        return
    os.setresuid(65534, 65534, 0)
    try:
        check()
    finally:
        os.setresuid(0, 0, 0)


def test_a_key_that_only_the_proxies_may_read_is_left_to_them(short_tmp: Path):
    made(short_tmp, "shop").key.chmod(0)
    secret = a_certificate(short_tmp)
    short_tmp.chmod(0o755)

    def check() -> None:
        assert faults(secret) == []
        assert not secret_files.readable(secret, frozenset())

    as_nobody(check)


def test_what_is_in_a_closed_directory_is_left_to_the_proxies(short_tmp: Path):
    closed = short_tmp / "closed"
    made(closed, "shop")
    root = a_root(closed)
    closed.chmod(0)

    def check() -> None:
        assert faults(a_certificate(closed)) == []
        assert faults(a_certificate(closed, below=str(closed))) == []
        assert secret_files.present([root]) == frozenset()
        assert not secret_files.readable(a_certificate(closed), frozenset())

    try:
        as_nobody(check)
    finally:
        closed.chmod(0o700)


def test_what_meshd_may_read_is_for_its_own_envoy_to_judge(tmp_path: Path):
    made(tmp_path, "shop")

    assert secret_files.readable(a_certificate(tmp_path), frozenset())
