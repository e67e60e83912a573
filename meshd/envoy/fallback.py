"""Rendered resources and their endpoints -> one static bootstrap that an Envoy can run alone.

It is put together from bytes that are there already, so it stays cheap at 10 000 clusters.
"""

from __future__ import annotations

from collections.abc import Sequence

from envoy.config.cluster.v3.cluster_pb2 import Cluster

from meshd.envoy.bootstrap import BootstrapSettings, foundation, static_local
from meshd.envoy.clusters import static_base
from meshd.envoy.inline_secrets import Secrets, by_name, cluster_with_secrets, listener_with_secrets, takes_secrets
from meshd.envoy.resource import EnvoyResource, Rendered
from meshd.envoy.static_resources import static_resources, with_inline_routes
from meshd.envoy.wire import framed, serialised
from meshd.memo import Memo, together
from meshd.names import LOCAL_CLUSTER

_LOAD_ASSIGNMENT = Cluster.LOAD_ASSIGNMENT_FIELD_NUMBER


def fallback(
    rendered: Rendered, assignments: Sequence[EnvoyResource], settings: BootstrapSettings, memo: Memo | None = None
) -> bytes:
    """Clusters are STATIC with the given endpoints inside, listeners bring their routes along, both their secrets.

    `memo`: of this proxy's fallbacks only; who takes a secret has to be taken apart for it, which is then done once.
    """
    memo = memo or Memo()
    endpoints = {each.name: framed(_LOAD_ASSIGNMENT, each.body) for each in assignments}
    tables = {each.name: each.body for each in rendered.routes}
    secrets = memo.recall(together, *rendered.secrets)
    clusters = [_static_cluster(each, secrets, memo) + endpoints.get(each.name, b"") for each in rendered.clusters]
    clusters.append(static_local() + endpoints.get(LOCAL_CLUSTER, b""))
    known = by_name(secrets)
    listeners = [with_inline_routes(listener_with_secrets(each.body, known), tables) for each in rendered.listeners]
    memo.turn()
    return serialised(foundation(settings, "fallback")) + static_resources(listeners, clusters)


def _static_cluster(cluster: EnvoyResource, secrets: tuple[EnvoyResource, ...], memo: Memo) -> bytes:
    if not takes_secrets(cluster.body):
        return static_base(cluster.body)
    return memo.recall(_with_its_secrets, cluster, memo.recall(by_name, secrets))


def _with_its_secrets(cluster: EnvoyResource, secrets: Secrets) -> bytes:
    return cluster_with_secrets(static_base(cluster.body), secrets)
