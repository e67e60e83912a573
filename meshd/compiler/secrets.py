"""Certificates and trusted roots as resources name them -> the secrets of a proxy, named as Istio names them."""

from __future__ import annotations

from meshd.names import SecretName
from meshd.plan import CertificateSecret, ValidationSecret
from meshd.problems import Origin


def certificate_from_files(chain: str, key: str, origin: Origin) -> CertificateSecret:
    name = SecretName(f"file-cert:{chain}~{key}")
    return CertificateSecret(name=name, certificate_chain=chain, private_key=key, origin=origin)


def root_from_files(ca: str, crl: str | None, origin: Origin) -> ValidationSecret:
    name = SecretName(f"file-root:{ca}" + (f"~{crl}" if crl else ""))
    return ValidationSecret(name=name, ca_certificates=(ca,), crl=crl, origin=origin)


def certificate_of_credential(name: str, secret_root: str, origin: Origin) -> CertificateSecret:
    """G-4.6: a folder of the file store."""
    folder = f"{secret_root}/{name}"
    secret = SecretName(f"credential:{name}")
    return CertificateSecret(
        name=secret, certificate_chain=f"{folder}/tls.crt", private_key=f"{folder}/tls.key", origin=origin
    )


def root_of_credential(name: str, secret_root: str, origin: Origin) -> ValidationSecret:
    """Its own CA, or else that of the folder `<name>-cacert`."""
    return ValidationSecret(
        name=SecretName(f"credential:{name}-cacert"),
        ca_certificates=(f"{secret_root}/{name}/ca.crt", f"{secret_root}/{name}-cacert/ca.crt"),
        crl_if_present=f"{secret_root}/{name}/ca.crl",
        origin=origin,
    )
