"""Clusters and listeners with TLS -> the same with a stand-in for every certificate and CA, which needs no file.

So Envoy can judge who takes a certificate where the files are missing, or not for everybody to read. An access log is
judged as one that goes nowhere: Envoy opens its file even then, and it is the proxy's, who is another user.
"""

from __future__ import annotations

from typing import Final

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.base_pb2 import DataSource
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.extensions.access_loggers.file.v3.file_pb2 import FileAccessLog
from envoy.extensions.transport_sockets.tls.v3.common_pb2 import CertificateValidationContext, TlsCertificate
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import CommonTlsContext
from google.protobuf.struct_pb2 import Value

from meshd.envoy import nested
from meshd.envoy.tls_contexts import edited
from meshd.envoy.tunnels import CREDENTIALS

_TLS: Final = b"type.googleapis.com/envoy.extensions.transport_sockets.tls.v3."
_LOG_FILE: Final = b"type.googleapis.com/envoy.extensions.access_loggers.file.v3."

# This key protects nothing: it was made for this file, and no proxy ever serves with it.
_KEY: Final = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgH2b52geMC9RWQpfY
25cR79mTAWjc/B1Llu0/HMI6t5ahRANCAATYVoC7ygAJhAMWFJ4ZQk51Fpe8oV/Z
JiXGNhA4IjHYQd2Vq/Vs5UiXCA2wuPrboj220kACmw0NZS63g1hSnq/5
-----END PRIVATE KEY-----
"""
_CERTIFICATE: Final = """\
-----BEGIN CERTIFICATE-----
MIIBfjCCASOgAwIBAgIUECZjjte6/5rTadyKscQC6h5dHxswCgYIKoZIzj0EAwIw
EzERMA8GA1UEAwwIc3RhbmQtaW4wIBcNMjYxMTIyMTAyODQwWhgPMjEyNjEwMjkx
MDI4NDBaMBMxETAPBgNVBAMMCHN0YW5kLWluMFkwEwYHKoZIzj0CAQYIKoZIzj0D
AQcDQgAE2FaAu8oACYQDFhSeGUJOdRaXvKFf2SYlxjYQOCIx2EHdlav1bOVIlwgN
sLj626I9ttJAApsNDWUut4NYUp6v+aNTMFEwHQYDVR0OBBYEFEvRqQnOtWw9NjVB
vSc43UoPHDXTMB8GA1UdIwQYMBaAFEvRqQnOtWw9NjVBvSc43UoPHDXTMA8GA1Ud
EwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSQAwRgIhALg19DumBy4x4/sPye8Q70i2
1Ab4UZxiPj6Pn78FUqvYAiEA/LxR2jd92uNdiUyspTB3h0JXQ8EvLz/d382qJ0mp
43s=
-----END CERTIFICATE-----
"""
_CA: Final = DataSource(inline_string=_CERTIFICATE)
_PAIR: Final = TlsCertificate(certificate_chain=_CA, private_key=DataSource(inline_string=_KEY))


def cluster_with_stand_ins(body: bytes) -> bytes:
    return edited(body, Cluster(), _TLS, _stand_in)


def listener_with_stand_ins(body: bytes) -> bytes:
    without_certificates = edited(body, Listener(), _TLS, _stand_in)
    without_credentials = nested.edited(without_certificates, Listener(), CREDENTIALS, Value, _show_nothing)
    return nested.edited(without_credentials, Listener(), _LOG_FILE, FileAccessLog, _write_nowhere)


def _show_nothing(value: Value) -> None:
    """The file of the credentials is the proxy's to read."""
    for each in value.struct_value.fields.values():
        _show_nothing(each)
    for each in value.list_value.values:
        _show_nothing(each)
    if CREDENTIALS.decode() in value.string_value:
        value.string_value = "nobody"


def _write_nowhere(log: FileAccessLog) -> None:
    log.path = "/dev/null"


def _stand_in(context: CommonTlsContext) -> None:
    """Whether they came by SDS or were files inside."""
    if context.tls_certificate_sds_secret_configs or context.tls_certificates:
        context.ClearField("tls_certificate_sds_secret_configs")
        context.ClearField("tls_certificates")
        context.tls_certificates.append(_PAIR)
    if context.HasField("combined_validation_context"):
        expected = CertificateValidationContext(trusted_ca=_CA)
        expected.MergeFrom(context.combined_validation_context.default_validation_context)
        context.validation_context.CopyFrom(expected)
    elif context.validation_context.HasField("trusted_ca"):
        context.validation_context.trusted_ca.CopyFrom(_CA)
        context.validation_context.ClearField("crl")
        context.validation_context.ClearField("watched_directory")
