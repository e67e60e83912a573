"""Plan listeners -> Envoy listeners. Nothing volatile in them: any edit of a listener drains its connections."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, assert_never

from envoy.config.core.v3.base_pb2 import TrafficDirection
from envoy.config.listener.v3 import listener_components_pb2 as components
from envoy.config.listener.v3 import listener_pb2
from google.protobuf.duration_pb2 import Duration

from meshd.envoy import connection_manager as http
from meshd.envoy.access_logs import SILENT, Loggers
from meshd.envoy.addresses import bind_address
from meshd.envoy.chain_matches import EVERYTHING, filter_chain_match, match_of
from meshd.envoy.circles import Itself, itself
from meshd.envoy.listener_filters import credentials_of, inspectors, listener_filters
from meshd.envoy.ordered_chains import matcher
from meshd.envoy.resource import LISTENER, EnvoyResource
from meshd.envoy.scalars import boolean, duration
from meshd.envoy.tcp_proxy import tcp_filters
from meshd.envoy.tls import server_tls_socket
from meshd.envoy.tunnels import unless_header
from meshd.envoy.wire import packed, resource, serialised
from meshd.memo import Memo
from meshd.plan import (
    DNS_REFRESH_RATE,
    Bind,
    ChainMatch,
    FilterChain,
    HttpChain,
    InternalBind,
    Listener,
    Side,
    TcpChain,
)

_DIRECTIONS: dict[Side, int] = {
    "outbound": TrafficDirection.OUTBOUND,
    "gateway": TrafficDirection.OUTBOUND,
    "inbound": TrafficDirection.INBOUND,
}
_SLOWEST_HANDSHAKE = timedelta(seconds=15)

Conditional = tuple[ChainMatch, components.FilterChain]


def listeners(
    plan_listeners: tuple[Listener, ...], dns_refresh_rate: timedelta, logs: Loggers, memo: Memo
) -> tuple[EnvoyResource, ...]:
    return tuple(memo.recall(listener, each, dns_refresh_rate, logs) for each in plan_listeners)


def listener(plan: Listener, dns_refresh_rate: timedelta = DNS_REFRESH_RATE, logs: Loggers = SILENT) -> EnvoyResource:
    matches = [match_of(chain, plan) for chain in plan.chains]
    chains = [_filter_chain(chain, plan, number, dns_refresh_rate, logs) for number, chain in enumerate(plan.chains)]
    message = listener_pb2.Listener(
        name=plan.name,
        listener_filters=listener_filters(plan, matches),
        listener_filters_timeout=_inspection(plan, matches),
        traffic_direction=_DIRECTIONS[plan.side],
        bind_to_port=None if plan.bound else boolean(False),
        use_original_dst=boolean(True) if plan.hands_over else None,
        access_log=logs.listener,
        **_place(plan.bind),
        **_choice(list(zip(matches, chains, strict=True)), ordered=plan.ordered),
        **_unless_header(plan, chains),
    )
    return resource(LISTENER, plan.name, serialised(message), plan.origin)


def _place(bind: Bind) -> dict[str, Any]:
    if isinstance(bind, InternalBind):
        return {"internal_listener": listener_pb2.Listener.InternalListenerConfig()}
    return {"address": bind_address(bind)}


def _choice(chains: list[Conditional], *, ordered: bool) -> dict[str, Any]:
    """The fields that decide which chain takes a connection.

    What takes the rest is the default chain: among the others a chain without conditions is not found again once
    Envoy has gone down the branch of `raw_buffer`, where the HTTP chain is (measured: it closes the connection).
    """
    rest = next((number for number, (match, _) in enumerate(chains) if match == EVERYTHING), None)
    if rest is None or len(chains) == 1:
        return _conditional(chains, ordered=ordered and len(chains) > 1)
    others = chains[:rest] if ordered else chains[:rest] + chains[rest + 1 :]
    return _conditional(others, ordered=ordered and rest > 0) | {"default_filter_chain": chains[rest][1]}


def _unless_header(plan: Listener, chains: list[components.FilterChain]) -> dict[str, Any]:
    return {"filter_chain_matcher": unless_header(chains[0].name)} if credentials_of(plan) else {}


def _conditional(chains: list[Conditional], *, ordered: bool) -> dict[str, Any]:
    if ordered:
        return {"filter_chain_matcher": matcher(chains), "filter_chains": [chain for _, chain in chains]}
    return {"filter_chains": [_matching(chain, match) for match, chain in chains]}


def _inspection(plan: Listener, matches: list[ChainMatch]) -> Duration | None:
    """How long a client may stay silent. Given up waiting, an inspector would send it down the wrong chain.

    The world gets Envoy's own 15 s at a gateway, and is then hung up on: else it could hold connections for nothing.
    """
    waits_for_ever = plan.side != "gateway" and inspectors(plan, matches)
    return duration(timedelta()) if waits_for_ever else None


def _matching(chain: components.FilterChain, match: ChainMatch) -> components.FilterChain:
    condition = filter_chain_match(match)
    if condition is not None:
        chain.filter_chain_match.CopyFrom(condition)
    return chain


def _filter_chain(
    chain: FilterChain, plan: Listener, number: int, dns_refresh_rate: timedelta, logs: Loggers
) -> components.FilterChain:
    return components.FilterChain(
        # Among ordered chains a name is what one is found by, and several rules may lead to one cluster.
        name=f"{number}-{chain.stat_prefix}" if plan.ordered else chain.stat_prefix,
        filters=_filters(chain, dns_refresh_rate, logs, itself(plan)),
        transport_socket=server_tls_socket(chain.tls) if chain.tls else None,
        transport_socket_connect_timeout=duration(_SLOWEST_HANDSHAKE) if plan.side == "gateway" else None,
    )


def _filters(
    chain: FilterChain, dns_refresh_rate: timedelta, logs: Loggers, place: Itself | None
) -> list[components.Filter]:
    match chain:
        case HttpChain():
            manager = http.connection_manager(chain, dns_refresh_rate, logs, place)
            return [components.Filter(name=http.NAME, typed_config=packed(manager))]
        case TcpChain():
            return tcp_filters(chain, dns_refresh_rate, logs, place)
        case _ as unknown:
            assert_never(unknown)
