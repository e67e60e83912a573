"""How a cluster spreads requests over its endpoints and their localities -> Envoy's balancer and its configuration."""

from __future__ import annotations

from typing import Any, assert_never

from envoy.config.cluster.v3.cluster_pb2 import Cluster as EnvoyCluster
from envoy.config.core.v3.base_pb2 import RuntimeDouble

from meshd.envoy.scalars import duration, percent, uint64
from meshd.plan import ByEds, Cluster, LoadBalancer, Maglev, RingHash, SimpleBalancer, Warmup, ZoneAware


def common_lb_config(plan: Cluster) -> EnvoyCluster.CommonLbConfig:
    return EnvoyCluster.CommonLbConfig(
        healthy_panic_threshold=percent(plan.healthy_panic_percent), **_locality_config(plan)
    )


def _locality_config(plan: Cluster) -> dict[str, Any]:
    if plan.locality_weighted:
        return {"locality_weighted_lb_config": EnvoyCluster.CommonLbConfig.LocalityWeightedLbConfig()}
    if isinstance(plan.discovery, ByEds):
        return {"zone_aware_lb_config": _zone_aware(plan.zone_aware)}
    return {}


def _zone_aware(asked: ZoneAware | None) -> EnvoyCluster.CommonLbConfig.ZoneAwareLbConfig:
    """Once Envoy knows who is local it keeps every cluster's requests in its zone that does not say otherwise."""
    if asked is None or not asked.enabled:
        return EnvoyCluster.CommonLbConfig.ZoneAwareLbConfig(routing_enabled=percent(0))
    return EnvoyCluster.CommonLbConfig.ZoneAwareLbConfig(
        routing_enabled=percent(100), min_cluster_size=uint64(asked.min_cluster_size)
    )


def load_balancer(balancer: LoadBalancer) -> dict[str, Any]:
    """The fields that choose and configure the balancer."""
    match balancer:
        case SimpleBalancer():
            return {"lb_policy": EnvoyCluster.LbPolicy.Value(balancer.policy)} | _slow_start(balancer)
        case RingHash():
            ring = EnvoyCluster.RingHashLbConfig(minimum_ring_size=uint64(balancer.minimum_size))
            return {"lb_policy": EnvoyCluster.RING_HASH, "ring_hash_lb_config": ring}
        case Maglev():
            table = EnvoyCluster.MaglevLbConfig(table_size=uint64(balancer.table_size))
            return {"lb_policy": EnvoyCluster.MAGLEV, "maglev_lb_config": table}
        case _ as unknown:
            assert_never(unknown)


def _slow_start(balancer: SimpleBalancer) -> dict[str, Any]:
    if balancer.warmup is None:
        return {}
    growth = _growth(balancer.warmup)
    match balancer.policy:
        case "LEAST_REQUEST":
            return {"least_request_lb_config": EnvoyCluster.LeastRequestLbConfig(slow_start_config=growth)}
        case "ROUND_ROBIN":
            return {"round_robin_lb_config": EnvoyCluster.RoundRobinLbConfig(slow_start_config=growth)}
        case "RANDOM":  # has no weights to grow
            return {}
        case _ as unknown:
            assert_never(unknown)


def _growth(warmup: Warmup) -> EnvoyCluster.SlowStartConfig:
    return EnvoyCluster.SlowStartConfig(
        slow_start_window=duration(warmup.duration),
        aggression=RuntimeDouble(default_value=warmup.aggression, runtime_key="meshd.slow_start.aggression"),
        min_weight_percent=percent(warmup.minimum_percent),
    )
