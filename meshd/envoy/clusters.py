"""Plan clusters -> Envoy clusters. Their endpoints come apart, by EDS: they change far more often.

The bytes of a cluster end in the few fields that make it an EDS cluster. `static_base` takes them off for a
bootstrap that brings the endpoints along: Envoy refuses a cluster that has both, even if it says STATIC.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, assert_never

from envoy.config.cluster.v3 import circuit_breaker_pb2
from envoy.config.cluster.v3 import cluster_pb2 as envoy_cluster
from envoy.config.core.v3.address_pb2 import TcpKeepalive as EnvoyTcpKeepalive
from envoy.config.core.v3.base_pb2 import RuntimeDouble
from google.protobuf.wrappers_pb2 import UInt32Value

from meshd.envoy.config_sources import ads
from meshd.envoy.outliers import outlier_detection
from meshd.envoy.resource import CLUSTER, EnvoyResource
from meshd.envoy.scalars import duration, maybe_uint32, percent, uint32, uint64
from meshd.envoy.tls import tls_socket
from meshd.envoy.upstream_http import EXTENSION, http_options
from meshd.envoy.wire import packed, resource, serialised
from meshd.memo import Memo
from meshd.plan import (
    CircuitBreakers,
    Cluster,
    LoadBalancer,
    Maglev,
    RingHash,
    SimpleBalancer,
    TcpKeepalive,
    Warmup,
)

_BY_EDS = serialised(
    envoy_cluster.Cluster(
        type=envoy_cluster.Cluster.EDS, eds_cluster_config=envoy_cluster.Cluster.EdsClusterConfig(eds_config=ads())
    )
)


def clusters(plan_clusters: tuple[Cluster, ...], memo: Memo) -> tuple[EnvoyResource, ...]:
    return tuple(memo.recall(cluster, each) for each in plan_clusters)


def cluster(plan: Cluster) -> EnvoyResource:
    return resource(CLUSTER, plan.name, serialised(_base(plan)) + _BY_EDS, plan.origin)


def static_base(body: bytes) -> bytes:
    """A rendered cluster without its EDS: STATIC, which is the type of a cluster that names none."""
    return body.removesuffix(_BY_EDS)


def _base(plan: Cluster) -> envoy_cluster.Cluster:
    return envoy_cluster.Cluster(
        name=plan.name,
        connect_timeout=duration(plan.connect_timeout),
        circuit_breakers=_circuit_breakers(plan.circuit_breakers),
        typed_extension_protocol_options=_protocol_options(plan),
        outlier_detection=plan.outlier_detection and outlier_detection(plan.outlier_detection),
        common_lb_config=_common_lb_config(plan),
        transport_socket=plan.tls and tls_socket(plan.tls, alpn=_alpn(plan)),
        upstream_connection_options=plan.tcp_keepalive and _keepalive(plan.tcp_keepalive),
        **_balancer(plan.load_balancer),
    )


def _protocol_options(plan: Cluster) -> dict[str, Any]:
    if plan.http is None:
        return {}
    return {EXTENSION: packed(http_options(plan.http, plan.tls, plan.outlier_detection))}


def _alpn(plan: Cluster) -> tuple[str, ...]:
    return ("h2",) if plan.http and plan.http.protocol == "http2" else ()


def _circuit_breakers(limits: CircuitBreakers) -> circuit_breaker_pb2.CircuitBreakers:
    return circuit_breaker_pb2.CircuitBreakers(
        thresholds=[
            circuit_breaker_pb2.CircuitBreakers.Thresholds(
                max_connections=uint32(limits.max_connections),
                max_pending_requests=uint32(limits.max_pending_requests),
                max_requests=uint32(limits.max_requests),
                max_retries=uint32(limits.max_retries),
            )
        ]
    )


def _common_lb_config(plan: Cluster) -> envoy_cluster.Cluster.CommonLbConfig:
    weighted = envoy_cluster.Cluster.CommonLbConfig.LocalityWeightedLbConfig() if plan.locality_weighted else None
    return envoy_cluster.Cluster.CommonLbConfig(
        healthy_panic_threshold=percent(plan.healthy_panic_percent), locality_weighted_lb_config=weighted
    )


def _keepalive(keepalive: TcpKeepalive) -> envoy_cluster.UpstreamConnectionOptions:
    return envoy_cluster.UpstreamConnectionOptions(
        tcp_keepalive=EnvoyTcpKeepalive(
            keepalive_probes=maybe_uint32(keepalive.probes),
            keepalive_time=_seconds(keepalive.time),
            keepalive_interval=_seconds(keepalive.interval),
        )
    )


def _seconds(span: timedelta | None) -> UInt32Value | None:
    return None if span is None else uint32(int(span.total_seconds()))


def _balancer(balancer: LoadBalancer) -> dict[str, Any]:
    """The fields that choose and configure the balancer."""
    match balancer:
        case SimpleBalancer():
            return {"lb_policy": envoy_cluster.Cluster.LbPolicy.Value(balancer.policy)} | _slow_start(balancer)
        case RingHash():
            ring = envoy_cluster.Cluster.RingHashLbConfig(minimum_ring_size=uint64(balancer.minimum_size))
            return {"lb_policy": envoy_cluster.Cluster.RING_HASH, "ring_hash_lb_config": ring}
        case Maglev():
            table = envoy_cluster.Cluster.MaglevLbConfig(table_size=uint64(balancer.table_size))
            return {"lb_policy": envoy_cluster.Cluster.MAGLEV, "maglev_lb_config": table}
        case _ as unknown:
            assert_never(unknown)


def _slow_start(balancer: SimpleBalancer) -> dict[str, Any]:
    if balancer.warmup is None:
        return {}
    growth = _growth(balancer.warmup)
    match balancer.policy:
        case "LEAST_REQUEST":
            return {"least_request_lb_config": envoy_cluster.Cluster.LeastRequestLbConfig(slow_start_config=growth)}
        case "ROUND_ROBIN":
            return {"round_robin_lb_config": envoy_cluster.Cluster.RoundRobinLbConfig(slow_start_config=growth)}
        case "RANDOM":  # has no weights to grow
            return {}
        case _ as unknown:
            assert_never(unknown)


def _growth(warmup: Warmup) -> envoy_cluster.Cluster.SlowStartConfig:
    return envoy_cluster.Cluster.SlowStartConfig(
        slow_start_window=duration(warmup.duration),
        aggression=RuntimeDouble(default_value=warmup.aggression, runtime_key="meshd.slow_start.aggression"),
        min_weight_percent=percent(warmup.minimum_percent),
    )
