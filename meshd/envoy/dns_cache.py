"""The one DNS cache of a proxy: clusters of `DynamicDns` and the filters before them must name it in the same words.

Envoy refuses two caches of one name that differ in anything, also when one is there no more: so the name says what is
in it, and another rate is another cache.
"""

from __future__ import annotations

from datetime import timedelta

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.extensions.common.dynamic_forward_proxy.v3.dns_cache_pb2 import DnsCacheConfig
from envoy.extensions.network.dns_resolver.cares.v3.cares_dns_resolver_pb2 import CaresDnsResolverConfig

from meshd.envoy.scalars import duration
from meshd.envoy.wire import packed

_FIRST_RETRY = timedelta(seconds=1)
_NAMESERVERS_FOR = timedelta(seconds=10)
"""So long Envoy goes by what it read in resolv.conf; by default for as long as it runs."""


def dns_cache_config(refresh_rate: timedelta) -> DnsCacheConfig:
    """Names are kept by their TTL; what could not be looked up is asked for again after a second, then ever later, up
    to the rate: as meshd itself does.

    Envoy's own choice of family asks for IPv4 only where there is no IPv6; a host without IPv6 would reach nothing.
    A host that boots before its network, or moves to another, gets other nameservers.
    """
    return DnsCacheConfig(
        name=f"meshd-{refresh_rate.total_seconds():g}s-{_NAMESERVERS_FOR.total_seconds():g}s",
        dns_lookup_family=Cluster.ALL,
        dns_failure_refresh_rate=Cluster.RefreshRate(
            base_interval=duration(min(_FIRST_RETRY, refresh_rate)), max_interval=duration(refresh_rate)
        ),
        typed_dns_resolver_config=TypedExtensionConfig(
            name="envoy.network.dns_resolver.cares",
            typed_config=packed(CaresDnsResolverConfig(max_udp_channel_duration=duration(_NAMESERVERS_FOR))),
        ),
    )
