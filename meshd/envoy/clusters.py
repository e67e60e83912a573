"""Plan clusters -> Envoy clusters. Where they have endpoints, these come apart, by EDS: they change far more often.

The bytes of such a cluster end in the few fields that make it an EDS cluster. `static_base` takes them off for a
bootstrap that brings the endpoints along: Envoy refuses a cluster that has both, even if it says STATIC.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, assert_never

from envoy.config.cluster.v3 import cluster_pb2 as envoy_cluster
from envoy.config.core.v3.address_pb2 import BindConfig, ExtraSourceAddress, SocketAddress
from envoy.config.core.v3.address_pb2 import TcpKeepalive as EnvoyTcpKeepalive
from envoy.config.endpoint.v3 import endpoint_components_pb2 as endpoint
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.extensions.clusters.dynamic_forward_proxy.v3 import cluster_pb2 as dynamic_forward_proxy
from google.protobuf.wrappers_pb2 import UInt32Value

from meshd.envoy.addresses import internal_address
from meshd.envoy.balancers import common_lb_config, load_balancer
from meshd.envoy.circuit_breakers import circuit_breakers
from meshd.envoy.config_sources import ads
from meshd.envoy.custom import say_of_cluster
from meshd.envoy.dns_cache import dns_cache_config
from meshd.envoy.led_on import way
from meshd.envoy.outliers import outlier_detection
from meshd.envoy.resource import CLUSTER, EnvoyResource
from meshd.envoy.scalars import duration, maybe_uint32, uint32
from meshd.envoy.transport_sockets import transport_sockets
from meshd.envoy.upstream_http import EXTENSION, http_options, verifies_by_host
from meshd.envoy.wire import packed, resource, serialised
from meshd.memo import Memo
from meshd.names import ClusterName, ServiceHost
from meshd.plan import DNS_REFRESH_RATE, ByEds, Cluster, DynamicDns, Listener, OriginalDestination, TcpKeepalive

_EDS_CONFIG = serialised(
    envoy_cluster.Cluster(eds_cluster_config=envoy_cluster.Cluster.EdsClusterConfig(eds_config=ads()))
)
_BY_EDS = serialised(envoy_cluster.Cluster(type=envoy_cluster.Cluster.EDS)) + _EDS_CONFIG


def clusters(plan_clusters: tuple[Cluster, ...], dns_refresh_rate: timedelta, memo: Memo) -> tuple[EnvoyResource, ...]:
    return tuple(memo.recall(cluster, each, dns_refresh_rate) for each in plan_clusters)


def cluster(plan: Cluster, dns_refresh_rate: timedelta = DNS_REFRESH_RATE) -> EnvoyResource:
    tail = _BY_EDS if isinstance(plan.discovery, ByEds) else b""
    return resource(CLUSTER, plan.name, serialised(_base(plan, dns_refresh_rate)) + tail, plan.origin)


def leading_inside(to: Listener) -> EnvoyResource:
    """The cluster of the same name, all of which is a listener of this very proxy: where that is, never changes."""
    name = ClusterName(to.name)
    rest = Cluster(name=name, service=ServiceHost(name), port=0, led_on=True)
    place = endpoint.LbEndpoint(endpoint=endpoint.Endpoint(address=internal_address(to.name, "")))
    base = _base(rest, DNS_REFRESH_RATE)
    base.load_assignment.CopyFrom(
        ClusterLoadAssignment(cluster_name=name, endpoints=[endpoint.LocalityLbEndpoints(lb_endpoints=[place])])
    )
    return resource(CLUSTER, name, serialised(base), to.origin)


def static_base(body: bytes) -> bytes:
    """A rendered cluster without its EDS: STATIC, which is the type of a cluster that names none.

    One that has no EDS needs no endpoints either: it stays what it is.
    """
    if body.endswith(_BY_EDS):
        return body.removesuffix(_BY_EDS)
    return _without_eds(body) if _EDS_CONFIG in body else body


def _without_eds(body: bytes) -> bytes:
    """Where somebody wrote the cluster anew, its fields are in their usual order."""
    message = envoy_cluster.Cluster.FromString(body)
    if message.type != envoy_cluster.Cluster.EDS:
        return body
    message.ClearField("type")
    message.ClearField("eds_cluster_config")
    return serialised(message)


def _base(plan: Cluster, dns_refresh_rate: timedelta) -> envoy_cluster.Cluster:
    base = _rendered(plan, dns_refresh_rate)
    say_of_cluster(base, plan.custom)
    return base


def _rendered(plan: Cluster, dns_refresh_rate: timedelta) -> envoy_cluster.Cluster:
    return envoy_cluster.Cluster(
        name=plan.name,
        connect_timeout=duration(plan.connect_timeout),
        circuit_breakers=circuit_breakers(plan.circuit_breakers, plan.retry_budget),
        typed_extension_protocol_options=_protocol_options(plan),
        outlier_detection=plan.outlier_detection and outlier_detection(plan.outlier_detection),
        upstream_connection_options=plan.tcp_keepalive and _keepalive(plan.tcp_keepalive),
        upstream_bind_config=_sources(plan.sources),
        metadata=way(plan.via),
        **transport_sockets(plan),
        **_discovery(plan, dns_refresh_rate),
    )


def _discovery(plan: Cluster, dns_refresh_rate: timedelta) -> dict[str, Any]:
    """Who has no endpoints to choose from balances nothing; Envoy wants that said."""
    panic = common_lb_config(plan)
    match plan.discovery:
        case ByEds():
            return {"common_lb_config": panic, **load_balancer(plan.load_balancer)}
        case OriginalDestination(port=port):
            return {
                "type": envoy_cluster.Cluster.ORIGINAL_DST,
                "lb_policy": envoy_cluster.Cluster.CLUSTER_PROVIDED,
                "common_lb_config": panic,
                "original_dst_lb_config": port
                and envoy_cluster.Cluster.OriginalDstLbConfig(upstream_port_override=uint32(port)),
            }
        case DynamicDns():
            return {
                "cluster_type": _dynamic_forward_proxy(plan, dns_refresh_rate),
                "lb_policy": envoy_cluster.Cluster.CLUSTER_PROVIDED,
                "common_lb_config": panic,
            }
        case _ as unknown:
            assert_never(unknown)


def _dynamic_forward_proxy(plan: Cluster, dns_refresh_rate: timedelta) -> envoy_cluster.Cluster.CustomClusterType:
    """Envoy refuses HTTP options that do not verify the server by the name that was asked for, also without TLS."""
    lookup = dynamic_forward_proxy.ClusterConfig(
        dns_cache_config=dns_cache_config(dns_refresh_rate),
        allow_insecure_cluster_options=plan.http is not None and not verifies_by_host(plan.tls),
    )
    return envoy_cluster.Cluster.CustomClusterType(
        name="envoy.clusters.dynamic_forward_proxy", typed_config=packed(lookup)
    )


def _protocol_options(plan: Cluster) -> dict[str, Any]:
    if plan.http is None:
        return {}
    return {EXTENSION: packed(http_options(plan.http, plan.tls, plan.outlier_detection))}


def _sources(addresses: tuple[str, ...]) -> BindConfig | None:
    """Envoy takes the one whose family is that of where the connection goes."""
    if not addresses:
        return None
    first, *others = [SocketAddress(address=each, port_value=0) for each in addresses]
    return BindConfig(
        source_address=first, extra_source_addresses=[ExtraSourceAddress(address=each) for each in others]
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
