from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from meshd.envoy import render
from meshd.envoy.bootstrap import BootstrapSettings
from meshd.envoy.fallback import fallback
from meshd.envoy.inline_secrets import watchable
from meshd.envoy.resource import EnvoyResource, Rendered
from meshd.envoy.secrets import files_of, optional_files, secrets
from meshd.envoy.trial import trial
from meshd.memo import Memo
from meshd.names import SecretName
from meshd.plan import (
    WATCHED_SECRETS,
    CertificateSecret,
    DownstreamTls,
    HttpChain,
    Secret,
    TcpChain,
    UpstreamTls,
    ValidationSecret,
)
from meshd.problems import Origin
from tests.envoy.conftest import Judge
from tests.envoy.plans import Certificates, a_cluster, a_listener, a_plan, to
from tests.envoy.shown import tree

AT = Origin("mesh/gateway.yaml", 3, 1)
OWN = CertificateSecret(
    name=SecretName("own"), certificate_chain="/s/web/tls.crt", private_key="/s/web/tls.key", origin=AT
)
ROOT = ValidationSecret(
    name=SecretName("root"),
    ca_certificates=("/s/web/ca.crt", "/s/web-cacert/ca.crt"),
    crl_if_present="/s/web/ca.crl",
    origin=AT,
)


def shown(secret: Secret, *present: str) -> dict:
    rendered = Rendered(
        proxy="gateway", clusters=(), listeners=(), routes=(), secrets=secrets((secret,), present, Memo())
    )
    return tree(rendered)["secrets"][0]


@pytest.mark.spec("G-4.3")
def test_a_secret_is_the_names_of_its_files_and_the_directory_to_watch():
    assert shown(OWN) == {
        "name": "own",
        "tls_certificate": {
            "certificate_chain": {"filename": "/s/web/tls.crt"},
            "private_key": {"filename": "/s/web/tls.key"},
            "watched_directory": {"path": "/s/web"},
        },
    }


def test_files_of_two_directories_are_watched_one_by_one():
    apart = replace(OWN, private_key="/private/tls.key")

    assert "watched_directory" not in shown(apart)["tls_certificate"]
    assert shown(replace(OWN, certificate_chain="/a", private_key="/b"))["tls_certificate"]["watched_directory"] == {
        "path": "/"
    }


@pytest.mark.spec("G-4.6")
@pytest.mark.parametrize(
    ("present", "files"),
    [
        ((), ("/s/web/ca.crt",)),
        (("/s/web-cacert/ca.crt",), ("/s/web-cacert/ca.crt",)),
        (("/s/web/ca.crt", "/s/web-cacert/ca.crt"), ("/s/web/ca.crt",)),
        (("/s/web/ca.crt", "/s/web/ca.crl"), ("/s/web/ca.crt", "/s/web/ca.crl")),
    ],
)
def test_of_several_cas_the_first_that_is_there_counts_else_the_first(present: tuple[str, ...], files: tuple[str, ...]):
    assert files_of(ROOT, present) == files
    context = shown(ROOT, *present)["validation_context"]
    assert tuple(each["filename"] for each in (context["trusted_ca"], context.get("crl")) if each) == files


@pytest.mark.spec("G-4.5", "D-82")
def test_a_revocation_list_that_is_named_is_always_used():
    named = replace(ROOT, crl="/crl.pem", crl_if_present=None)

    assert shown(named)["validation_context"]["crl"] == {"filename": "/crl.pem"}


def test_whoever_delivers_is_told_what_to_look_for():
    assert optional_files(OWN) == ()
    assert optional_files(ROOT) == ("/s/web/ca.crt", "/s/web-cacert/ca.crt", "/s/web/ca.crl")
    assert optional_files(replace(ROOT, ca_certificates=("/ca",), crl_if_present=None)) == ()


def test_a_secret_whose_files_did_not_change_is_the_very_same_resource():
    memo = Memo()
    (before,) = secrets((ROOT,), {"/s/web/ca.crl"}, memo)
    memo.turn()

    assert secrets((ROOT,), {"/s/web/ca.crl", "/s/web/ca.crt"}, memo)[0] is before


def many(certificates: Certificates, count: int) -> Rendered:
    """As many clusters, each with a certificate of its own, and the mesh's identity in a listener."""
    names = [SecretName(f"credential:{number:03}") for number in range(count)]
    identity = SecretName("default")
    chain = TcpChain(destinations=(to("c000"),), stat_prefix="tcp", tls=DownstreamTls(certificates=(identity,)))
    plan = a_plan(
        clusters=tuple(
            a_cluster(f"c{number:03}", tls=UpstreamTls(sni="a", validation=None, certificate=name))
            for number, name in enumerate(names)
        ),
        listeners=(a_listener("mesh", chain),),
        secrets=tuple(
            CertificateSecret(name=name, certificate_chain=certificates.certificate, private_key=certificates.key)
            for name in (*names, identity)
        ),
    )
    return render(plan, Memo())


def test_as_many_as_can_be_watched_stay_as_they_are(certificates: Certificates):
    rendered = many(certificates, WATCHED_SECRETS - 1)

    assert watchable(rendered, Memo()) is rendered


