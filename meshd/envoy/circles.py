"""Filters that keep a listener from calling itself, behind those that have a name looked up at a client's word."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_network
from typing import Final

from envoy.config.accesslog.v3.accesslog_pb2 import AccessLogFilter, ExtensionFilter
from envoy.config.core.v3.address_pb2 import CidrRange
from envoy.config.core.v3.base_pb2 import DataSource, HeaderValue, HeaderValueOption
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.config.listener.v3.listener_components_pb2 import Filter
from envoy.config.rbac.v3.rbac_pb2 import RBAC, Permission, Policy, Principal
from envoy.extensions.access_loggers.filters.cel.v3.cel_pb2 import ExpressionFilter
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2 as of_requests
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpFilter,
    ResponseMapper,
)
from envoy.extensions.filters.network.rbac.v3 import rbac_pb2 as of_connections
from envoy.extensions.rbac.matchers.upstream_ip_port.v3.upstream_ip_port_matcher_pb2 import UpstreamIpPortMatcher
from envoy.type.v3.range_pb2 import Int64Range

from meshd.envoy.scalars import uint32
from meshd.envoy.wire import packed
from meshd.plan import Listener, SocketBind

_POLICY: Final = "calls_itself"
"""Named in the access log, in `response_code_details` or `connection_termination_details`."""

_LOOP_DETECTED: Final = 508
_REASON: Final = "this name leads back to this very proxy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Itself:
    """Where a listener is reached."""

    blocks: tuple[str, ...]
    port: int


def itself(listener: Listener) -> Itself | None:
    """None where nothing is looked up."""
    bind = listener.bind
    if not listener.itself or not isinstance(bind, SocketBind):
        return None
    return Itself(blocks=listener.itself, port=bind.port)


def unless_circular_request(place: Itself) -> HttpFilter:
    settings = of_requests.RBAC(rules=_rules(place))
    return HttpFilter(name="envoy.filters.http.rbac", typed_config=packed(settings))


def circle_refused() -> ResponseMapper:
    """In words, and with a status that is told as a failure: 403 would blame who asks."""
    expression = f"response.code_details.startsWith('rbac_access_denied_matched_policy[{_POLICY}]')"
    name = "envoy.access_loggers.extension_filters.cel"
    ours = ExtensionFilter(name=name, typed_config=packed(ExpressionFilter(expression=expression)))
    reason = HeaderValue(key="x-meshd-reason", value=_REASON)
    return ResponseMapper(
        filter=AccessLogFilter(extension_filter=ours),
        status_code=uint32(_LOOP_DETECTED),
        body=DataSource(inline_string=_REASON),
        headers_to_add=[HeaderValueOption(header=reason, append_action=HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD)],
    )


def unless_circular_connection(place: Itself) -> Filter:
    settings = of_connections.RBAC(rules=_rules(place), stat_prefix=_POLICY)
    return Filter(name="envoy.filters.network.rbac", typed_config=packed(settings))


def _rules(place: Itself) -> RBAC:
    back = Policy(permissions=[_back_to(block, place.port) for block in place.blocks], principals=[Principal(any=True)])
    return RBAC(action=RBAC.DENY, policies={_POLICY: back})


def _back_to(block: str, port: int) -> Permission:
    network = ip_network(block)
    there = UpstreamIpPortMatcher(
        upstream_ip=CidrRange(address_prefix=str(network.network_address), prefix_len=uint32(network.prefixlen)),
        upstream_port_range=Int64Range(start=port, end=port + 1),
    )
    name = "envoy.rbac.matchers.upstream_ip_port"
    return Permission(matcher=TypedExtensionConfig(name=name, typed_config=packed(there)))
