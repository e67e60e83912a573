"""A bootstrap that an Envoy runs alone -> what it reads of this host; and the same without who needs the bad of that.

Envoy refuses the whole of a bootstrap for one certificate that is gone or broken. What lacks its files serves nobody
then: neither is it called without TLS, nor is anybody let in.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal

from envoy.config.bootstrap.v3.bootstrap_pb2 import Bootstrap
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.base_pb2 import DataSource, TransportSocket
from envoy.config.listener.v3.listener_components_pb2 import Filter, FilterChain, ListenerFilter
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.extensions.transport_sockets.tls.v3.common_pb2 import CertificateValidationContext, TlsCertificate
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import CommonTlsContext
from google.protobuf.message import DecodeError

from meshd.envoy import (
    transport_sockets,  # noqa: F401  (which knows the types that sockets are made of)
)
from meshd.envoy.resource import SECRET
from meshd.envoy.scalars import duration
from meshd.envoy.tcp_proxy import tcp_filters
from meshd.envoy.tls_contexts import edited
from meshd.envoy.trial import trial
from meshd.envoy.tunnels import CREDENTIALS
from meshd.envoy.wire import resource, serialised
from meshd.plan import TcpChain

__all__ = ("DecodeError", "Needed", "judged_by", "needed", "parsed", "without")

_IN_TLS: Final = b"TlsContext"
"""In the name of its type."""
_SHOWN: Final = re.compile(re.escape(CREDENTIALS) + rb"([^:]*):")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Needed:
    """Files that Envoy reads together: a certificate and its key, an authority and whom it revoked, or credentials."""

    kind: Literal["certificate", "authority", "credentials"]
    files: tuple[str, ...]


def parsed(bootstrap: bytes) -> Bootstrap:
    """Raises DecodeError."""
    return Bootstrap.FromString(bootstrap)


def needed(bootstrap: Bootstrap) -> frozenset[Needed]:
    static = bootstrap.static_resources
    of_clusters = (each for cluster in static.clusters for each in _of_cluster(cluster))
    return frozenset(of_clusters).union(*(_of_listener(listener) for listener in static.listeners))


def judged_by(found: Iterable[Needed]) -> bytes:
    """A bootstrap that Envoy refuses if any of these is bad. Of credentials it takes every content."""
    return trial([resource(SECRET, f"trial-{number}", _secret(each)) for number, each in enumerate(found)])


def without(bootstrap: Bootstrap, bad: Collection[Needed]) -> bytes:
    for cluster in bootstrap.static_resources.clusters:
        if not frozenset(_of_cluster(cluster)).isdisjoint(bad):
            cluster.CopyFrom(Cluster(name=cluster.name, connect_timeout=duration(timedelta(seconds=1))))
    for listener in bootstrap.static_resources.listeners:
        _close_some(listener, bad)
    return serialised(bootstrap)


def _close_some(listener: Listener, bad: Collection[Needed]) -> None:
    lost = [each for each in listener.listener_filters if not frozenset(_shown_by(each)).isdisjoint(bad)]
    for chain in _chains(listener):
        if lost or not frozenset(_of_chain(chain)).isdisjoint(bad):
            _close(chain)
    for each in lost:
        listener.listener_filters.remove(each)
        listener.ClearField("filter_chain_matcher")


def _chains(listener: Listener) -> tuple[FilterChain, ...]:
    rest = (listener.default_filter_chain,) if listener.HasField("default_filter_chain") else ()
    return (*listener.filter_chains, *rest)


def _of_cluster(cluster: Cluster) -> Iterator[Needed]:
    yield from _of_socket(cluster.transport_socket)
    for match in cluster.transport_socket_matches:
        yield from _of_socket(match.transport_socket)


def _of_listener(listener: Listener) -> frozenset[Needed]:
    shown = (each for reader in listener.listener_filters for each in _shown_by(reader))
    return frozenset(shown).union(*(_of_chain(chain) for chain in _chains(listener)))


def _of_chain(chain: FilterChain) -> Iterator[Needed]:
    """Its filters read none; those of a meshd that was here before did."""
    yield from _of_socket(chain.transport_socket)
    for each in chain.filters:
        yield from _shown_by(each)


def _shown_by(each: Filter | ListenerFilter) -> list[Needed]:
    return [Needed(kind="credentials", files=(match.decode(),)) for match in _SHOWN.findall(each.typed_config.value)]


def _of_socket(socket: TransportSocket) -> list[Needed]:
    found: list[Needed] = []
    edited(serialised(socket), TransportSocket(), _IN_TLS, lambda context: found.extend(_of_context(context)))
    return found


def _of_context(context: CommonTlsContext) -> Iterator[Needed]:
    for each in context.tls_certificates:
        yield Needed(kind="certificate", files=(each.certificate_chain.filename, each.private_key.filename))
    authority = context.validation_context
    if authority.trusted_ca.filename:
        revoked = (authority.crl.filename,) if authority.crl.filename else ()
        yield Needed(kind="authority", files=(authority.trusted_ca.filename, *revoked))


def _secret(each: Needed) -> bytes:
    first, *second = (DataSource(filename=file) for file in each.files)
    if each.kind == "certificate":
        pair = TlsCertificate(certificate_chain=first, private_key=second[0])
        return serialised(Secret(tls_certificate=pair))
    known = CertificateValidationContext(trusted_ca=first, crl=second[0] if second else None)
    return serialised(Secret(validation_context=known))


def _close(chain: FilterChain) -> None:
    """It takes its connections as before, lest another chain does, and closes them."""
    closing = tcp_filters(TcpChain(destinations=(), stat_prefix=chain.name), timedelta(seconds=1))
    chain.ClearField("transport_socket")
    del chain.filters[:]
    chain.filters.extend(closing)