def test_past_the_limit_files_stand_inside_but_not_those_of_the_mesh(certificates: Certificates):
    rendered = many(certificates, WATCHED_SECRETS + 5)

    less = watchable(rendered, Memo())

    assert [each.name for each in less.secrets] == [f"credential:{n:03}" for n in range(WATCHED_SECRETS - 1)] + [
        "default"
    ]
    changed = [after.name for before, after in zip(rendered.clusters, less.clusters, strict=True) if before != after]
    assert changed == [f"c{number:03}" for number in range(WATCHED_SECRETS - 1, WATCHED_SECRETS + 5)]
    assert less.listeners == rendered.listeners
    inside = tree(less)["clusters"][-1]["transport_socket"]["typed_config"]["common_tls_context"]
    assert inside["tls_certificates"][0]["private_key"] == {"filename": certificates.key}
    assert "tls_certificate_sds_secret_configs" not in inside


def test_a_secret_past_the_limit_stays_where_a_watched_one_is_beside_it(certificates: Certificates):
    """Envoy takes the certificates of one context all by SDS or all not."""
    rendered = many(certificates, WATCHED_SECRETS + 1)
    last = SecretName(f"credential:{WATCHED_SECRETS:03}")
    both = DownstreamTls(certificates=(SecretName("credential:000"), last))
    chain = TcpChain(destinations=(to("c000"),), stat_prefix="tcp", tls=both)
    (listener,) = render(a_plan(listeners=(a_listener("two", chain),)), Memo()).listeners

    less = watchable(replace(rendered, listeners=(listener,)), Memo())

    assert less.listeners == (listener,)
    assert last in {each.name for each in less.secrets}


@pytest.fixture
def files(short_tmp: Path, certificates: Certificates) -> tuple[CertificateSecret, ValidationSecret]:
    for name in ("tls.crt", "ca.crt"):
        shutil.copy(certificates.certificate, short_tmp / name)
    shutil.copy(certificates.key, short_tmp / "tls.key")
    chain, key, ca = (str(short_tmp / name) for name in ("tls.crt", "tls.key", "ca.crt"))
    own = CertificateSecret(name=SecretName("own"), certificate_chain=chain, private_key=key)
    return own, ValidationSecret(name=SecretName("root"), ca_certificates=(ca,))


@pytest.mark.envoy
def test_a_trial_reads_the_files_of_a_secret_that_nobody_takes_yet(
    files: tuple[CertificateSecret, ValidationSecret], judge: Judge
):
    resources = secrets(files, (), Memo())

    assert judge(trial(resources)) == ""
    os.truncate(files[0].private_key, 0)
    assert "incomplete private key" in judge(trial(resources[:1]))
    os.truncate(files[1].ca_certificates[0], 0)
    assert "is empty" in judge(trial(resources[1:]))


@pytest.mark.envoy
def test_no_bootstrap_without_xds_asks_for_secrets(
    certificates: Certificates, settings: BootstrapSettings, judge: Judge
):
    both = (SecretName("credential:000"), SecretName("credential:001"))
    chain = HttpChain(
        route_table=a_listener().chains[0].route_table,  # type: ignore[union-attr]
        stat_prefix="https",
        tls=DownstreamTls(certificates=both[:1], validation=SecretName("root")),
    )
    rendered = many(certificates, 3)
    root = ValidationSecret(name=SecretName("root"), ca_certificates=(certificates.certificate,))
    (listener,) = render(a_plan(listeners=(a_listener("https", chain, port=15443),)), Memo()).listeners
    everything = replace(
        rendered, listeners=(listener, *rendered.listeners), secrets=(*rendered.secrets, *secrets((root,), (), Memo()))
    )

    whole = fallback(everything, (), settings)
    tried = trial(resources_of(everything))

    assert judge(whole) == ""
    assert judge(tried) == ""
    for bootstrap in (whole, tried):
        assert b"sds_config" not in bootstrap
    assert whole.count(certificates.certificate.encode()) >= 5


@pytest.mark.envoy
def test_who_takes_secrets_is_tried_without_their_files(certificates: Certificates, judge: Judge):
    """Whether they come by SDS, or stand inside because they are too many to be watched: here none of them is there."""
    gone = Certificates(certificate="/nowhere/tls.crt", key="/nowhere/tls.key")
    rendered = many(gone, WATCHED_SECRETS + 2)
    root = SecretName("z:root")
    chain = TcpChain(
        destinations=(to("c000"),),
        stat_prefix="tcp",
        tls=DownstreamTls(certificates=(SecretName("default"),), validation=root, requires_client_certificate=True),
    )
    (listener,) = render(a_plan(listeners=(a_listener("asks", chain),)), Memo()).listeners
    believed = ValidationSecret(name=root, ca_certificates=("/nowhere/ca.crt",), crl="/nowhere/ca.crl")
    taken = replace(rendered, listeners=(listener,), secrets=(*rendered.secrets, *secrets((believed,), (), Memo())))

    for each in (taken, watchable(taken, Memo())):
        tried = trial((*each.clusters, *each.listeners))
        assert b"/nowhere" not in tried
        assert judge(tried) == ""


def resources_of(rendered: Rendered) -> tuple[EnvoyResource, ...]:
    return (*rendered.secrets, *rendered.clusters, *rendered.listeners)
