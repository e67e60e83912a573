"""Plan listeners -> Envoy listeners. Nothing volatile in them: any edit of a listener drains its connections."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, assert_never

from envoy.config.listener.v3 import listener_components_pb2 as components
from envoy.config.listener.v3 import listener_pb2
from envoy.extensions.filters.listener.http_inspector.v3.http_inspector_pb2 import HttpInspector
from envoy.extensions.filters.listener.tls_inspector.v3.tls_inspector_pb2 import TlsInspector
from envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy
from envoy.type.v3.hash_policy_pb2 import HashPolicy
from google.protobuf.message import Message

from meshd.envoy import connection_manager as http
from meshd.envoy.addresses import bind_address
from meshd.envoy.resource import LISTENER, EnvoyResource
from meshd.envoy.scalars import duration, maybe_duration
from meshd.envoy.wire import packed, resource, serialised
from meshd.memo import Memo
from meshd.plan import FilterChain, HttpChain, Listener, TcpChain, WeightedCluster

_SOURCE_IP = HashPolicy(source_ip=HashPolicy.SourceIp())
_TCP_PROXY = "envoy.filters.network.tcp_proxy"


def listeners(plan_listeners: tuple[Listener, ...], memo: Memo) -> tuple[EnvoyResource, ...]:
    return tuple(memo.recall(listener, each) for each in plan_listeners)


def listener(plan: Listener) -> EnvoyResource:
    inspectors, rest = _inspectors(plan), _rest(plan)
    message = listener_pb2.Listener(
        name=plan.name,
        address=bind_address(plan.bind),
        filter_chains=[_filter_chain(chain, plan) for chain in plan.chains if chain is not rest],
        default_filter_chain=rest and _filter_chain(rest, plan),
        listener_filters=inspectors,
        # Given up waiting, an inspector would send the connection down the wrong chain.
        listener_filters_timeout=duration(timedelta()) if inspectors else None,
    )
    return resource(LISTENER, plan.name, serialised(message), plan.origin)


def _rest(plan: Listener) -> TcpChain | None:
    """The chain that takes what no other of several takes.

    As the default chain: among the others a chain without conditions is not found again once Envoy has gone down the
    branch of `raw_buffer`, where the HTTP chain is (measured: it closes the connection).
    """
    if len(plan.chains) == 1:
        return None
    return next((chain for chain in plan.chains if isinstance(chain, TcpChain) and not chain.match.server_names), None)


def _inspectors(plan: Listener) -> list[components.ListenerFilter]:
    """Only what the choice among the chains needs: an inspector waits for the client to speak first."""
    filters = []
    if _chosen_by_sni(plan):
        filters.append(_inspector("envoy.filters.listener.tls_inspector", TlsInspector()))
    if _http_beside_plain_tcp(plan):
        filters.append(_inspector("envoy.filters.listener.http_inspector", HttpInspector()))
    return filters


def _chosen_by_sni(plan: Listener) -> bool:
    return any(isinstance(chain, TcpChain) and chain.match.server_names for chain in plan.chains)


def _http_beside_plain_tcp(plan: Listener) -> bool:
    return _rest(plan) is not None and any(isinstance(chain, HttpChain) for chain in plan.chains)


def _inspector(name: str, settings: Message) -> components.ListenerFilter:
    return components.ListenerFilter(name=name, typed_config=packed(settings))


def _filter_chain(chain: FilterChain, plan: Listener) -> components.FilterChain:
    match chain:
        case HttpChain():
            manager = components.Filter(name=http.NAME, typed_config=packed(http.connection_manager(chain)))
            return components.FilterChain(
                name=chain.stat_prefix, filter_chain_match=_http_match(plan), filters=[manager]
            )
        case TcpChain():
            proxy = components.Filter(name=_TCP_PROXY, typed_config=packed(_tcp_proxy(chain)))
            return components.FilterChain(name=chain.stat_prefix, filter_chain_match=_sni_match(chain), filters=[proxy])
        case _ as unknown:
            assert_never(unknown)


def _sni_match(chain: TcpChain) -> components.FilterChainMatch | None:
    return components.FilterChainMatch(server_names=chain.match.server_names) if chain.match.server_names else None


def _http_match(plan: Listener) -> components.FilterChainMatch | None:
    """TLS that no chain names must not end up as garbled HTTP, nor plain TCP where a chain waits for it."""
    if _http_beside_plain_tcp(plan):
        return components.FilterChainMatch(transport_protocol="raw_buffer", application_protocols=["http/1.1", "h2c"])
    if _chosen_by_sni(plan):
        return components.FilterChainMatch(transport_protocol="raw_buffer")
    return None


def _tcp_proxy(chain: TcpChain) -> TcpProxy:
    return TcpProxy(
        stat_prefix=chain.stat_prefix,
        idle_timeout=duration(chain.idle_timeout),
        max_downstream_connection_duration=maybe_duration(chain.max_connection_duration),
        hash_policy=[_SOURCE_IP] if chain.hash_source_ip else [],
        **_destinations(chain.destinations),
    )


def _destinations(destinations: tuple[WeightedCluster, ...]) -> dict[str, Any]:
    if len(destinations) == 1:
        return {"cluster": destinations[0].cluster}
    weighted = [TcpProxy.WeightedCluster.ClusterWeight(name=each.cluster, weight=each.weight) for each in destinations]
    return {"weighted_clusters": TcpProxy.WeightedCluster(clusters=weighted)}
