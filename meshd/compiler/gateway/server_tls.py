"""ServerTLSSettings -> the TLS that a proxy ends, and the certificates and roots it takes for that (spec 4.1, 4.2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from meshd.compiler.upstream.secrets import (
    certificate_from_files,
    certificate_of_credential,
    identity_certificate,
    mesh_root,
    root_from_files,
    root_of_credential,
)
from meshd.plan import CertificateSecret, DownstreamTls, Secret, TlsVersion, ValidationSecret
from meshd.registry.settings import MeshSettings
from meshd.resources.server_tls import ServerTLSSettings, TLSProtocol

HTTP_ALPN: Final = ("h2", "http/1.1")
MESH_ALPN: Final = "istio"
MESH_ALPNS: Final = (MESH_ALPN, "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2")
"""By any of these, and by nothing else, a client says that it speaks the mesh's own TLS (4.2)."""
_ASKS_FOR_CERTIFICATE: Final = frozenset({"MUTUAL", "OPTIONAL_MUTUAL", "ISTIO_MUTUAL"})
_VERSIONS: Final[dict[TLSProtocol, TlsVersion | None]] = {
    "TLS_AUTO": None,
    "TLSV1_0": "TLSv1_0",
    "TLSV1_1": "TLSv1_1",
    "TLSV1_2": "TLSv1_2",
    "TLSV1_3": "TLSv1_3",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Termination:
    """TLS that ends here, and the secrets that it takes."""

    tls: DownstreamTls
    secrets: tuple[Secret, ...]


def server_tls(asked: ServerTLSSettings, settings: MeshSettings, speaks: str) -> Termination:
    """`asked` terminates. `speaks` `http`: requests are inside; else `tcp`: any bytes.

    At a gateway ISTIO_MUTUAL takes everybody for whom the mesh's root vouches, of whatever trust domain, as Istio does:
    gateways are how meshes of one root call each other. The inbound side of a host knows its own domain only; here
    it is `subjectAltNames` that says who may come. Beside them, a domain would let in all its other members.
    """
    certificates = tuple(_certificates(asked, settings))
    root = _root(asked, settings) if asked.mode in _ASKS_FOR_CERTIFICATE else None
    tls = DownstreamTls(
        certificates=tuple(each.name for each in certificates),
        alpn=_alpn(asked, speaks),
        validation=root.name if root else None,
        requires_client_certificate=_requires_certificate(asked),
        subject_alt_names=asked.subject_alt_names if root else (),
        accepts_untrusted=asked.insecure_skip_verify and root is not None,
    )
    secrets: tuple[Secret, ...] = (*certificates, root) if root else certificates
    return Termination(tls=tls if asked.mode == "ISTIO_MUTUAL" else _with_choices(tls, asked), secrets=secrets)


def _requires_certificate(asked: ServerTLSSettings) -> bool:
    """G-4.16: without verification it is asked for, but not enforced. Between members of the mesh it is their name."""
    if asked.mode == "ISTIO_MUTUAL":
        return True
    return asked.mode == "MUTUAL" and not asked.insecure_skip_verify


def _with_choices(tls: DownstreamTls, asked: ServerTLSSettings) -> DownstreamTls:
    """G-4.11 to G-4.17: what the server says of the handshake; members of the mesh have one way among themselves."""
    verifies = tls.validation is not None
    return replace(
        tls,
        spki=asked.verify_certificate_spki if verifies else (),
        hashes=asked.verify_certificate_hash if verifies else (),
        min_version=_VERSIONS[asked.min_protocol_version] or "TLSv1_2",
        max_version=_VERSIONS[asked.max_protocol_version],
        cipher_suites=asked.accepted_cipher_suites,
        ecdh_curves=asked.accepted_ecdh_curves,
    )


def _alpn(asked: ServerTLSSettings, speaks: str) -> tuple[str, ...]:
    """HTTP names offered for other bytes would mislead clients; those of the mesh name their own (D-74)."""
    if speaks == "http":
        return HTTP_ALPN
    return (MESH_ALPN,) if asked.mode == "ISTIO_MUTUAL" else ()


def _certificates(asked: ServerTLSSettings, settings: MeshSettings) -> Iterator[CertificateSecret]:
    at = asked.origin
    if asked.mode == "ISTIO_MUTUAL":
        yield identity_certificate(settings)
        return
    for name in _credentials(asked):
        yield certificate_of_credential(name, settings.secret_root, at)
    for pair in asked.tls_certificates:
        yield certificate_from_files(pair.server_certificate, pair.private_key, pair.origin)
    if asked.server_certificate and asked.private_key:
        yield certificate_from_files(asked.server_certificate, asked.private_key, at)


def _root(asked: ServerTLSSettings, settings: MeshSettings) -> ValidationSecret | None:
    """Whom clients' certificates must come from (G-4.4 to G-4.9)."""
    if asked.mode == "ISTIO_MUTUAL":
        crl = asked.ca_crl
        return root_from_files(settings.identity.root_cert, crl, asked.origin) if crl else mesh_root(settings)
    if asked.ca_cert_credential_name:
        return root_of_credential(asked.ca_cert_credential_name, settings.secret_root, asked.origin)
    first = next(iter(_credentials(asked)), None)
    if first:
        return root_of_credential(first, settings.secret_root, asked.origin)
    return root_from_files(asked.ca_certificates, asked.ca_crl, asked.origin) if asked.ca_certificates else None


def _credentials(asked: ServerTLSSettings) -> tuple[str, ...]:
    return asked.credential_names or ((asked.credential_name,) if asked.credential_name else ())
