"""Rendered resources and their endpoints -> one static bootstrap that an Envoy can run alone.

It is put together from bytes that are there already, so it stays cheap at 10 000 clusters.
"""

from __future__ import annotations

from collections.abc import Sequence

from envoy.config.cluster.v3.cluster_pb2 import Cluster

from meshd.envoy.bootstrap import BootstrapSettings, foundation, static_local
from meshd.envoy.clusters import static_base
from meshd.envoy.inline_secrets import by_name, cluster_with_secrets, listener_with_secrets
from meshd.envoy.resource import EnvoyResource, Rendered
from meshd.envoy.static_resources import static_resources, with_inline_routes
from meshd.envoy.wire import framed, serialised
from meshd.names import LOCAL_CLUSTER

_LOAD_ASSIGNMENT = Cluster.LOAD_ASSIGNMENT_FIELD_NUMBER


def fallback(rendered: Rendered, assignments: Sequence[EnvoyResource], settings: BootstrapSettings) -> bytes:
    """Clusters are STATIC with the given endpoints inside, listeners bring their routes along, both their secrets."""
    endpoints = {each.name: framed(_LOAD_ASSIGNMENT, each.body) for each in assignments}
    tables = {each.name: each.body for each in rendered.routes}
    secrets = by_name(rendered.secrets)
    clusters = [
        cluster_with_secrets(static_base(each.body), secrets) + endpoints.get(each.name, b"")
        for each in rendered.clusters
    ]
    clusters.append(static_local() + endpoints.get(LOCAL_CLUSTER, b""))
    listeners = [with_inline_routes(listener_with_secrets(each.body, secrets), tables) for each in rendered.listeners]
    return serialised(foundation(settings, "fallback")) + static_resources(listeners, clusters)
