"""TLS that the proxy opens or ends -> Envoy's TLS contexts. Certificates come by SDS, so that they are renewed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import ip_address

from envoy.config.core.v3.base_pb2 import TransportSocket
from envoy.extensions.transport_sockets.tls.v3.common_pb2 import (
    CertificateValidationContext,
    SubjectAltNameMatcher,
    TlsParameters,
)
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import SdsSecretConfig, Secret
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import (
    CommonTlsContext,
    DownstreamTlsContext,
    UpstreamTlsContext,
)
from envoy.type.matcher.v3.string_pb2 import StringMatcher
from google.protobuf.message import Message

from meshd.envoy.config_sources import ads
from meshd.envoy.scalars import boolean
from meshd.envoy.wire import packed
from meshd.names import SecretName
from meshd.plan import DownstreamTls, TlsVersion, UpstreamTls

_ANYBODY = CertificateValidationContext(trust_chain_verification=CertificateValidationContext.ACCEPT_UNTRUSTED)


def tls_socket(settings: UpstreamTls, alpn: tuple[str, ...]) -> TransportSocket:
    """TLS to endpoints; `alpn` where the settings name none."""
    common = CommonTlsContext(
        tls_params=TlsParameters(
            tls_minimum_protocol_version=TlsParameters.TLSv1_2, tls_maximum_protocol_version=TlsParameters.TLSv1_3
        ),
        tls_certificate_sds_secret_configs=[_secret(settings.certificate)] if settings.certificate else [],
        alpn_protocols=settings.alpn or alpn,
    )
    # Without a CA no name is looked for: found in an unverified certificate, it would only look safe.
    if settings.validation:
        expected = CertificateValidationContext(match_typed_subject_alt_names=_matchers(settings.subject_alt_names))
        _validate(common, settings.validation, expected)
    return _socket(UpstreamTlsContext(common_tls_context=common, sni=settings.sni or ""))


def server_tls_socket(settings: DownstreamTls) -> TransportSocket:
    """TLS from clients."""
    common = CommonTlsContext(
        tls_params=TlsParameters(
            tls_minimum_protocol_version=_version(settings.min_version),
            tls_maximum_protocol_version=_version(settings.max_version),
            cipher_suites=settings.cipher_suites,
            ecdh_curves=settings.ecdh_curves,
        ),
        tls_certificate_sds_secret_configs=[_secret(each) for each in settings.certificates],
        alpn_protocols=settings.alpn,
    )
    if settings.validation:
        _validate(common, settings.validation, _of_clients(settings))
    elif settings.accepts_untrusted:
        common.validation_context.CopyFrom(_ANYBODY)
    # Always said: what Envoy takes silence for is about to change.
    required = boolean(settings.requires_client_certificate)
    return _socket(DownstreamTlsContext(common_tls_context=common, require_client_certificate=required))


def taking(name: SecretName, body: bytes) -> TransportSocket:
    """TLS whose only use is that Envoy looks at this secret."""
    common = CommonTlsContext()
    if Secret.FromString(body).HasField("tls_certificate"):
        common.tls_certificate_sds_secret_configs.append(_secret(name))
    else:
        _validate(common, name, CertificateValidationContext())
    return _socket(UpstreamTlsContext(common_tls_context=common))


def _validate(context: CommonTlsContext, root: SecretName, expected: CertificateValidationContext) -> None:
    """`expected`: what a certificate must be besides signed by the root."""
    context.combined_validation_context.CopyFrom(
        CommonTlsContext.CombinedCertificateValidationContext(
            default_validation_context=expected, validation_context_sds_secret_config=_secret(root)
        )
    )


def _of_clients(settings: DownstreamTls) -> CertificateValidationContext:
    expected = CertificateValidationContext(
        match_typed_subject_alt_names=[*_matchers(settings.subject_alt_names), *_members(settings.trust_domain)],
        verify_certificate_spki=settings.spki,
        verify_certificate_hash=settings.hashes,
    )
    if settings.accepts_untrusted:
        expected.MergeFrom(_ANYBODY)
    return expected


def _members(trust_domain: str) -> Iterator[SubjectAltNameMatcher]:
    """Whoever has a SPIFFE identity of this domain."""
    if trust_domain:
        prefix = StringMatcher(prefix=f"spiffe://{trust_domain}/")
        yield SubjectAltNameMatcher(san_type=SubjectAltNameMatcher.URI, matcher=prefix)


def _matchers(names: Iterable[str]) -> Iterator[SubjectAltNameMatcher]:
    """A certificate carries a name as one kind or another; resources do not say which.

    An address has a kind of its own, which Envoy takes for no other (measured).
    """
    for name in names:
        for kind in (SubjectAltNameMatcher.DNS, SubjectAltNameMatcher.URI):
            yield SubjectAltNameMatcher(san_type=kind, matcher=StringMatcher(exact=name))
        if address := _address(name):
            yield SubjectAltNameMatcher(san_type=SubjectAltNameMatcher.IP_ADDRESS, matcher=StringMatcher(exact=address))


def _address(name: str) -> str:
    """As Envoy writes it."""
    try:
        return str(ip_address(name))
    except ValueError:
        return ""


def _secret(name: SecretName) -> SdsSecretConfig:
    return SdsSecretConfig(name=name, sds_config=ads())


def _version(version: TlsVersion | None) -> int:
    return int(TlsParameters.TlsProtocol.Value(version or "TLS_AUTO"))


def _socket(context: Message) -> TransportSocket:
    return TransportSocket(name="envoy.transport_sockets.tls", typed_config=packed(context))
