"""ServerTLSSettings: TLS that a Gateway server or a Sidecar's ingress ends (spec G-4 and SC-8)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from meshd.fields import Count, Message

ServerTLSMode = Literal["PASSTHROUGH", "SIMPLE", "MUTUAL", "AUTO_PASSTHROUGH", "ISTIO_MUTUAL", "OPTIONAL_MUTUAL"]
TLSProtocol = Literal["TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TLSCertificate(Message):
    server_certificate: Annotated[str, Count(1)]
    private_key: Annotated[str, Count(1)]
    ca_certificates: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTLSSettings(Message):
    https_redirect: bool = False
    mode: ServerTLSMode = "PASSTHROUGH"
    server_certificate: str | None = None
    private_key: str | None = None
    ca_certificates: str | None = None
    ca_crl: str | None = None
    credential_name: str | None = None
    credential_names: Annotated[tuple[str, ...], Count(0, 2)] = ()
    ca_cert_credential_name: str | None = None
    tls_certificates: Annotated[tuple[TLSCertificate, ...], Count(0, 2)] = ()
    subject_alt_names: tuple[str, ...] = ()
    verify_certificate_spki: tuple[str, ...] = ()
    verify_certificate_hash: tuple[str, ...] = ()
    min_protocol_version: TLSProtocol = "TLS_AUTO"
    max_protocol_version: TLSProtocol = "TLS_AUTO"
    cipher_suites: tuple[str, ...] = ()
    insecure_skip_verify: bool = False
    ecdh_curves: tuple[str, ...] = ()

    @property
    def terminates(self) -> bool:
        """Whether TLS ends at this server; otherwise it is passed on as it came."""
        return self.mode not in {"PASSTHROUGH", "AUTO_PASSTHROUGH"}
