"""Many bootstraps -> one that is valid exactly when each of them is: a start of Envoy costs more than a small mesh."""

from __future__ import annotations

from collections.abc import Sequence

from envoy.config.bootstrap.v3.bootstrap_pb2 import Bootstrap
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret

from tests.robustness.files import Files


def merged(bootstraps: Sequence[bytes], files: Files) -> bytes:
    """Names get a prefix and listeners addresses of their own; secrets are read from `files`, whatever they name."""
    whole = Bootstrap.FromString(bootstraps[0])
    whole.static_resources.Clear()
    whole.ClearField("admin")
    secrets: dict[str, Secret] = {}
    for number, each in enumerate(map(Bootstrap.FromString, bootstraps)):
        for cluster in each.static_resources.clusters:
            if cluster.name != whole.cluster_manager.local_cluster_name or number == 0:
                cluster.name = cluster.name if number == 0 else f"{number}.{cluster.name}"
                whole.static_resources.clusters.append(cluster)
        for listener in each.static_resources.listeners:
            listener.name = f"{number}.{listener.name}"
            listener.address.pipe.path = f"@{listener.name}"
            whole.static_resources.listeners.append(listener)
        secrets |= {secret.name: secret for secret in each.static_resources.secrets}
    for secret in secrets.values():
        whole.static_resources.secrets.append(files.stand_in_for(secret))
    return whole.SerializeToString()
