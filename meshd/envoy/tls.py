"""TLS that the proxy opens to endpoints -> UpstreamTlsContext. Certificates come by SDS, so that they are renewed."""

from __future__ import annotations

from envoy.config.core.v3.base_pb2 import TransportSocket
from envoy.extensions.transport_sockets.tls.v3 import common_pb2 as tls
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import SdsSecretConfig
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import CommonTlsContext, UpstreamTlsContext
from envoy.type.matcher.v3.string_pb2 import StringMatcher

from meshd.envoy.config_sources import ads
from meshd.envoy.wire import packed
from meshd.names import SecretName
from meshd.plan import UpstreamTls

_San = tls.SubjectAltNameMatcher


def tls_socket(settings: UpstreamTls, alpn: tuple[str, ...]) -> TransportSocket:
    context = UpstreamTlsContext(
        common_tls_context=CommonTlsContext(
            tls_params=tls.TlsParameters(
                tls_minimum_protocol_version=tls.TlsParameters.TLSv1_2,
                tls_maximum_protocol_version=tls.TlsParameters.TLSv1_3,
            ),
            tls_certificate_sds_secret_configs=[secret(settings.certificate)] if settings.certificate else [],
            combined_validation_context=_validation(settings),
            alpn_protocols=settings.alpn or alpn,
        ),
        sni=settings.sni or "",
    )
    return TransportSocket(name="envoy.transport_sockets.tls", typed_config=packed(context))


def secret(name: SecretName) -> SdsSecretConfig:
    return SdsSecretConfig(name=name, sds_config=ads())


def _validation(settings: UpstreamTls) -> CommonTlsContext.CombinedCertificateValidationContext | None:
    """Without a CA there is none: names checked against an unverified certificate would only look safe."""
    if settings.validation is None:
        return None
    return CommonTlsContext.CombinedCertificateValidationContext(
        default_validation_context=tls.CertificateValidationContext(
            match_typed_subject_alt_names=[
                _San(san_type=kind, matcher=StringMatcher(exact=name))
                for name in settings.subject_alt_names
                for kind in (_San.DNS, _San.URI)
            ],
        ),
        validation_context_sds_secret_config=secret(settings.validation),
    )
