"""A balancer of Envoy's own API -> the policy of a cluster, instead of the balancer that was rendered."""

from __future__ import annotations

from typing import Any

from envoy.config.cluster.v3.cluster_pb2 import Cluster, LoadBalancingPolicy
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.extensions.load_balancing_policies.common.v3.common_pb2 import LocalityLbConfig

from meshd.envoy.wire import packed


def balance(cluster: Cluster, balancer: Any) -> None:  # noqa: ANN401  (one of many messages, without stubs)
    """By this alone; but what it does not say of localities holds for it as for any other."""
    policy = balancer if isinstance(balancer, LoadBalancingPolicy) else _policy(balancer, cluster.common_lb_config)
    forget_balancer(cluster)
    cluster.load_balancing_policy.CopyFrom(policy)


def forget_balancer(cluster: Cluster) -> None:
    """Envoy takes no policy beside what `common_lb_config` says of localities (measured), and ignores the rest."""
    cluster.ClearField("lb_policy")
    for message, choice in ((cluster, "lb_config"), (cluster.common_lb_config, "locality_config_specifier")):
        chosen = message.WhichOneof(choice)
        if chosen:
            message.ClearField(chosen)


def _policy(balancer: Any, common: Cluster.CommonLbConfig) -> LoadBalancingPolicy:  # noqa: ANN401
    """Envoy finds the extension by the type of its configuration; the name is for the reader."""
    _tell_localities(balancer, common)
    name = balancer.DESCRIPTOR.full_name.split(".")[-3]
    extension = TypedExtensionConfig(name=f"envoy.load_balancing_policies.{name}", typed_config=packed(balancer))
    return LoadBalancingPolicy(policies=[LoadBalancingPolicy.Policy(typed_extension_config=extension)])


def _tell_localities(balancer: Any, common: Cluster.CommonLbConfig) -> None:  # noqa: ANN401
    fields = balancer.DESCRIPTOR.fields_by_name
    if "locality_lb_config" in fields and not balancer.HasField("locality_lb_config"):
        balancer.locality_lb_config.CopyFrom(_localities(common))
    if "locality_weighted_lb_config" in fields and common.HasField("locality_weighted_lb_config"):
        balancer.locality_weighted_lb_config.SetInParent()


def _localities(common: Cluster.CommonLbConfig) -> LocalityLbConfig:
    if common.HasField("locality_weighted_lb_config"):
        return LocalityLbConfig(locality_weighted_lb_config=LocalityLbConfig.LocalityWeightedLbConfig())
    zones = common.zone_aware_lb_config
    return LocalityLbConfig(
        zone_aware_lb_config=LocalityLbConfig.ZoneAwareLbConfig(
            routing_enabled=zones.routing_enabled,
            min_cluster_size=zones.min_cluster_size if zones.HasField("min_cluster_size") else None,
        )
    )
