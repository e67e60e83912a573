"""The one DNS cache of a proxy: clusters of `DynamicDns` and the filters before them must name it in the same words.

Envoy refuses two caches of one name that differ in anything, also when one is there no more: so the name says what is
in it, and another rate is another cache.
"""

from __future__ import annotations

from datetime import timedelta

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.extensions.common.dynamic_forward_proxy.v3.dns_cache_pb2 import DnsCacheConfig

from meshd.envoy.scalars import duration

_FIRST_RETRY = timedelta(seconds=1)


def dns_cache_config(refresh_rate: timedelta) -> DnsCacheConfig:
    """Names are kept by their TTL; what could not be looked up is asked for again after a second, then ever later, up
    to the rate: as meshd itself does.

    Envoy's own choice of family asks for IPv4 only where there is no IPv6; a host without IPv6 would reach nothing.
    """
    return DnsCacheConfig(
        name=f"meshd-{refresh_rate.total_seconds():g}s",
        dns_lookup_family=Cluster.ALL,
        dns_failure_refresh_rate=Cluster.RefreshRate(
            base_interval=duration(min(_FIRST_RETRY, refresh_rate)), max_interval=duration(refresh_rate)
        ),
    )
