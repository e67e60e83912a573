"""`tls` of a policy and a service's own names -> the TLS that the proxy opens to its endpoints (spec D-70 to D-84).

Without a word to the contrary both chain and name of the server are verified.
"""

from __future__ import annotations

from dataclasses import dataclass

from meshd import plan
from meshd.compiler.secrets import certificate_from_files, root_from_files
from meshd.registry.hosts import is_wildcard
from meshd.registry.service import Port, Service
from meshd.resources.traffic_policy import ClientTLSSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Origination:
    """TLS that is opened, and the secrets that it takes."""

    tls: plan.UpstreamTls
    secrets: tuple[plan.Secret, ...] = ()


def upstream_tls(
    settings: ClientTLSSettings | None, service: Service, port: Port, system_ca_file: str
) -> Origination | None:
    if settings is None or settings.mode == "DISABLE":
        return None
    names = settings.subject_alt_names or service.subject_alt_names
    asked = settings.sni or None  # an empty one is an absent one, as in Istio: it must not end the check of names
    automatic = asked is None and not names and not settings.insecure_skip_verify
    sni, expected = _names(service, port)
    root, certificate = _root(settings, system_ca_file), _client_certificate(settings)
    tls = plan.UpstreamTls(
        sni=sni if asked is None else asked,
        validation=root.name if root else None,
        subject_alt_names=_verified(settings, names) or (expected if automatic else ()),
        san_from_host=automatic and sni is None,
        certificate=certificate.name if certificate else None,
    )
    return Origination(tls=tls, secrets=tuple(secret for secret in (certificate, root) if secret))


def _names(service: Service, port: Port) -> tuple[str | None, tuple[str, ...]]:
    """The automatic SNI, and the name that the certificate must then carry.

    Each HTTP request brings its Host. Other bytes do not: there it is the service's name, unless that is a wildcard.
    """
    if port.family == "http":
        return None, ()
    return ("", ()) if is_wildcard(service.host) else (service.host, (service.host,))


def _verified(settings: ClientTLSSettings, names: tuple[str, ...]) -> tuple[str, ...]:
    return () if settings.insecure_skip_verify else names


def _root(settings: ClientTLSSettings, system_ca_file: str) -> plan.ValidationSecret | None:
    if settings.insecure_skip_verify:
        return None
    chosen = settings.ca_certificates
    file = system_ca_file if chosen in {None, "", "system"} else str(chosen)
    return root_from_files(file, settings.ca_crl, settings.origin)


def _client_certificate(settings: ClientTLSSettings) -> plan.CertificateSecret | None:
    if settings.mode != "MUTUAL" or not settings.client_certificate or not settings.private_key:
        return None
    return certificate_from_files(settings.client_certificate, settings.private_key, settings.origin)
