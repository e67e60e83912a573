"""TLS that the proxy opens to endpoints -> UpstreamTlsContext.

Files are named in place, so Envoy reads them when it takes the cluster: `watched_directory` is left out because
it acts on secrets from SDS only (measured: an inline certificate is not read again, with or without it).
"""

from __future__ import annotations

from envoy.config.core.v3.base_pb2 import DataSource, TransportSocket
from envoy.extensions.transport_sockets.tls.v3 import common_pb2 as tls
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import CommonTlsContext, UpstreamTlsContext
from envoy.type.matcher.v3.string_pb2 import StringMatcher

from meshd.envoy.wire import packed
from meshd.plan import ClientCertificate, UpstreamTls

_San = tls.SubjectAltNameMatcher


def tls_socket(settings: UpstreamTls, alpn: tuple[str, ...]) -> TransportSocket:
    context = UpstreamTlsContext(
        common_tls_context=CommonTlsContext(
            tls_params=tls.TlsParameters(
                tls_minimum_protocol_version=tls.TlsParameters.TLSv1_2,
                tls_maximum_protocol_version=tls.TlsParameters.TLSv1_3,
            ),
            tls_certificates=_certificates(settings.client_certificate),
            validation_context=_validation(settings),
            alpn_protocols=alpn,
        ),
        sni=settings.sni or "",
    )
    return TransportSocket(name="envoy.transport_sockets.tls", typed_config=packed(context))


def _certificates(pair: ClientCertificate | None) -> list[tls.TlsCertificate]:
    if pair is None:
        return []
    return [
        tls.TlsCertificate(
            certificate_chain=DataSource(filename=pair.certificate_chain),
            private_key=DataSource(filename=pair.private_key),
        )
    ]


def _validation(settings: UpstreamTls) -> tls.CertificateValidationContext:
    """Without a CA it stays empty: names checked against an unverified certificate would only look safe."""
    if settings.ca_certificates is None:
        return tls.CertificateValidationContext()
    return tls.CertificateValidationContext(
        trusted_ca=DataSource(filename=settings.ca_certificates),
        crl=DataSource(filename=settings.crl) if settings.crl else None,
        match_typed_subject_alt_names=[
            _San(san_type=kind, matcher=StringMatcher(exact=name))
            for name in settings.subject_alt_names
            for kind in (_San.DNS, _San.URI)
        ],
    )
