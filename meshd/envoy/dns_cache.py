"""The one DNS cache of a proxy: clusters of `DynamicDns` and the filters before them must name it in the same words.

Envoy refuses two caches of one name that differ in anything.
"""

from __future__ import annotations

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.extensions.common.dynamic_forward_proxy.v3.dns_cache_pb2 import DnsCacheConfig


def dns_cache_config() -> DnsCacheConfig:
    """Names are kept by their TTL; what could not be looked up is asked for again as Envoy does by itself, each 60 s.

    Envoy's own choice of family asks for IPv4 only where there is no IPv6; a host without IPv6 would reach nothing.
    """
    return DnsCacheConfig(name="meshd", dns_lookup_family=Cluster.ALL)
