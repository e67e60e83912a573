"""A port on which connections come in -> its filter chains, its cluster and its route table (spec section 10)."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import Final

from meshd.compiler.gateway.server_tls import MESH_ALPNS
from meshd.compiler.inbound.identity import mutual_tls
from meshd.compiler.inbound.ports import InboundPort
from meshd.compiler.upstream.connection_pools import (
    circuit_breakers,
    connect_timeout,
    max_connection_duration,
    retry_budget,
    tcp_idle_timeout,
    tcp_keepalive,
    upstream_http,
)
from meshd.compiler.upstream.filtered import filtered
from meshd.names import ClusterName, RouteTableName
from meshd.plan import (
    ByEds,
    ChainMatch,
    Cluster,
    ClusterEndpoints,
    Discovery,
    DownstreamTls,
    FilterChain,
    Filtered,
    Forward,
    HttpChain,
    IpAddress,
    OriginalDestination,
    RetryPolicy,
    Route,
    RouteMatch,
    RouteTable,
    TcpChain,
    VirtualHost,
    WeightedCluster,
)
from meshd.registry.settings import MeshSettings

_GRPC: Final = frozenset({"GRPC", "GRPC-WEB"})
_RETRIES: Final = RetryPolicy(attempts=2, retry_on=("reset-before-request",), avoid_previous_hosts=False)
"""Only what the application cannot have seen: its connection broke before the request was sent."""


def chains(port: InboundPort, settings: MeshSettings, *, has_identity: bool) -> tuple[FilterChain, ...]:
    """Permissive: members of the mesh are known by their certificate, everybody else is taken in plain text.

    TLS of others is the application's own, where it speaks no HTTP; else nobody would understand it.
    """
    match = ChainMatch(destination_port=None if port.bind else port.number)
    by = filtered(port.port.protocol, settings.features, _discovery(port))
    if port.termination:
        return (_chain(port, replace(match, transport="tls"), port.termination.tls, by),)
    if not ends_mesh_tls(port, has_identity=has_identity):
        return (_chain(port, match, None, by),)
    mutual = mutual_tls(settings, http=port.is_http)
    others = () if port.is_http else (_chain(port, replace(match, transport="tls"), None, None),)
    return (
        _chain(port, replace(match, transport="tls", alpn=MESH_ALPNS), mutual, by),
        *others,
        _chain(port, replace(match, transport="raw_buffer"), None, by),
    )


def ends_mesh_tls(port: InboundPort, *, has_identity: bool) -> bool:
    """Not where clients wait for the server to speak, unless they are its peers: to be told apart, they must speak."""
    return has_identity and not port.termination and (port.peers or not port.speaks_first)


def _chain(port: InboundPort, match: ChainMatch, tls: DownstreamTls | None, by: Filtered | None) -> FilterChain:
    if port.is_http:
        return HttpChain(
            route_table=RouteTableName(port.cluster),
            stat_prefix=f"inbound_{port.bind or '0.0.0.0'}_{port.number}",  # noqa: S104 (as Istio calls it)
            match=match,
            tls=tls,
            side="inbound",
            keep_timeout_header=False,
            grpc_web=port.port.protocol == "GRPC-WEB",
            origin=port.origin,
        )
    pool = port.policy.connection_pool
    return TcpChain(
        destinations=(WeightedCluster(cluster=port.cluster),),
        stat_prefix=port.cluster,
        match=match,
        tls=tls,
        idle_timeout=tcp_idle_timeout(pool),
        max_connection_duration=max_connection_duration(pool),
        filtered=by,
        origin=port.origin,
    )


SOURCES: Final = ("127.0.0.6", "::1")
"""From here captured connections go on, so that the capture knows them and lets them pass: as in Istio, where it has
no address of the kind for IPv6 (`::6` would have to be added to the host first)."""


def _discovery(port: InboundPort) -> Discovery:
    return ByEds() if port.to else OriginalDestination()


def cluster(port: InboundPort, settings: MeshSettings) -> Cluster:
    pool = port.policy.connection_pool
    return Cluster(
        name=port.cluster,
        service=port.service,
        port=port.number,
        discovery=_discovery(port),
        connect_timeout=connect_timeout(pool, settings.connect_timeout),
        circuit_breakers=circuit_breakers(pool),
        retry_budget=retry_budget(port.policy.retry_budget),
        tcp_keepalive=tcp_keepalive(pool),
        http=upstream_http(pool, port.port),
        sources=SOURCES if _might_be_captured(port) else (),
        origin=port.origin,
    )


def _might_be_captured(port: InboundPort) -> bool:
    """It goes to an address at which others are captured: not to loopback, nor to a socket."""
    if port.bind or port.to is None:
        return port.bind is None
    return isinstance(port.to.address, IpAddress) and not ip_address(port.to.address.ip).is_loopback


def endpoints(port: InboundPort) -> ClusterEndpoints | None:
    """An unhealthy workload is left out: what was to go there is refused at once, so that clients turn to others."""
    if port.to is None:
        return None
    return ClusterEndpoints(cluster=port.cluster, endpoints=(port.to,), drops_unhealthy=True, origin=port.origin)


def route_table(port: InboundPort) -> RouteTable | None:
    """One route for all: no VirtualService speaks of requests that have arrived."""
    if not port.is_http:
        return None
    retries = None if port.port.protocol in _GRPC else _RETRIES
    action = Forward(destinations=(WeightedCluster(cluster=port.cluster),), retries=retries)
    route = Route(name="default", match=RouteMatch(), action=action, origin=port.origin)
    name = f"inbound|http|{port.number}"
    virtual_host = VirtualHost(name=name, domains=("*",), routes=(route,), origin=port.origin)
    return RouteTable(name=RouteTableName(port.cluster), virtual_hosts=(virtual_host,))


# --- what is nobody's -----------------------------------------------------------------------------------------

PASSTHROUGH: Final = ClusterName("InboundPassthroughCluster")


def passthrough_chains(settings: MeshSettings, *, has_identity: bool, inspects: bool) -> tuple[TcpChain, ...]:
    """Captured connections to ports of no service go on as they came; only the mesh's own TLS ends here, as it must.

    `inspects`: other chains ask whether it is TLS. Then so do these: a chain that asks nothing would be the last resort
    of connections that those refuse.
    """
    everything = TcpChain(
        destinations=(WeightedCluster(cluster=PASSTHROUGH),), stat_prefix=PASSTHROUGH, origin=settings.origin
    )
    if not inspects:
        return (everything,)
    tls = ChainMatch(transport="tls")
    others = (replace(everything, match=tls), replace(everything, match=ChainMatch(transport="raw_buffer")))
    if not has_identity:
        return others
    return (replace(everything, match=replace(tls, alpn=MESH_ALPNS), tls=mutual_tls(settings, http=False)), *others)
