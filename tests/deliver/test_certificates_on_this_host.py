"""What the files of secrets are, as far as meshd may know."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from meshd.deliver.certificates import CertificateFiles, Content, Fault, HostFile
from meshd.deliver.lifetime import Lifetime
from meshd.names import SecretName
from meshd.plan import CertificateSecret, ValidationSecret
from tests.deliver.certificates import made, renewed
from tests.deliver.clock import now
from tests.deliver.dated import authority

YEAR = timedelta(days=365)


def a_certificate(folder: Path, *, below: Path | str = "") -> CertificateSecret:
    files = {"certificate_chain": str(folder / "tls.crt"), "private_key": str(folder / "tls.key")}
    return CertificateSecret(name=SecretName("credential:web"), below=str(below), **files)


def believed(*files: Path, crl: Path | None = None) -> ValidationSecret:
    return ValidationSecret(
        name=SecretName("root"), ca_certificates=tuple(map(str, files)), crl=str(crl) if crl else None
    )


def only(files: tuple[HostFile, ...]) -> Content | Fault:
    (file,) = files
    return file.found


def look(*secrets: CertificateSecret | ValidationSecret) -> tuple[HostFile, ...]:
    return CertificateFiles().look(secrets)


def test_a_chain_holds_as_long_as_all_of_it(tmp_path: Path):
    ca = authority(tmp_path)
    leaf = ca.signed("/CN=web", now() - YEAR, now() + 2 * YEAR, names="DNS:web.example", stem="leaf").chain.read_bytes()
    middle = ca.signed("/CN=middle", now() - 2 * YEAR, now() + YEAR).chain.read_bytes()
    (tmp_path / "tls.crt").write_bytes(leaf + middle)

    found = only(look(a_certificate(tmp_path)))

    assert isinstance(found, Content)
    assert (found.subject, found.names, found.count) == ("CN=web", ("web.example",), 2)
    assert found.lifetime == Lifetime(begins=now() - 2 * YEAR, ends=now() + YEAR)


def test_authorities_hold_as_long_as_any_of_them(tmp_path: Path):
    ca = authority(tmp_path)
    old = ca.signed("/CN=old", now() - 3 * YEAR, now() - YEAR, stem="old").chain.read_bytes()
    new = ca.signed("/CN=new", now() - YEAR, now() + YEAR, stem="new").chain.read_bytes()
    file = tmp_path / "both.crt"
    file.write_bytes(old + new)

    found = only(look(believed(file)))

    assert isinstance(found, Content)
    assert (found.subject, found.count, found.lifetime.ends) == ("CN=old", 2, now() + YEAR)


def test_a_list_of_revocations_is_told_beside_its_authority(tmp_path: Path):
    ca = authority(tmp_path)
    crl = ca.revocations(now() - YEAR, now() + YEAR)

    files = look(believed(ca.own.chain, crl=crl))

    assert [each.kind for each in files] == ["ca", "crl"]
    assert files[1].found == Content(
        subject="CN=dated CA", lifetime=Lifetime(begins=now() - YEAR, ends=now() + YEAR, short=True)
    )


def test_what_is_missing_or_broken_is_told_apart(tmp_path: Path):
    made(tmp_path / "good", "web")
    (tmp_path / "good" / "tls.key").unlink()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "tls.crt").write_text("no certificate")
    (tmp_path / "pipe").mkdir()
    os.mkfifo(tmp_path / "pipe" / "tls.crt")

    found = [only(look(a_certificate(tmp_path / name))) for name in ("none", "good", "bad", "pipe")]

    assert found == [
        Fault("missing", "it does not exist"),
        Fault("missing", f"its private key ({tmp_path}/good/tls.key) does not exist"),
        Fault("invalid", "there is no certificate in it"),
        Fault("invalid", "it is no file"),
    ]


def test_links_out_of_the_store_lead_nowhere(tmp_path: Path):
    outside, store = tmp_path / "outside", tmp_path / "store"
    made(outside, "web")
    store.mkdir()
    (store / "web").symlink_to(outside)

    found = only(look(a_certificate(store / "web", below=store)))

    assert found == Fault("missing", f"it is a link that leads out of {store}")
    assert isinstance(only(look(a_certificate(store / "web"))), Content)


def test_a_file_is_read_again_only_when_it_is_another_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pair = made(tmp_path, "web")
    files, opened = CertificateFiles(), []
    real = Path.open
    monkeypatch.setattr(Path, "open", lambda path, *how: opened.append(path) or real(path, *how))
    first = only(files.look([a_certificate(tmp_path)]))
    assert only(files.look([a_certificate(tmp_path)])) is first
    assert opened == [pair.chain]

    monkeypatch.undo()
    renewed(pair, made(tmp_path / "new", "web"))

    assert only(files.look([a_certificate(tmp_path)])) != first


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else for a while")
def test_what_only_the_proxies_may_read_is_told_as_that_and_a_key_of_theirs_is_nothing(short_tmp: Path):
    pair = made(short_tmp / "certificates", "web")
    short_tmp.chmod(0o755)
    pair.key.chmod(0o600)

    def seen_by_nobody() -> Content | Fault:
        os.seteuid(65534)
        try:
            return only(look(a_certificate(pair.chain.parent)))
        finally:
            os.seteuid(0)

    assert isinstance(seen_by_nobody(), Content)
    pair.chain.chmod(0o600)
    unreadable = Fault("unreadable", "meshd may not read it, so nothing is known of its dates")
    assert seen_by_nobody() == unreadable
    pair.chain.parent.chmod(0o700)
    assert seen_by_nobody() == unreadable
