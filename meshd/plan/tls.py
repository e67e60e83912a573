"""TLS that a proxy opens or ends, and the secrets it takes for that: paths on the proxy's host, never their content."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from meshd.names import SecretName
from meshd.problems import NOWHERE, Origin

WATCHED_SECRETS = 40
"""So many secrets of one proxy are watched, so that renewed files are read; the rest is read when Envoy starts.

Envoy opens an inotify instance for each, and a user has 128 of them: enough for the sidecar, the gateway, and one of
them a second time during its hot restart.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateSecret:
    """What the proxy shows of itself. `below`: no link may lead the files out of this directory; empty, none is set."""

    name: SecretName
    certificate_chain: str
    private_key: str
    below: str = ""
    origin: Origin = NOWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationSecret:
    """Whom the proxy believes. Of `ca_certificates` the first file that is there counts, else the first.

    `crl` must be there; `crl_if_present` is used where it is. `below`: as of a certificate.
    """

    name: SecretName
    ca_certificates: tuple[str, ...]
    crl: str | None = None
    crl_if_present: str | None = None
    below: str = ""
    origin: Origin = NOWHERE


Secret = CertificateSecret | ValidationSecret


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What is shown to a proxy on the way, `Basic ...`: a file that Envoy reads, and reads again when it is renewed."""

    file: str
    below: str
    origin: Origin = NOWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamTls:
    """TLS that the proxy opens itself.

    `sni` None takes it from each request's Host; empty, none is sent. `validation` None verifies nothing. Exact
    `subject_alt_names` and `san_from_host` never stand together (spec D-80). `alpn` empty: `h2` where the cluster
    speaks HTTP/2.
    """

    sni: str | None
    validation: SecretName | None
    subject_alt_names: tuple[str, ...] = ()
    san_from_host: bool = False
    certificate: SecretName | None = None
    alpn: tuple[str, ...] = ()


TlsVersion = Literal["TLSv1_0", "TLSv1_1", "TLSv1_2", "TLSv1_3"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DownstreamTls:
    """TLS that the proxy ends.

    `validation` None: the client is not asked for a certificate. Of `spki` (base64) and `hashes` (hex), both SHA-256,
    one match is enough. `accepts_untrusted`: a certificate is passed on, but not judged. `trust_domain`: the client
    must be somebody of it, `spiffe://<trust_domain>/...`. `max_version` None is Envoy's own limit.
    """

    certificates: tuple[SecretName, ...]
    alpn: tuple[str, ...] = ()
    validation: SecretName | None = None
    requires_client_certificate: bool = False
    subject_alt_names: tuple[str, ...] = ()
    spki: tuple[str, ...] = ()
    hashes: tuple[str, ...] = ()
    accepts_untrusted: bool = False
    trust_domain: str = ""
    min_version: TlsVersion | None = "TLSv1_2"
    max_version: TlsVersion | None = None
    cipher_suites: tuple[str, ...] = ()
    ecdh_curves: tuple[str, ...] = ()
