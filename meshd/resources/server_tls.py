"""ServerTLSSettings: TLS that a Gateway server or a Sidecar's ingress ends (spec G-4 and SC-8)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from meshd.fields import Count, EmptyIsAbsent, Matching, Message, credential_name
from meshd.problems import Problem, nearest
from meshd.resources.finding import doubtful, invalid

ServerTLSMode = Literal["PASSTHROUGH", "SIMPLE", "MUTUAL", "AUTO_PASSTHROUGH", "ISTIO_MUTUAL", "OPTIONAL_MUTUAL"]
TLSProtocol = Literal["TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3"]

CIPHER_SUITES: Final = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-ECDSA-AES256-SHA",
    "ECDHE-RSA-AES256-SHA",
    "AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
    "AES128-SHA",
    "AES256-SHA",
    "DES-CBC3-SHA",
)
ECDH_CURVES: Final = ("P-256", "P-384", "P-521", "X25519", "X25519MLKEM768")
"""Those of Envoy 1.40 (tried); P-224 and X25519Kyber768Draft00, which Istio lists too, make it refuse the listener."""

_SPKI: Final = re.compile(r"[A-Za-z0-9+/]{43}=")
_HASH: Final = re.compile(r"[0-9A-Fa-f]{64}|[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){31}")
_ASKS_FOR_CERTIFICATE: Final = frozenset({"MUTUAL", "OPTIONAL_MUTUAL", "ISTIO_MUTUAL"})
_VERSIONS: Final = ("TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3")

Path = Annotated[str, EmptyIsAbsent()]
Credential = Annotated[str, EmptyIsAbsent(), credential_name]


spki_digest: Final = Matching(_SPKI, "a SHA-256 digest in base64 (44 characters)")
certificate_digest: Final = Matching(_HASH, "a SHA-256 digest in hex (64 digits, or with a colon between all pairs)")


def known_cipher_suite(name: str) -> bool:
    """One of the API's names, `ALL`, or an expression such as `-AES128-SHA` or `[A|B]` (spec G-4.15)."""
    return name in CIPHER_SUITES or name == "ALL" or (name != "" and not name[0].isalnum())


