"""Real certificate files that stand in for those a mesh names: Envoy reads them when it judges a bootstrap."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret


@dataclass(frozen=True)
class Files:
    certificate: Path
    key: Path

    def stand_in_for(self, secret: Secret) -> Secret:
        found = Secret.FromString(secret.SerializeToString())
        if found.HasField("tls_certificate"):
            found.tls_certificate.certificate_chain.filename = str(self.certificate)
            found.tls_certificate.private_key.filename = str(self.key)
            found.tls_certificate.ClearField("watched_directory")
        if found.HasField("validation_context"):
            found.validation_context.trusted_ca.filename = str(self.certificate)
            found.validation_context.ClearField("crl")
            found.validation_context.ClearField("watched_directory")
        return found
