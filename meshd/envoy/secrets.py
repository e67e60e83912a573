"""Plan secrets -> Envoy's Secrets: names of files, which Envoy opens itself and reads again when they are renewed.

Keys never pass through meshd. Which of the optional files are there is asked of the host by whoever delivers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from envoy.config.core.v3.base_pb2 import DataSource, WatchedDirectory
from envoy.extensions.transport_sockets.tls.v3.common_pb2 import CertificateValidationContext, TlsCertificate
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret as EnvoySecret

from meshd.envoy.resource import SECRET, EnvoyResource
from meshd.envoy.wire import resource, serialised
from meshd.memo import Memo
from meshd.plan import CertificateSecret, Secret, ValidationSecret


def secrets(plan_secrets: Iterable[Secret], present: Collection[str], memo: Memo) -> tuple[EnvoyResource, ...]:
    """`present`: those of their `optional_files` that are there."""
    return tuple(memo.recall(_secret, each, *files_of(each, present)) for each in plan_secrets)


def is_identity(name: str) -> bool:
    """Of the host in the mesh: `default` and `ROOTCA`, as Istio calls them. All others have a kind and a colon."""
    return ":" not in name


def optional_files(secret: Secret) -> tuple[str, ...]:
    """Whether these are there decides which are used."""
    if isinstance(secret, CertificateSecret):
        return ()
    choice = secret.ca_certificates if len(secret.ca_certificates) > 1 else ()
    return (*choice, secret.crl_if_present) if secret.crl_if_present else choice


def files_of(secret: Secret, present: Collection[str]) -> tuple[str, ...]:
    """What Envoy opens: certificate and key; or the CA, and the revocation list if there is one."""
    if isinstance(secret, CertificateSecret):
        return (secret.certificate_chain, secret.private_key)
    ca = next((file for file in secret.ca_certificates if file in present), secret.ca_certificates[0])
    crl = secret.crl or (secret.crl_if_present if secret.crl_if_present in present else None)
    return (ca, crl) if crl else (ca,)


def _secret(secret: Secret, *files: str) -> EnvoyResource:
    message = _certificate(secret, *files) if isinstance(secret, CertificateSecret) else _validation(secret, *files)
    return resource(SECRET, secret.name, serialised(message), secret.origin)


def _certificate(secret: CertificateSecret, chain: str, key: str) -> EnvoySecret:
    certificate = TlsCertificate(
        certificate_chain=_file(chain), private_key=_file(key), watched_directory=_watched(chain, key)
    )
    return EnvoySecret(name=secret.name, tls_certificate=certificate)


def _validation(secret: ValidationSecret, ca: str, crl: str | None = None) -> EnvoySecret:
    context = CertificateValidationContext(
        trusted_ca=_file(ca), crl=crl and _file(crl), watched_directory=_watched(ca, crl or ca)
    )
    return EnvoySecret(name=secret.name, validation_context=context)


def _file(path: str) -> DataSource:
    return DataSource(filename=path)


def _watched(first: str, second: str) -> WatchedDirectory | None:
    """The directory of both, where also a link that is exchanged is seen; else Envoy waits for each file's rename."""
    directory = _directory(first)
    return WatchedDirectory(path=directory) if directory == _directory(second) else None


def _directory(path: str) -> str:
    return path.rpartition("/")[0] or "/"
