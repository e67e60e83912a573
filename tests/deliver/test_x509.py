"""Fields of certificates against what openssl reads in them, and bytes that are none."""

from __future__ import annotations

import base64
import re
import ssl
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshd.deliver.x509 import MalformedError, certificates, revocations
from tests.deliver.dated import Authority, authority

BEGINS, ENDS = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), datetime(2027, 2, 3, 4, 5, 6, tzinfo=UTC)
FAR = datetime(2051, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def ca(tmp_path_factory) -> Authority:
    return authority(tmp_path_factory.mktemp("ca"))


def test_subject_names_and_dates_are_read(ca: Authority):
    names = (
        "DNS:shop.example,DNS:*.shop.example,URI:spiffe://mesh/ns/shop/sa/web,IP:10.0.0.7,IP:fd00::7,email:a@b.example"
    )
    pair = ca.signed("/O=Läden/CN=shop.example", BEGINS, ENDS, names=names)

    (found,) = certificates(pair.chain.read_bytes())

    assert found.subject == "CN=shop.example, O=Läden"
    assert found.names == (
        "shop.example",
        "*.shop.example",
        "spiffe://mesh/ns/shop/sa/web",
        "10.0.0.7",
        "fd00::7",
        "a@b.example",
    )
    assert (found.begins, found.ends) == (BEGINS, ENDS)


def test_dates_beyond_2049_have_another_form(ca: Authority):
    (found,) = certificates(ca.signed("/CN=old age", BEGINS, FAR).chain.read_bytes())

    assert found.ends == FAR


def test_a_certificate_without_extensions_has_no_names(ca: Authority):
    (found,) = certificates(ca.signed("/CN=plain", BEGINS, ENDS).chain.read_bytes())

    assert found.names == ()


def test_the_serial_number_is_the_one_that_openssl_and_envoy_show(ca: Authority):
    pair = ca.signed("/CN=numbered", BEGINS, ENDS)
    command = ["openssl", "x509", "-noout", "-serial", "-in", pair.chain]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout

    (found,) = certificates(pair.chain.read_bytes())

    assert found.serial == int(shown.partition("=")[2], 16)


def test_all_certificates_of_a_file_are_read_whatever_stands_between_them(ca: Authority):
    first, second = (ca.signed(f"/CN={name}", BEGINS, ENDS, stem=name).chain.read_bytes() for name in ("one", "two"))

    found = certificates(b"Bag Attributes\n" + first.replace(b"\n", b"\r\n") + b"# and\n" + second)

    assert [each.subject for each in found] == ["CN=one", "CN=two"]


def test_what_this_machine_trusts_is_read_as_openssl_reads_it():
    """Roots of thirty years and of every authority: forms that no test would think of."""
    file = Path("/etc/ssl/certs/ca-certificates.crt")
    pem = file.read_bytes()
    blocks = re.findall(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", pem, re.DOTALL)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(file)
    known = {
        (int(each["serialNumber"], 16), ssl.cert_time_to_seconds(each["notAfter"])) for each in context.get_ca_certs()
    }

    found = certificates(pem)

    assert len(found) == len(blocks)
    assert known <= {(each.serial, int(each.ends.timestamp())) for each in found}


def test_a_list_of_revocations_says_when_the_next_is_due(ca: Authority):
    (found,) = revocations(ca.revocations(BEGINS, ENDS).read_bytes())

    assert (found.issuer, found.begins, found.ends) == ("CN=dated CA", BEGINS, ENDS)


def in_pem(der: bytes, what: str = "CERTIFICATE") -> bytes:
    return f"-----BEGIN {what}-----\n".encode() + base64.encodebytes(der) + f"-----END {what}-----\n".encode()


@pytest.mark.parametrize(
    ("pem", "why"),
    [
        (b"", "there is no certificate in it"),
        (b"-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----\n", "not base64"),
        (in_pem(b""), "ends too soon"),
        (in_pem(b"\x30\x05\x30"), "ends too soon"),
        (in_pem(b"\x30\xff" + b"\xff" * 200), "ends too soon"),
        (in_pem(b"\x02\x01\x05"), "0x02 where 0x30 belongs"),
    ],
)
def test_what_is_no_certificate_is_said_to_be_none(pem: bytes, why: str):
    with pytest.raises(MalformedError, match=why):
        certificates(pem)


def test_a_certificate_is_no_list_of_revocations(ca: Authority):
    with pytest.raises(MalformedError, match="no list of revocations"):
        revocations(ca.own.chain.read_bytes())


@settings(max_examples=300, deadline=None)
@given(where=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255), cut=st.booleans())
def test_a_damaged_certificate_is_read_or_refused_and_nothing_else(ca: Authority, where: float, byte: int, cut: bool):
    der = bytearray(ssl.PEM_cert_to_DER_cert(ca.own.chain.read_text()))
    at = int(where * len(der))
    der[at] = byte
    damaged = bytes(der[:at]) if cut else bytes(der)

    try:
        found = certificates(in_pem(damaged))
    except MalformedError:
        return
    assert len(found) == 1
