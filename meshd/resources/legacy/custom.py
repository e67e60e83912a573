"""`custom`, a google.protobuf.Any: a message of Envoy's own API, judged by its type and handed on (inventory CB-03).

Which types a place takes, and which of their fields would undo what meshd does, stands here; their meaning is Envoy's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from importlib import import_module
from typing import Any, Final

from meshd.decode.json_values import plain_json
from meshd.fields import Json
from meshd.problems import NOWHERE, Origin, Problem, nearest
from meshd.resources.legacy.refused import TYPE, only, smallest_refused

Custom = Mapping[str, Json]
"""With its `@type`: `type.googleapis.com/envoy.config.cluster.v3.CircuitBreakers`, say."""

_BALANCERS: Final = {
    f"envoy.extensions.load_balancing_policies.{package}.v3.{name}": (
        f"envoy.extensions.load_balancing_policies.{package}.v3.{package}_pb2"
    )
    for package, name in (
        ("client_side_weighted_round_robin", "ClientSideWeightedRoundRobin"),
        ("cluster_provided", "ClusterProvided"),
        ("least_request", "LeastRequest"),
        ("maglev", "Maglev"),
        ("override_host", "OverrideHost"),
        ("pick_first", "PickFirst"),
        ("random", "Random"),
        ("ring_hash", "RingHash"),
        ("round_robin", "RoundRobin"),
        ("subset", "Subset"),
        ("wrr_locality", "WrrLocality"),
    )
}
_MODULES: Final = {
    "envoy.config.cluster.v3.CircuitBreakers": "envoy.config.cluster.v3.circuit_breaker_pb2",
    "envoy.config.cluster.v3.Cluster": "envoy.config.cluster.v3.cluster_pb2",
    "envoy.config.cluster.v3.LoadBalancingPolicy": "envoy.config.cluster.v3.cluster_pb2",
    "envoy.config.cluster.v3.OutlierDetection": "envoy.config.cluster.v3.outlier_detection_pb2",
    "envoy.config.route.v3.RetryPolicy": "envoy.config.route.v3.route_components_pb2",
    "envoy.config.route.v3.RouteAction": "envoy.config.route.v3.route_components_pb2",
    "envoy.config.route.v3.RouteAction.MaxStreamDuration": "envoy.config.route.v3.route_components_pb2",
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": (
        "envoy.extensions.upstreams.http.v3.http_protocol_options_pb2"
    ),
    "envoy.extensions.retry.host.omit_canary_hosts.v3.OmitCanaryHostsPredicate": (
        "envoy.extensions.retry.host.omit_canary_hosts.v3.omit_canary_hosts_pb2"
    ),
    "envoy.extensions.retry.host.omit_host_metadata.v3.OmitHostMetadataConfig": (
        "envoy.extensions.retry.host.omit_host_metadata.v3.omit_host_metadata_config_pb2"
    ),
    "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate": (
        "envoy.extensions.retry.host.previous_hosts.v3.previous_hosts_pb2"
    ),
    "envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig": (
        "envoy.extensions.retry.priority.previous_priorities.v3.previous_priorities_config_pb2"
    ),
    **_BALANCERS,
}
"""Of each message that may occur, also within another one, the module that has it."""

_NOWHERE: Final = frozenset({"event_log_path", "upstream_http_protocol_options"})
"""However deep inside: a file that Envoy would write, and the names by which it verifies who it calls."""

_URL: Final = "type.googleapis.com/"
_LATER_CAPITAL: Final = re.compile("(?<!^)([A-Z])")
_UNKNOWN: Final = re.compile(r'has no field named "(?P<name>[^"]*)"')
_PARSING: Final = re.compile(r"Failed to parse \w+ field: ")
_AT: Final = re.compile(r"""( at "[^"]*")?\.*$""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What may stand in one of the fields called `custom`; `only` are the fields of a type that it may set."""

    types: frozenset[str]
    only: Mapping[str, frozenset[str]]
    never: frozenset[str] = frozenset()


IN_CIRCUIT_BREAKER: Final = Place(
    types=frozenset({"envoy.config.cluster.v3.CircuitBreakers", "envoy.config.cluster.v3.OutlierDetection"}),
    only={},
)
IN_LOAD_BALANCING: Final = Place(
    types=frozenset({"envoy.config.cluster.v3.LoadBalancingPolicy", *_BALANCERS}),
    only={},
)
IN_RETRY: Final = Place(types=frozenset({"envoy.config.route.v3.RetryPolicy"}), only={})
IN_TIMEOUT: Final = Place(
    types=frozenset(
        {"envoy.config.route.v3.RouteAction.MaxStreamDuration", "envoy.config.route.v3.RouteAction"},
    ),
    only={
        "envoy.config.route.v3.RouteAction": frozenset(
            {"timeout", "idle_timeout", "flush_timeout", "max_stream_duration"}
        )
    },
)
IN_POLICY: Final = Place(
    types=frozenset({"envoy.config.cluster.v3.Cluster"}),
    only={},
    never=frozenset(
        {
            "name",
            "type",
            "cluster_type",
            "load_assignment",
            "eds_cluster_config",
            "metadata",
            "transport_socket",
            "transport_socket_matcher",
            "transport_socket_matches",
        }
    ),
)


