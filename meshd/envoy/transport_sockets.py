"""What is between a cluster and its endpoints' bytes -> Envoy's transport sockets: TLS, a PROXY header, or both."""

from __future__ import annotations

from typing import Any, Final

from envoy.config.cluster.v3.cluster_pb2 import Cluster as EnvoyCluster
from envoy.config.core.v3.base_pb2 import TransportSocket
from envoy.config.core.v3.proxy_protocol_pb2 import ProxyProtocolConfig
from envoy.extensions.transport_sockets.proxy_protocol.v3.upstream_proxy_protocol_pb2 import (
    ProxyProtocolUpstreamTransport,
)
from envoy.extensions.transport_sockets.raw_buffer.v3.raw_buffer_pb2 import RawBuffer

from meshd.envoy.endpoints import MESH_TLS
from meshd.envoy.led_on import led_on
from meshd.envoy.tls import tls_socket
from meshd.envoy.wire import packed
from meshd.plan import Cluster, UpstreamTls

_PLAIN: Final = TransportSocket(name="envoy.transport_sockets.raw_buffer", typed_config=packed(RawBuffer()))


def transport_sockets(plan: Cluster) -> dict[str, Any]:
    """The fields of the cluster; none where it is plain TCP."""
    if plan.mesh_tls:
        return {"transport_socket_matches": _by_endpoint(plan, plan.mesh_tls)}
    if plan.tls:
        return {"transport_socket": _wrapped(plan, _tls(plan, plan.tls))}
    return {"transport_socket": _wrapped(plan, _PLAIN)} if plan.proxy_protocol or plan.led_on else {}


def _by_endpoint(plan: Cluster, mesh_tls: UpstreamTls) -> list[EnvoyCluster.TransportSocketMatch]:
    """The first that an endpoint fits counts, and every endpoint fits the second."""
    socket = _wrapped(plan, _tls(plan, mesh_tls))
    return [
        EnvoyCluster.TransportSocketMatch(name="tlsMode-istio", match=MESH_TLS, transport_socket=socket),
        EnvoyCluster.TransportSocketMatch(name="tlsMode-disabled", match={}, transport_socket=_wrapped(plan, _PLAIN)),
    ]


def _tls(plan: Cluster, settings: UpstreamTls) -> TransportSocket:
    return tls_socket(settings, alpn=("h2",) if plan.http and plan.http.protocol == "http2" else ())


def _wrapped(plan: Cluster, inner: TransportSocket) -> TransportSocket:
    outer = _after_header(plan, inner)
    return led_on(outer) if plan.led_on else outer


def _after_header(plan: Cluster, inner: TransportSocket) -> TransportSocket:
    """The header is in plain text, before any handshake: it is for the load balancer in between."""
    if plan.proxy_protocol is None:
        return inner
    outer = ProxyProtocolUpstreamTransport(
        config=ProxyProtocolConfig(version=ProxyProtocolConfig.Version.Value(plan.proxy_protocol)),
        transport_socket=inner,
    )
    return TransportSocket(name="envoy.transport_sockets.upstream_proxy_protocol", typed_config=packed(outer))
