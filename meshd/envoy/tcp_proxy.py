"""A TCP chain -> the network filters that pass its bytes on, or close the connection."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from envoy.config.listener.v3.listener_components_pb2 import Filter
from envoy.extensions.filters.network.mongo_proxy.v3.mongo_proxy_pb2 import MongoProxy
from envoy.extensions.filters.network.redis_proxy.v3.redis_proxy_pb2 import RedisProxy
from envoy.extensions.filters.network.sni_dynamic_forward_proxy.v3.sni_dynamic_forward_proxy_pb2 import (
    FilterConfig as SniLookup,
)
from envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy, UpstreamConnectMode
from envoy.type.v3.hash_policy_pb2 import HashPolicy

from meshd.envoy.access_logs import SILENT, Loggers
from meshd.envoy.circles import Itself, unless_circular_connection
from meshd.envoy.connection_faults import held, leads_inside, spread, throttling
from meshd.envoy.dns_cache import dns_cache_config
from meshd.envoy.led_on import connection_filters
from meshd.envoy.scalars import duration, maybe_duration, uint32
from meshd.envoy.tunnels import tunneling
from meshd.envoy.wire import packed
from meshd.plan import TcpChain, WeightedCluster

_REDIS_TIMEOUT = timedelta(seconds=5)
"""For the answer to one command; Istio's."""
_NOWHERE = "BlackHoleCluster"
"""Has no endpoints where there is such a cluster, and mostly there is none."""
_EARLY_DATA = 1024
"""Envoy wants to be told, though there never is any."""
_SOURCE_IP = HashPolicy(source_ip=HashPolicy.SourceIp())


def tcp_filters(
    chain: TcpChain, dns_refresh_rate: timedelta, logs: Loggers = SILENT, place: Itself | None = None
) -> list[Filter]:
    """`place`: where connections must not be opened again."""
    if not chain.destinations:
        return _closed(chain, logs)
    passed = spread(chain)
    looked_up = _looked_up(passed, dns_refresh_rate, place)
    return [*throttling(chain), *looked_up, *_passing(passed, logs, ends=leads_inside(chain))]


def _passing(chain: TcpChain, logs: Loggers, *, ends: bool) -> list[Filter]:
    """`ends`: where the connection came from and was going has to be known inside."""
    if chain.filtered == "redis" and len(chain.destinations) == 1:
        return [_redis(chain, chain.destinations[0])]
    return [
        *_before(chain, ends=ends),
        _filter_of(_tcp_proxy(chain, logs)),
    ]


def _closed(chain: TcpChain, logs: Loggers) -> list[Filter]:
    """A chain without filters would close it too, but an access log has no flag to tell that by."""
    nowhere = TcpProxy(stat_prefix=chain.stat_prefix, access_log=logs.connections, cluster=_NOWHERE)
    if chain.max_connection_duration is None:
        return [_filter_of(nowhere)]
    nowhere.max_downstream_connection_duration.CopyFrom(duration(chain.max_connection_duration))
    nowhere.upstream_connect_mode = UpstreamConnectMode.ON_DOWNSTREAM_DATA
    nowhere.max_early_data_bytes.CopyFrom(uint32(_EARLY_DATA))
    return [held(chain), _filter_of(nowhere)]


def _filter_of(proxy: TcpProxy) -> Filter:
    return Filter(name="envoy.filters.network.tcp_proxy", typed_config=packed(proxy))


def _before(chain: TcpChain, *, ends: bool) -> Iterator[Filter]:
    yield from connection_filters(chain.tells, ends=ends)
    if chain.filtered == "mongo":
        yield Filter(
            name="envoy.filters.network.mongo_proxy", typed_config=packed(MongoProxy(stat_prefix=chain.stat_prefix))
        )


def _tcp_proxy(chain: TcpChain, logs: Loggers) -> TcpProxy:
    return TcpProxy(
        stat_prefix=chain.stat_prefix,
        access_log=logs.connections,
        idle_timeout=duration(chain.idle_timeout),
        max_downstream_connection_duration=maybe_duration(chain.max_connection_duration),
        hash_policy=[_SOURCE_IP] if chain.hash_source_ip else [],
        tunneling_config=tunneling(chain.tunnel) if chain.tunnel else None,
        **_destinations(chain.destinations),
    )


def _destinations(destinations: tuple[WeightedCluster, ...]) -> dict[str, Any]:
    if len(destinations) == 1:
        return {"cluster": destinations[0].cluster}
    weighted = [TcpProxy.WeightedCluster.ClusterWeight(name=each.cluster, weight=each.weight) for each in destinations]
    return {"weighted_clusters": TcpProxy.WeightedCluster(clusters=weighted)}


def _redis(chain: TcpChain, to: WeightedCluster) -> Filter:
    routes = RedisProxy.PrefixRoutes(catch_all_route=RedisProxy.PrefixRoutes.Route(cluster=to.cluster))
    settings = RedisProxy.ConnPoolSettings(op_timeout=duration(_REDIS_TIMEOUT))
    proxy = RedisProxy(stat_prefix=chain.stat_prefix, settings=settings, prefix_routes=routes)
    return Filter(name="envoy.filters.network.redis_proxy", typed_config=packed(proxy))


def _looked_up(chain: TcpChain, dns_refresh_rate: timedelta, place: Itself | None) -> Iterator[Filter]:
    """Has the name that the client asked for looked up before its connection is opened."""
    if chain.sni_dns_port is None:
        return
    lookup = SniLookup(
        dns_cache_config=dns_cache_config(dns_refresh_rate),
        port_value=chain.sni_dns_port,
        save_upstream_address=place is not None,
    )
    yield Filter(name="envoy.filters.network.sni_dynamic_forward_proxy", typed_config=packed(lookup))
    if place:
        yield unless_circular_connection(place)