def type_name(custom: Custom) -> str:
    """Without the `type.googleapis.com/` before it; empty when it is missing."""
    return str(custom.get(TYPE) or "").rpartition("/")[2]


def check_custom(custom: Custom | None, at: Origin, place: Place) -> Iterator[Problem]:
    """`E-ANY-TYPE` for a type that means nothing there, `E-ANY-FIELD` for a field that it may not set or has not."""
    if custom is None:
        return
    if type_name(custom) not in place.types:
        yield _wrong_type(type_name(custom), at.item(TYPE), place.types)
    elif unknown := [_wrong_url(name, there) for name, there in _types_within(custom, at) if not _is_known_url(name)]:
        yield from unknown
    else:
        yield from _check_fields(custom, at, place)


def _is_known_url(name: str) -> bool:
    """Within another message Envoy needs the whole of it: `type.googleapis.com/` and the name."""
    prefix, slash, name = name.rpartition("/")
    return bool(prefix and slash) and name in _MODULES


def _wrong_type(name: str, at: Origin, known: frozenset[str]) -> Problem:
    message = f"meshd cannot tell what {name!r} means here" if name else "custom needs an @type"
    hint = nearest(name, known) or f"use {min(known)}"
    return Problem(code="E-ANY-TYPE", at=at, message=message, hint=hint)


def _wrong_url(name: str, at: Origin) -> Problem:
    known = sorted(f"{_URL}{each}" for each in _MODULES)
    message = f"meshd cannot tell what {name!r} means inside of a message"
    return Problem(code="E-ANY-TYPE", at=at, message=message, hint=nearest(name, known) or f"begin it with {_URL}")


def _check_fields(custom: Custom, at: Origin, place: Place) -> Iterator[Problem]:
    """A field is set by its name, also to nothing: where messages are merged, null takes away what was there."""
    parsed = _parsed(custom)
    if isinstance(parsed, str):
        yield _unparsed(custom, at)
        return
    allowed = place.only.get(type_name(custom))
    names = {each.json_name: each.name for each in parsed.DESCRIPTOR.fields}
    for key, value in _fields(custom).items():
        name = names.get(key, key)
        if name in place.never or (allowed is not None and name not in allowed):
            yield _not_here(key, at.item(key))
        else:
            within = _entries({key: value}, at)
            yield from (_not_here(inner, there) for inner, _, there in within if _is_nowhere(inner))


def _is_nowhere(key: str) -> bool:
    return _LATER_CAPITAL.sub(r"_\1", key).lower() in _NOWHERE


def _not_here(key: str, at: Origin) -> Problem:
    message = f"{key} is not to be set here: the rest of the configuration depends on it"
    return Problem(code="E-ANY-FIELD", at=at, message=message, hint="remove it")


def _unparsed(custom: Custom, at: Origin) -> Problem:
    """In protobuf's words, at the place that they speak of; what it says of all the others is left out."""
    steps = smallest_refused(custom, lambda part: isinstance(_parsed(part), str))
    first, _, others = str(_parsed(only(custom, steps))).partition("\n")
    unknown = _UNKNOWN.search(first)
    hint = nearest(unknown["name"], re.findall(r"'(\w+)'", others)) if unknown else ""
    message = _AT.sub("", _PARSING.sub("", first))
    return Problem(code="E-ANY-FIELD", at=reduce(Origin.item, steps, at), message=message, hint=hint)


def _parsed(custom: Custom) -> Any | str:  # noqa: ANN401  (protobuf has no stubs for Envoy's messages)
    """The message; or what is wrong with it, in protobuf's words."""
    # Imported when there is a custom policy at all: hardly any mesh has one, and protobuf takes its time to load.
    json_format, factory = (
        import_module("google.protobuf.json_format"),
        import_module("google.protobuf.message_factory"),
    )
    pool = import_module("google.protobuf.descriptor_pool").Default()
    for name in {type_name(custom), *(name.rpartition("/")[2] for name, _ in _types_within(custom))}:
        import_module(_MODULES[name])
    message = factory.GetMessageClass(pool.FindMessageTypeByName(type_name(custom)))()
    try:
        return json_format.ParseDict({key: plain_json(value) for key, value in _fields(custom).items()}, message)
    except json_format.ParseError as error:
        return str(error)


def _fields(custom: Custom) -> Custom:
    return {key: value for key, value in custom.items() if key != TYPE}


def _entries(value: object, at: Origin) -> Iterator[tuple[str, object, Origin]]:
    """Every entry of every mapping within a value, and where it stands."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield key, inner, at.item(key)
            yield from _entries(inner, at.item(key))
    elif isinstance(value, tuple):
        for index, inner in enumerate(value):
            yield from _entries(inner, at.item(index))


def _types_within(custom: Custom, at: Origin = NOWHERE) -> Iterator[tuple[str, Origin]]:
    """The types of all messages of any type within a message."""
    yield from ((str(value), there) for key, value, there in _entries(_fields(custom), at) if key == TYPE)
