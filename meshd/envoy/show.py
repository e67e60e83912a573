"""Rendered resources -> text for a reader: the field names of Envoy's documentation, in the order of its protos."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import yaml
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from meshd.envoy.resource import CLUSTER, ENDPOINTS, LISTENER, ROUTES, SECRET, EnvoyResource, Rendered, TypeUrl

_MESSAGES: dict[TypeUrl, type[Message]] = {
    CLUSTER: Cluster,
    ENDPOINTS: ClusterLoadAssignment,
    LISTENER: Listener,
    ROUTES: RouteConfiguration,
    SECRET: Secret,
}


_MAPS = frozenset({"typed_per_filter_config", "typed_extension_protocol_options", "filter_metadata"})

_OBJECTS = frozenset({"json_format", "value"})
"""Free-form: maps within maps."""


class _Dumper(yaml.CSafeDumper):
    """Writes what protobuf hands out, ordered dictionaries among it, in the order it has."""


_Dumper.add_representer(OrderedDict, lambda dumper, mapping: dumper.represent_dict(mapping.items()))


def to_yaml(rendered: Rendered, assignments: Sequence[EnvoyResource]) -> str:
    text = yaml.dump(_tree(rendered, assignments), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return str(text)


def to_json(rendered: Rendered, assignments: Sequence[EnvoyResource]) -> str:
    return json.dumps(_tree(rendered, assignments), indent=2, ensure_ascii=False) + "\n"


def _tree(rendered: Rendered, assignments: Sequence[EnvoyResource]) -> dict[str, Any]:
    """Secrets are the names of their files, never what is in them; a proxy without any shows no word of them."""
    secrets = [_shown(each) for each in rendered.secrets]
    return {
        "proxy": rendered.proxy,
        "clusters": [_shown(each) for each in rendered.clusters],
        "endpoints": [_shown(each) for each in assignments],
        "listeners": [_shown(each) for each in rendered.listeners],
        "routes": [_shown(each) for each in rendered.routes],
    } | ({"secrets": secrets} if secrets else {})


def _shown(resource: EnvoyResource) -> dict[str, Any]:
    """What stands packed inside is unpacked too; this room has imported every type that it packs."""
    message = _MESSAGES[resource.type_url].FromString(resource.body)
    shown: dict[str, Any] = _in_order(MessageToDict(message, preserving_proto_field_name=True))
    return shown


def _in_order(value: Any) -> Any:  # noqa: ANN401 (it is JSON)
    """The entries of maps come in the order of a hash table, another in each process."""
    if isinstance(value, list):
        return [_in_order(each) for each in value]
    if not isinstance(value, dict):
        return value
    inner = {key: each if key in _OBJECTS else _in_order(each) for key, each in value.items()}
    return {key: _sorted(key, each) for key, each in inner.items()}


def _sorted(key: str, value: Any) -> Any:  # noqa: ANN401 (it is JSON)
    if key in _OBJECTS:
        return json.loads(json.dumps(value, sort_keys=True))
    return dict(sorted(value.items())) if key in _MAPS else value
