"""Resources whose secrets come by SDS -> the same with the names of the files inside, for where no SDS is.

That is a bootstrap without xDS, and what is past the number of secrets that an Envoy can watch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.extensions.transport_sockets.tls.v3.common_pb2 import CertificateValidationContext
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import SdsSecretConfig, Secret
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import CommonTlsContext
from google.protobuf.message import Message

from meshd.envoy.config_sources import ads
from meshd.envoy.resource import CLUSTER, EnvoyResource, Rendered
from meshd.envoy.secrets import is_identity
from meshd.envoy.tls_contexts import edited
from meshd.envoy.wire import resource, serialised
from meshd.memo import Memo, together
from meshd.plan import WATCHED_SECRETS

Secrets = Mapping[str, Secret]
"""By name."""

_BY_SDS = serialised(SdsSecretConfig(sds_config=ads()))
"""These bytes stand wherever a secret is asked for, and nowhere else: what lacks them need not be taken apart."""


def takes_secrets(body: bytes) -> bool:
    return _BY_SDS in body


def by_name(secrets: Iterable[EnvoyResource]) -> Secrets:
    return {each.name: Secret.FromString(each.body) for each in secrets}


def cluster_with_secrets(body: bytes, secrets: Secrets) -> bytes:
    return _with_secrets(body, Cluster(), secrets)


def listener_with_secrets(body: bytes, secrets: Secrets) -> bytes:
    return _with_secrets(body, Listener(), secrets)


def watchable(rendered: Rendered, memo: Memo) -> Rendered:
    """Of more secrets than Envoy can watch, the last go inside the clusters and listeners that take them."""
    if len(rendered.secrets) <= WATCHED_SECRETS:
        return rendered
    past = memo.recall(together, *sorted(rendered.secrets, key=_rank)[WATCHED_SECRETS:])
    clusters = tuple(memo.recall(_with_files_inside, each, past) for each in rendered.clusters)
    listeners = tuple(memo.recall(_with_files_inside, each, past) for each in rendered.listeners)
    # One stays that stands beside a watched one in the same context.
    still_taken = {one.name for each in (*clusters, *listeners) for one in memo.recall(_taken_by, each, past)}
    watched = tuple(each for each in rendered.secrets if each not in past or each.name in still_taken)
    return replace(rendered, clusters=clusters, listeners=listeners, secrets=watched)


def _rank(secret: EnvoyResource) -> tuple[bool, str]:
    """By name, but first the identity in the mesh, which is renewed most often."""
    return not is_identity(secret.name), secret.name


def _taken_by(user: EnvoyResource, secrets: tuple[EnvoyResource, ...]) -> tuple[EnvoyResource, ...]:
    if not takes_secrets(user.body):
        return ()
    return tuple(each for each in secrets if each.name.encode() in user.body)


def _with_files_inside(user: EnvoyResource, secrets: tuple[EnvoyResource, ...]) -> EnvoyResource:
    taken = _taken_by(user, secrets)
    if not taken:
        return user
    put_inside = cluster_with_secrets if user.type_url == CLUSTER else listener_with_secrets
    return resource(user.type_url, user.name, put_inside(user.body, by_name(taken)), user.origin, user.parts)


def _with_secrets(body: bytes, empty: Message, secrets: Secrets) -> bytes:
    return edited(body, empty, _BY_SDS, partial(_put_inside, secrets=secrets))


def _put_inside(context: CommonTlsContext, secrets: Secrets) -> None:
    """Envoy takes the certificates of a context all by SDS or all not."""
    asked = context.tls_certificate_sds_secret_configs
    if asked and all(each.name in secrets for each in asked):
        context.tls_certificates.extend(secrets[each.name].tls_certificate for each in asked)
        context.ClearField("tls_certificate_sds_secret_configs")
    combined = context.combined_validation_context
    name = combined.validation_context_sds_secret_config.name
    if name in secrets:
        merged = CertificateValidationContext()
        merged.CopyFrom(combined.default_validation_context)
        merged.MergeFrom(secrets[name].validation_context)
        context.validation_context.CopyFrom(merged)
