"""What an Envoy process starts with: who it is, its admin socket, and where its configuration comes from.

Paths are plain strings here; that they exist, and who may open them, is seen to by whoever starts the process.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Literal

from envoy.config.bootstrap.v3 import bootstrap_pb2
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3 import backoff_pb2, base_pb2, config_source_pb2
from envoy.config.core.v3 import grpc_service_pb2 as grpc_service
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.config.core.v3.protocol_pb2 import Http2ProtocolOptions
from envoy.config.endpoint.v3 import endpoint_components_pb2 as endpoint
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.extensions.bootstrap.internal_listener.v3.internal_listener_pb2 import InternalListener
from envoy.extensions.upstreams.http.v3.http_protocol_options_pb2 import HttpProtocolOptions
from google.protobuf.struct_pb2 import Struct, Value

from meshd.envoy.addresses import pipe_address
from meshd.envoy.config_sources import ads
from meshd.envoy.scalars import duration
from meshd.envoy.stats import stats_config
from meshd.envoy.upstream_http import EXTENSION
from meshd.envoy.wire import packed, serialised
from meshd.names import LOCAL_CLUSTER, HostName, Locality, ProxyName

Mode = Literal["xds", "fallback", "trial"]

MODE_KEY = "meshd.io/mode"
"""In the node's metadata; `/server_info` tells by it which configuration a process runs."""

INTERNAL_LISTENERS: Final = TypedExtensionConfig(
    name="envoy.bootstrap.internal_listener", typed_config=packed(InternalListener())
)
"""Without it Envoy refuses listeners that only its own clusters lead to."""

XDS_CLUSTER = "meshd"
_ADMIN_SOCKET_MODE = 0o660

# Envoy refuses a regular expression above 100 instructions, which `[a-z]{1,64}` alone exceeds. Istio's own limit.
_LARGEST_REGEX = 32_768


@dataclass(frozen=True, slots=True, kw_only=True)
class BootstrapSettings:
    """The process that starts: `proxy` of `host`, with its sockets, and where it stands."""

    proxy: ProxyName
    host: HostName
    xds_socket: str
    admin_socket: str
    locality: Locality = field(default_factory=Locality)


def xds_bootstrap(settings: BootstrapSettings) -> bytes:
    """Everything else comes from meshd, over its socket."""
    message = foundation(settings, "xds")
    message.static_resources.clusters.extend([_meshd(settings.xds_socket), _local()])
    message.dynamic_resources.CopyFrom(_dynamic_resources())
    return serialised(message)


def foundation(settings: BootstrapSettings, mode: Mode) -> bootstrap_pb2.Bootstrap:
    """What every bootstrap of this process has: only then can one take over from another by hot restart.

    It names a local cluster, which stands apart, among the static clusters: `_local` or `static_local`.
    """
    return bootstrap_pb2.Bootstrap(
        node=_node(settings, mode),
        admin=bootstrap_pb2.Admin(address=pipe_address(settings.admin_socket, _ADMIN_SOCKET_MODE)),
        stats_config=stats_config(),
        deferred_stat_options=bootstrap_pb2.Bootstrap.DeferredStatOptions(enable_deferred_creation_stats=True),
        layered_runtime=layered_runtime(),
        cluster_manager=bootstrap_pb2.ClusterManager(local_cluster_name=LOCAL_CLUSTER),
        bootstrap_extensions=[INTERNAL_LISTENERS],
    )


def static_local() -> bytes:
    """For a bootstrap without xDS: without endpoints, which may be appended as a field of it."""
    return serialised(Cluster(name=LOCAL_CLUSTER, connect_timeout=duration(timedelta(seconds=1))))


def locality_of(bootstrap: bytes) -> Locality:
    """Where the process that it was written for stands."""
    place = bootstrap_pb2.Bootstrap.FromString(bootstrap).node.locality
    return Locality(region=place.region, zone=place.zone, subzone=place.sub_zone)


def layered_runtime() -> bootstrap_pb2.LayeredRuntime:
    limits = Struct(fields={"re2.max_program_size.error_level": Value(number_value=_LARGEST_REGEX)})
    layer = bootstrap_pb2.RuntimeLayer(name="meshd", static_layer=limits)
    return bootstrap_pb2.LayeredRuntime(layers=[layer])


def _node(settings: BootstrapSettings, mode: Mode) -> base_pb2.Node:
    return base_pb2.Node(
        id=f"{settings.proxy}~{settings.host}",
        cluster=settings.proxy,
        locality=base_pb2.Locality(
            region=settings.locality.region, zone=settings.locality.zone, sub_zone=settings.locality.subzone
        ),
        metadata=Struct(fields={MODE_KEY: Value(string_value=mode)}),
    )


def _local() -> Cluster:
    """Who shares this proxy's zone (spec D-24). Where nothing is zone aware, there is nobody in it.

    All else waits for it, and would for a second while meshd is away; who comes later is as welcome.
    """
    return Cluster(
        name=LOCAL_CLUSTER,
        type=Cluster.EDS,
        connect_timeout=duration(timedelta(seconds=1)),
        eds_cluster_config=Cluster.EdsClusterConfig(eds_config=ads(initial_fetch_timeout=timedelta(milliseconds=100))),
    )


def _meshd(xds_socket: str) -> Cluster:
    place = endpoint.LbEndpoint(endpoint=endpoint.Endpoint(address=pipe_address(xds_socket)))
    http2 = HttpProtocolOptions.ExplicitHttpConfig(http2_protocol_options=Http2ProtocolOptions())
    return Cluster(
        name=XDS_CLUSTER,
        type=Cluster.STATIC,
        connect_timeout=duration(timedelta(seconds=1)),
        load_assignment=ClusterLoadAssignment(
            cluster_name=XDS_CLUSTER, endpoints=[endpoint.LocalityLbEndpoints(lb_endpoints=[place])]
        ),
        typed_extension_protocol_options={EXTENSION: packed(HttpProtocolOptions(explicit_http_config=http2))},
    )


def _dynamic_resources() -> bootstrap_pb2.Bootstrap.DynamicResources:
    # Envoy without meshd must come up, if only to be told what to do over its admin socket.
    source = ads(initial_fetch_timeout=timedelta(seconds=1))
    return bootstrap_pb2.Bootstrap.DynamicResources(
        ads_config=_aggregated_stream(), lds_config=source, cds_config=source
    )


def _aggregated_stream() -> config_source_pb2.ApiConfigSource:
    # Envoy's own backoff grows to 30 s: a restarted meshd would be noticed late.
    patience = backoff_pb2.BackoffStrategy(
        base_interval=duration(timedelta(milliseconds=100)), max_interval=duration(timedelta(seconds=1))
    )
    meshd = grpc_service.GrpcService.EnvoyGrpc(
        cluster_name=XDS_CLUSTER, retry_policy=base_pb2.RetryPolicy(retry_back_off=patience)
    )
    return config_source_pb2.ApiConfigSource(
        api_type=config_source_pb2.ApiConfigSource.DELTA_GRPC,
        transport_api_version=config_source_pb2.ApiVersion.V3,
        grpc_services=[grpc_service.GrpcService(envoy_grpc=meshd)],
        set_node_on_first_message_only=True,
    )
