"""`tls` of a policy and a service's own names -> the TLS that the proxy opens to its endpoints (spec D-70 to D-84).

Without a word to the contrary both chain and name of the server are verified.
"""

from __future__ import annotations

from meshd import plan
from meshd.registry.hosts import is_wildcard
from meshd.registry.service import Port, Service
from meshd.resources.traffic_policy import ClientTLSSettings


def upstream_tls(
    settings: ClientTLSSettings | None, service: Service, port: Port, system_ca_file: str
) -> plan.UpstreamTls | None:
    if settings is None or settings.mode == "DISABLE":
        return None
    names = settings.subject_alt_names or service.subject_alt_names
    asked = settings.sni or None  # an empty one is an absent one, as in Istio: it must not end the check of names
    automatic = asked is None and not names and not settings.insecure_skip_verify
    sni, expected = _names(service, port)
    return plan.UpstreamTls(
        sni=sni if asked is None else asked,
        ca_certificates=None if settings.insecure_skip_verify else _ca(settings, system_ca_file),
        subject_alt_names=_verified(settings, names) or (expected if automatic else ()),
        san_from_host=automatic and sni is None,
        crl=settings.ca_crl,
        client_certificate=_client_certificate(settings),
    )


def _names(service: Service, port: Port) -> tuple[str | None, tuple[str, ...]]:
    """The automatic SNI, and the name that the certificate must then carry.

    Each HTTP request brings its Host. Other bytes do not: there it is the service's name, unless that is a wildcard.
    """
    if port.family == "http":
        return None, ()
    return ("", ()) if is_wildcard(service.host) else (service.host, (service.host,))


def _verified(settings: ClientTLSSettings, names: tuple[str, ...]) -> tuple[str, ...]:
    return () if settings.insecure_skip_verify else names


def _ca(settings: ClientTLSSettings, system_ca_file: str) -> str:
    chosen = settings.ca_certificates
    return system_ca_file if chosen in {None, "", "system"} else str(chosen)


def _client_certificate(settings: ClientTLSSettings) -> plan.ClientCertificate | None:
    if settings.mode != "MUTUAL" or not settings.client_certificate or not settings.private_key:
        return None
    return plan.ClientCertificate(certificate_chain=settings.client_certificate, private_key=settings.private_key)
