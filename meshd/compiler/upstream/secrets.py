"""Certificates and trusted roots as resources name them -> the secrets of a proxy, named as Istio names them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from meshd.names import SecretName
from meshd.plan import WATCHED_SECRETS, CertificateSecret, ProxyPlan, ValidationSecret
from meshd.problems import Origin, Problem
from meshd.registry.settings import DEFAULTS, MeshSettings

_OTHER_STORES: Final = (
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  # Red Hat and its kin
    "/etc/pki/tls/certs/ca-bundle.crt",  # older ones of these
    "/etc/ssl/ca-bundle.pem",  # SUSE
)

IDENTITY = SecretName("default")
"""What this host shows as a member of the mesh; and whom a member believes. Both as Istio calls them."""
MESH_ROOT = SecretName("ROOTCA")


def identity_certificate(settings: MeshSettings) -> CertificateSecret:
    files = settings.identity
    return CertificateSecret(
        name=IDENTITY, certificate_chain=files.cert_chain, private_key=files.key, origin=settings.origin
    )


def mesh_root(settings: MeshSettings) -> ValidationSecret:
    return ValidationSecret(name=MESH_ROOT, ca_certificates=(settings.identity.root_cert,), origin=settings.origin)


def certificate_from_files(chain: str, key: str, origin: Origin) -> CertificateSecret:
    name = SecretName(f"file-cert:{chain}~{key}")
    return CertificateSecret(name=name, certificate_chain=chain, private_key=key, origin=origin)


def root_from_files(ca: str, crl: str | None, origin: Origin) -> ValidationSecret:
    """Where the trust store of a host is, its distribution says: one mesh has hosts of several."""
    elsewhere = _OTHER_STORES if ca == DEFAULTS.system_ca_file else ()
    name = SecretName(f"file-root:{ca}" + (f"~{crl}" if crl else ""))
    return ValidationSecret(name=name, ca_certificates=(ca, *elsewhere), crl=crl, origin=origin)


def certificate_of_credential(name: str, secret_root: str, origin: Origin) -> CertificateSecret:
    """G-4.6: a folder of the file store."""
    folder = f"{secret_root}/{name}"
    # `x-cacert` is what the root of `x` is called; and no credential has `//` in its name.
    apart = "//certificate" if name.endswith("-cacert") else ""
    return CertificateSecret(
        name=SecretName(f"credential:{name}{apart}"),
        certificate_chain=f"{folder}/tls.crt",
        private_key=f"{folder}/tls.key",
        below=secret_root,
        origin=origin,
    )


def root_of_credential(name: str, secret_root: str, origin: Origin) -> ValidationSecret:
    """Its own CA, or else that of the folder `<name>-cacert`."""
    return ValidationSecret(
        name=SecretName(f"credential:{name}-cacert"),
        ca_certificates=(f"{secret_root}/{name}/ca.crt", f"{secret_root}/{name}-cacert/ca.crt"),
        crl_if_present=f"{secret_root}/{name}/ca.crl",
        below=secret_root,
        origin=origin,
    )


def unwatched(plan: ProxyPlan) -> Iterator[Problem]:
    """One problem for all of them, at the last."""
    past = len(plan.secrets) - WATCHED_SECRETS
    if past > 0:
        message = (
            f"the {plan.proxy} takes {len(plan.secrets)} secrets, of which Envoy can watch {WATCHED_SECRETS}: "
            f"this one and {past - 1} more are not read again when they are renewed"
        )
        hint = f"use fewer certificates, or restart the {plan.proxy} after they are renewed"
        yield Problem(code="W-SECRET-UNWATCHED", at=plan.secrets[-1].origin, message=message, hint=hint)
