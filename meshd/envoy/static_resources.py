"""Rendered bytes -> the static resources of a bootstrap without xDS, where listeners bring their routes along."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from envoy.config.bootstrap.v3.bootstrap_pb2 import Bootstrap
from envoy.config.listener.v3.listener_pb2 import Listener

from meshd.envoy import connection_manager as http
from meshd.envoy.routes import table
from meshd.envoy.wire import framed, serialised

_STATIC_RESOURCES = Bootstrap.STATIC_RESOURCES_FIELD_NUMBER
_LISTENERS = Bootstrap.StaticResources.LISTENERS_FIELD_NUMBER
_CLUSTERS = Bootstrap.StaticResources.CLUSTERS_FIELD_NUMBER
_ROUTE_CONFIG = http.HttpConnectionManager.ROUTE_CONFIG_FIELD_NUMBER

Tables = Mapping[str, bytes]
"""Serialised RouteConfigurations by name."""


def static_resources(listeners: Iterable[bytes], clusters: Iterable[bytes]) -> bytes:
    """A field of Bootstrap, to be appended to the rest of one."""
    fields = [framed(_LISTENERS, each) for each in listeners]
    fields += [framed(_CLUSTERS, each) for each in clusters]
    return framed(_STATIC_RESOURCES, b"".join(fields))


def with_inline_routes(listener: bytes, tables: Tables) -> bytes:
    """A table that is not given is an empty one."""
    message = Listener.FromString(listener)
    for chain in (*message.filter_chains, message.default_filter_chain):
        for each in chain.filters:
            if each.name == http.NAME:
                each.typed_config.value = _inlined(each.typed_config.value, tables)
    return serialised(message)


def _inlined(connection_manager: bytes, tables: Tables) -> bytes:
    """The table is appended as it is: parsing a thousand virtual hosts to write them again would be waste."""
    message = http.HttpConnectionManager.FromString(connection_manager)
    name = message.rds.route_config_name
    message.ClearField("rds")
    return serialised(message) + framed(_ROUTE_CONFIG, tables.get(name) or table(name, True).body)