@dataclass(frozen=True, slots=True, kw_only=True)
class TLSCertificate(Message):
    """`ca_certificates` is ignored: the CA of the server is that of the settings around it (spec G-4.9)."""

    server_certificate: Annotated[str, Count(1)]
    private_key: Annotated[str, Count(1)]
    ca_certificates: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTLSSettings(Message):
    """How TLS arrives at a server. Certificates come from files, or from credentials below `secretRoot`."""

    https_redirect: bool = False
    mode: ServerTLSMode = "PASSTHROUGH"
    server_certificate: Path | None = None
    private_key: Path | None = None
    ca_certificates: Path | None = None
    ca_crl: Path | None = None
    credential_name: Credential | None = None
    credential_names: Annotated[tuple[Annotated[str, credential_name], ...], Count(0, 2)] = ()
    ca_cert_credential_name: Credential | None = None
    tls_certificates: Annotated[tuple[TLSCertificate, ...], Count(0, 2)] = ()
    subject_alt_names: tuple[str, ...] = ()
    verify_certificate_spki: tuple[Annotated[str, spki_digest], ...] = ()
    verify_certificate_hash: tuple[Annotated[str, certificate_digest], ...] = ()
    min_protocol_version: TLSProtocol = "TLS_AUTO"
    max_protocol_version: TLSProtocol = "TLS_AUTO"
    cipher_suites: tuple[str, ...] = ()
    insecure_skip_verify: bool = False
    ecdh_curves: tuple[str, ...] = ()

    @property
    def terminates(self) -> bool:
        """Whether TLS ends at this server; otherwise it is passed on as it came."""
        return self.mode not in {"PASSTHROUGH", "AUTO_PASSTHROUGH"}

    @property
    def has_credential(self) -> bool:
        return bool(self.credential_name or self.credential_names)

    @property
    def accepted_cipher_suites(self) -> tuple[str, ...]:
        """Each known one once: what is unknown or given again was warned of, and is left out."""
        return tuple(dict.fromkeys(name for name in self.cipher_suites if known_cipher_suite(name)))

    @property
    def accepted_ecdh_curves(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for name in self.ecdh_curves if name in ECDH_CURVES))

    def check(self) -> Iterator[Problem]:
        if self.mode == "ISTIO_MUTUAL":
            yield from self._check_mesh_identity()
        else:
            yield from self._check_sources()
            yield from self._check_terminating() if self.terminates else self._check_passthrough()
        yield from self._check_crl()
        yield from self._check_client()
        yield from self._check_versions()
        yield from self._check_names("cipherSuites", self.cipher_suites, known_cipher_suite, CIPHER_SUITES)
        yield from self._check_names("ecdhCurves", self.ecdh_curves, ECDH_CURVES.__contains__, ECDH_CURVES)

    # --- where certificates come from -------------------------------------------------------------------------

    def _certificates(self) -> dict[str, object]:
        """By field, each that says where the server's certificate, its key or its CA is."""
        return {
            "serverCertificate": self.server_certificate,
            "privateKey": self.private_key,
            "caCertificates": self.ca_certificates,
            "credentialName": self.credential_name,
            "credentialNames": self.credential_names,
            "tlsCertificates": self.tls_certificates,
        }

    def _check_mesh_identity(self) -> Iterator[Problem]:
        for name, given in self._certificates().items():
            if given:
                message = f"{name} does not go with ISTIO_MUTUAL, which shows the mesh identity of the host"
                yield invalid(self.origin.at(name), message, "remove it, or set mode: MUTUAL")

    def _check_passthrough(self) -> Iterator[Problem]:
        for name, given in {**self._certificates(), "caCrl": self.ca_crl}.items():
            if given:
                hint = "set mode: SIMPLE or MUTUAL to end TLS here"
                yield doubtful(self.origin.at(name), f"is ignored: mode {self.mode} uses no certificate", hint)

    def _check_sources(self) -> Iterator[Problem]:
        """G-4.6: as in Istio, where the mode uses no certificate too."""
        sources = {
            "serverCertificate": self._has_pair,
            "credentialName": self.credential_name,
            "credentialNames": self.credential_names,
            "tlsCertificates": self.tls_certificates,
        }
        first, *others = [name for name, given in sources.items() if given] or [""]
        for name in others:
            message = f"{first} is given already: a server has one source of certificates"
            yield Problem(code="E-ONEOF", at=self.origin.at(name), message=message, hint="remove one of the two")

    @property
    def _has_pair(self) -> bool:
        return bool(self.server_certificate and self.private_key)

    def _check_terminating(self) -> Iterator[Problem]:
        """Half a pair beside a credential is not told by `_check_sources`: it is none."""
        given = self._certificates()
        half = () if self._has_pair else ("serverCertificate", "privateKey")
        for name in (*half, "caCertificates") if self.has_credential else ():
            if given[name]:
                yield doubtful(self.origin.at(name), "is ignored beside a credential", "remove it")
        yield from self._check_required()

    def _check_required(self) -> Iterator[Problem]:
        """G-4.3 and G-4.4."""
        needed: dict[str, object] = {}
        if not self.has_credential:
            if not self.tls_certificates:
                needed = {"serverCertificate": self.server_certificate, "privateKey": self.private_key}
            if self.mode != "SIMPLE":
                needed["caCertificates"] = self.ca_certificates or self.ca_cert_credential_name
        for name, given in needed.items():
            if not given:
                message = f"mode {self.mode} needs {name}, or a credentialName"
                yield Problem(code="E-REQUIRED", at=self.origin.at(name), message=message)

    def _check_crl(self) -> Iterator[Problem]:
        """G-4.5."""
        at = self.origin.at("caCrl")
        if self.ca_crl and self.mode == "SIMPLE":
            yield invalid(at, "mode SIMPLE asks for no client certificate that could be revoked", "set mode: MUTUAL")
        elif self.ca_crl and self.has_credential and self.mode != "ISTIO_MUTUAL":
            yield invalid(at, "does not go with a credential", "put it into the credential, as `ca.crl`")

    # --- what else is said of it ------------------------------------------------------------------------------

    def _check_client(self) -> Iterator[Problem]:
        """G-4.8, G-4.10 to G-4.12 and G-4.16: what is asked of the client's certificate."""
        of_any_client = {"subjectAltNames": self.subject_alt_names, "insecureSkipVerify": self.insecure_skip_verify}
        of_files = {
            "verifyCertificateSpki": self.verify_certificate_spki,
            "verifyCertificateHash": self.verify_certificate_hash,
            "caCertCredentialName": self.ca_cert_credential_name,
        }
        for name, given in (of_any_client | of_files).items():
            asks = self.mode in _ASKS_FOR_CERTIFICATE and (name in of_any_client or self.mode != "ISTIO_MUTUAL")
            if given and not asks:
                yield doubtful(self.origin.at(name), f"has no effect in mode {self.mode}", "set mode: MUTUAL")
        if self.mode == "OPTIONAL_MUTUAL" and not self.insecure_skip_verify:
            yield from self._check_optional()
        if self.insecure_skip_verify and self.mode in _ASKS_FOR_CERTIFICATE:
            message = "a client may show any certificate, or none: nothing is verified"
            yield Problem(code="W-TLS-INSECURE", at=self.origin.at("insecureSkipVerify"), message=message)

    def _check_optional(self) -> Iterator[Problem]:
        """Envoy takes no client without a certificate where that has to be a certain one (tried)."""
        certain = {
            "subjectAltNames": self.subject_alt_names,
            "verifyCertificateSpki": self.verify_certificate_spki,
            "verifyCertificateHash": self.verify_certificate_hash,
        }
        for name, given in certain.items():
            if given:
                message = "no client gets in without a certificate any more, as in mode MUTUAL"
                yield doubtful(self.origin.at(name), message, "set mode: MUTUAL, or let backends look at the name")

    def _check_versions(self) -> Iterator[Problem]:
        """G-4.13 and G-4.14."""
        lowest, highest = self.min_protocol_version, self.max_protocol_version
        if lowest in {"TLSV1_0", "TLSV1_1"} and not self.cipher_suites:
            message = f"{lowest} needs cipher suites that are not among the default ones"
            yield doubtful(self.origin.at("minProtocolVersion"), message, "name them in cipherSuites")
        settled = "TLSV1_2" if lowest == "TLS_AUTO" else lowest
        if highest != "TLS_AUTO" and _VERSIONS.index(highest) < _VERSIONS.index(settled):
            message = f"is below the lowest version ({settled}): no client can connect"
            yield doubtful(self.origin.at("maxProtocolVersion"), message, "set minProtocolVersion too")

    def _check_names(
        self, name: str, given: tuple[str, ...], known: Callable[[str], bool], names: tuple[str, ...]
    ) -> Iterator[Problem]:
        """G-4.15 and G-4.17."""
        for index, each in enumerate(given):
            at = self.origin.at(name).item(index)
            if not known(each):
                yield doubtful(at, f"{each!r} is not known and left out", nearest(each, names))
            elif each in given[:index]:
                yield doubtful(at, f"{each!r} is given twice")
