"""Messages of Envoy's own API, as somebody wrote them -> what they say, over what was rendered.

A field that is given replaces that of the rendered message, a list as a whole; fields of messages are merged. Whether
all of it makes sense together, Envoy itself has to say.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from importlib import import_module
from typing import Any, Final

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.route.v3.route_components_pb2 import RouteAction
from google.protobuf import descriptor_pool, json_format
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from meshd.envoy.custom_balancers import balance, forget_balancer
from meshd.envoy.wire import packed
from meshd.plan import Custom

_OPTIONS: Final = ("typedExtensionProtocolOptions", "typed_extension_protocol_options")
_POLICY: Final = frozenset({"loadBalancingPolicy", "load_balancing_policy"})
_TYPE: Final = "@type"

_CLUSTER_FIELDS: Final = {
    "envoy.config.cluster.v3.CircuitBreakers": "circuit_breakers",
    "envoy.config.cluster.v3.OutlierDetection": "outlier_detection",
}
_ACTION_FIELDS: Final = {
    "envoy.config.route.v3.RetryPolicy": "retry_policy",
    "envoy.config.route.v3.RouteAction.MaxStreamDuration": "max_stream_duration",
}
"""Where a whole message stands."""

_EXTENSIONS: Final = (
    "envoy.extensions.load_balancing_policies.client_side_weighted_round_robin.v3.client_side_weighted_round_robin_pb2",
    "envoy.extensions.load_balancing_policies.cluster_provided.v3.cluster_provided_pb2",
    "envoy.extensions.load_balancing_policies.least_request.v3.least_request_pb2",
    "envoy.extensions.load_balancing_policies.maglev.v3.maglev_pb2",
    "envoy.extensions.load_balancing_policies.override_host.v3.override_host_pb2",
    "envoy.extensions.load_balancing_policies.pick_first.v3.pick_first_pb2",
    "envoy.extensions.load_balancing_policies.random.v3.random_pb2",
    "envoy.extensions.load_balancing_policies.ring_hash.v3.ring_hash_pb2",
    "envoy.extensions.load_balancing_policies.round_robin.v3.round_robin_pb2",
    "envoy.extensions.load_balancing_policies.subset.v3.subset_pb2",
    "envoy.extensions.load_balancing_policies.wrr_locality.v3.wrr_locality_pb2",
    "envoy.extensions.retry.host.omit_canary_hosts.v3.omit_canary_hosts_pb2",
    "envoy.extensions.retry.host.omit_host_metadata.v3.omit_host_metadata_config_pb2",
    "envoy.extensions.retry.host.previous_hosts.v3.previous_hosts_pb2",
    "envoy.extensions.retry.priority.previous_priorities.v3.previous_priorities_config_pb2",
    "envoy.extensions.upstreams.http.v3.http_protocol_options_pb2",
)
"""Of what may stand inside of these. Loaded when there is anything custom at all: hardly any mesh has that."""


def say_of_cluster(cluster: Cluster, custom: Iterable[Custom]) -> None:
    for each in custom:
        if each.type_name == Cluster.DESCRIPTOR.full_name:
            _merge_cluster(cluster, _fields(each))
        elif each.type_name in _CLUSTER_FIELDS:
            getattr(cluster, _CLUSTER_FIELDS[each.type_name]).CopyFrom(_message(each.type_name, _fields(each)))
        else:
            balance(cluster, _message(each.type_name, _fields(each)))


def say_of_action(action: RouteAction, custom: Iterable[Custom]) -> None:
    for each in custom:
        said = _message(RouteAction.DESCRIPTOR.full_name, {})
        if each.type_name == RouteAction.DESCRIPTOR.full_name:
            _parse(_fields(each), said)
        else:
            getattr(said, _ACTION_FIELDS[each.type_name]).CopyFrom(_message(each.type_name, _fields(each)))
        _replace(action, said)


def _replace(action: RouteAction, said: Message) -> None:
    """Envoy does not look at the timeout of a route that has a longest duration (measured): one of them is meant."""
    fields = {field.name for field, _ in said.ListFields()}
    if "max_stream_duration" in fields:
        action.timeout.CopyFrom(Duration())
    elif "timeout" in fields:
        action.ClearField("max_stream_duration")
    for name in fields:
        getattr(action, name).CopyFrom(getattr(said, name))


def _fields(custom: Custom) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(custom.json)
    return fields


def _merge_cluster(cluster: Cluster, fields: dict[str, Any]) -> None:
    """Options of a protocol are packed: those that were rendered are unpacked to be merged."""
    rest = {name: value for name, value in fields.items() if name not in _OPTIONS}
    if not _POLICY.isdisjoint(rest):
        forget_balancer(cluster)
    _parse(rest, cluster)
    for name in _OPTIONS:
        for key, said in sorted(fields.get(name, {}).items()):
            _merge_options(cluster.typed_extension_protocol_options[key], dict(said))


def _merge_options(rendered: AnyMessage, said: dict[str, Any]) -> None:
    if not said:
        return  # of no type, which is for Envoy to judge
    options = _message(said.pop(_TYPE).rpartition("/")[2], {})
    rendered.Unpack(options)
    rendered.CopyFrom(packed(_parse(said, options)))


# --- protobuf -------------------------------------------------------------------------------------------------


def _message(type_name: str, fields: dict[str, Any]) -> Message:
    _know_extensions()
    message: Message = GetMessageClass(descriptor_pool.Default().FindMessageTypeByName(type_name))()
    return _parse(fields, message)


def _parse(fields: dict[str, Any], message: Message) -> Message:
    """Into what is there already: a field that is not named stays what it is."""
    _know_extensions()
    return json_format.ParseDict(fields, message)  # noqa: TID251  (it is JSON that somebody wrote)


def _know_extensions() -> None:
    for module in _EXTENSIONS:
        import_module(module)
