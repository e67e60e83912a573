"""A bootstrap that an Envoy runs alone, and which files it may read -> the same without what needs one that it may not.

Envoy refuses the whole of a bootstrap for one certificate that is gone. What lacks its file serves nobody then: neither
is it called without TLS, nor is anybody let in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import Final

from envoy.config.bootstrap.v3.bootstrap_pb2 import Bootstrap
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.base_pb2 import DataSource, TransportSocket
from envoy.config.listener.v3.listener_components_pb2 import Filter, FilterChain, ListenerFilter
from envoy.config.listener.v3.listener_pb2 import Listener
from google.protobuf.message import DecodeError

from meshd.envoy import (
    nested,
    transport_sockets,  # noqa: F401  (which knows the types that sockets are made of)
)
from meshd.envoy.scalars import duration
from meshd.envoy.tcp_proxy import tcp_filters
from meshd.envoy.tunnels import CREDENTIALS
from meshd.envoy.wire import serialised
from meshd.plan import TcpChain

__all__ = ("DecodeError", "without_unreadable")

_IN_TLS: Final = b"TlsContext"
"""In the name of its type."""
_SHOWN: Final = re.compile(re.escape(CREDENTIALS) + rb"([^:]*):")


def without_unreadable(bootstrap: bytes, is_readable: Callable[[str], bool]) -> tuple[bytes, tuple[str, ...]]:
    """Also the files that are missing; none, and the bootstrap is the one that was given. Raises DecodeError."""
    message = Bootstrap.FromString(bootstrap)
    files = _Files(is_readable)
    clusters, listeners = message.static_resources.clusters, message.static_resources.listeners
    for cluster in clusters:
        if files.are_missing(_of_cluster(cluster)):
            cluster.CopyFrom(Cluster(name=cluster.name, connect_timeout=duration(timedelta(seconds=1))))
    for listener in listeners:
        lost = [each for each in listener.listener_filters if files.are_missing(_shown_by(each))]
        for chain in _chains(listener):
            if files.are_missing(_of_chain(chain)) or lost:
                _close(chain)
        for each in lost:
            listener.listener_filters.remove(each)
            listener.ClearField("filter_chain_matcher")
    missing = tuple(sorted(files.missing))
    return (serialised(message) if missing else bootstrap), missing


class _Files:
    """Each is looked at once, however many clusters need it."""

    def __init__(self, is_readable: Callable[[str], bool]) -> None:
        self._is_readable = is_readable
        self._seen: dict[str, bool] = {}

    @property
    def missing(self) -> set[str]:
        return {file for file, readable in self._seen.items() if not readable}

    def are_missing(self, named: Iterable[str]) -> bool:
        """Some of them; each is looked at, to be told."""
        looked = [self._look(file) for file in named]
        return not all(looked)

    def _look(self, file: str) -> bool:
        if file not in self._seen:
            self._seen[file] = self._is_readable(file)
        return self._seen[file]


def _of_cluster(cluster: Cluster) -> Iterator[str]:
    yield from _of_socket(cluster.transport_socket)
    for match in cluster.transport_socket_matches:
        yield from _of_socket(match.transport_socket)


def _chains(listener: Listener) -> tuple[FilterChain, ...]:
    rest = (listener.default_filter_chain,) if listener.HasField("default_filter_chain") else ()
    return (*listener.filter_chains, *rest)


def _of_chain(chain: FilterChain) -> Iterator[str]:
    """Its filters read none; those of a meshd that was here before did."""
    yield from _of_socket(chain.transport_socket)
    for each in chain.filters:
        yield from _shown_by(each)


def _shown_by(each: Filter | ListenerFilter) -> list[str]:
    return [match.decode() for match in _SHOWN.findall(each.typed_config.value)]


def _of_socket(socket: TransportSocket) -> list[str]:
    found: list[str] = []
    nested.edited(serialised(socket), TransportSocket(), _IN_TLS, DataSource, lambda each: found.append(each.filename))
    return [file for file in found if file]


def _close(chain: FilterChain) -> None:
    """It takes its connections as before, lest another chain does, and closes them."""
    closing = tcp_filters(TcpChain(destinations=(), stat_prefix=chain.name), timedelta(seconds=1))
    chain.ClearField("transport_socket")
    del chain.filters[:]
    chain.filters.extend(closing)
