"""outboundTrafficPolicy -> what becomes of requests and connections to what is not in the registry (SC-14, SC-15)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from meshd.compiler.connections.connections import target_chain
from meshd.compiler.destinations import Target, Unroutable, target
from meshd.compiler.host import Host
from meshd.compiler.http.routes import REASON
from meshd.compiler.upstream.no_proxy import NoProxy, hosts_pattern
from meshd.compiler.upstream.outbound_proxy import BY_AUTHORITY, NO_PROXY, called, exempt, leading, proxy_of
from meshd.compiler.upstream.upstream import Upstream
from meshd.compiler.view import View
from meshd.mesh.visibility import Scope
from meshd.names import ClusterName, ServiceHost
from meshd.plan import (
    ByEds,
    ChainMatch,
    Cluster,
    ClusterEndpoints,
    Discovery,
    DynamicDns,
    Forward,
    HeaderMatch,
    OriginalDestination,
    Respond,
    Route,
    RouteMatch,
    TcpChain,
    TextMatch,
    UpstreamHttp,
    VirtualHost,
    WeightedCluster,
)
from meshd.problems import Origin, Problem, Problems
from meshd.registry.hosts import canonical
from meshd.resources.destination import Destination
from meshd.resources.outbound_proxy import OutboundProxy
from meshd.resources.sidecar import Sidecar

PASSTHROUGH: Final = ClusterName("PassthroughCluster")
BLACK_HOLE: Final = ClusterName("BlackHoleCluster")
FORWARD_PROXY: Final = ClusterName("ForwardProxyCluster")
"""Where nothing is captured, the name in a request is all there is to find an unknown host by."""
PAST_OUTBOUND_PROXY: Final = ClusterName("NoProxyForwardCluster")

_NOT_REGISTERED: Final = "host %REQ(:authority):253% is not in the registry"
"""Said to who asked. Envoy refuses an authority that has what a name cannot have, so nothing else can be slipped in;
and longer than this is no name."""
_REFUSED: Final = Respond(status=502, body_format=_NOT_REGISTERED, headers=((REASON, _NOT_REGISTERED),))
BLOCK_ALL: Final = VirtualHost(
    name="block_all", domains=("*",), routes=(Route(name="block_all", match=RouteMatch(), action=_REFUSED),)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownTraffic:
    """`bound`, `proxied` and `captured`: the virtual host `*` of a listener that is bound, an HTTP proxy, or captured.

    `chain` takes captured connections; `loop` is for those to the port of the capture itself. A request to a bound
    listener says no more than a name, and most often the listener's own: it is never forwarded by that.
    `past_outbound_proxy`: what `forward_proxy` is to names that the host's outbound proxy is not for.
    """

    bound: VirtualHost
    proxied: VirtualHost
    captured: VirtualHost
    chain: TcpChain
    loop: TcpChain
    passthrough: Cluster | None
    forward_proxy: Cluster | None
    black_hole: Cluster
    past_outbound_proxy: Cluster | None = None
    problems: Problems = ()


def unknown_traffic(view: View, sidecar: Sidecar | None, everything: Scope) -> UnknownTraffic:
    """A Sidecar without a word on it leaves it to the mesh."""
    settings = view.host.settings
    policy = sidecar.outbound_traffic_policy if sidecar else None
    allowed = policy.mode == "ALLOW_ANY" if policy else settings.allow_any
    proxy = policy.egress_proxy if policy else settings.egress_proxy
    origin = policy.origin if policy else settings.origin
    service = view.service(canonical(proxy.host), everything) if proxy else None
    upstream = view.upstream(service) if service else None
    return view.memo.recall(_settled, view.host, allowed, proxy, upstream, origin)


def _settled(
    host: Host,
    allowed: bool,  # noqa: FBT001
    proxy: Destination | None,
    upstream: Upstream | None,
    origin: Origin,
) -> UnknownTraffic:
    if proxy is not None:
        return _by_proxy(host, proxy, upstream, origin)
    return _passed(host, origin) if allowed else _refused(host, origin)


def _refused(host: Host, origin: Origin, problems: Problems = ()) -> UnknownTraffic:
    return UnknownTraffic(
        bound=BLOCK_ALL,
        proxied=BLOCK_ALL,
        captured=BLOCK_ALL,
        chain=_plain_chain(BLACK_HOLE, origin),
        loop=_loop(host, origin),
        passthrough=None,
        forward_proxy=None,
        black_hole=_black_hole(host, origin),
        problems=problems,
    )


def _passed(host: Host, origin: Origin) -> UnknownTraffic:
    proxy = proxy_of(host)
    if proxy:
        return _by_outbound_proxy(host, proxy, origin)
    return UnknownTraffic(
        bound=BLOCK_ALL,
        proxied=_allow_any(FORWARD_PROXY, origin),
        captured=_allow_any(PASSTHROUGH, origin),
        chain=_plain_chain(PASSTHROUGH, origin),
        loop=_loop(host, origin),
        passthrough=_cluster(PASSTHROUGH, OriginalDestination(), host, origin),
        forward_proxy=_cluster(FORWARD_PROXY, DynamicDns(), host, origin),
        black_hole=_black_hole(host, origin),
    )


def _by_outbound_proxy(host: Host, proxy: OutboundProxy, origin: Origin) -> UnknownTraffic:
    """Requests go by their Host, all else by the address that was dialled."""
    return UnknownTraffic(
        bound=BLOCK_ALL,
        proxied=_allow_but(exempt(proxy), PAST_OUTBOUND_PROXY, FORWARD_PROXY, origin),
        captured=_allow_but(exempt(proxy), NO_PROXY, PASSTHROUGH, origin),
        chain=replace(_plain_chain(PASSTHROUGH, origin), tells="address"),
        loop=_loop(host, origin),
        passthrough=_led(PASSTHROUGH, host, proxy, origin),
        forward_proxy=_led(FORWARD_PROXY, host, proxy, origin),
        past_outbound_proxy=_cluster(PAST_OUTBOUND_PROXY, DynamicDns(), host, origin),
        black_hole=_black_hole(host, origin),
    )


def _led(name: ClusterName, host: Host, proxy: OutboundProxy, origin: Origin) -> Cluster:
    return replace(_cluster(name, ByEds(), host, origin), via=called(proxy), led_on=True)


def _allow_but(exempted: NoProxy, past: ClusterName, cluster: ClusterName, origin: Origin) -> VirtualHost:
    host = _allow_any(cluster, origin)
    by_name = HeaderMatch(name=":authority", text=TextMatch(kind="regex", value=hosts_pattern(exempted)))
    action = Forward(destinations=(WeightedCluster(cluster=past),))
    straight = Route(name="no_proxy", match=RouteMatch(headers=(by_name,)), action=action, origin=origin)
    return replace(host, routes=(straight, *host.routes))


def _by_proxy(host: Host, proxy: Destination, upstream: Upstream | None, origin: Origin) -> UnknownTraffic:
    """A proxy that is not there lets nothing through: past it was never allowed."""
    found = _find(proxy, upstream)
    if isinstance(found, Unroutable):
        return _refused(host, origin, (found.problem,))
    unknown = _allow_any(found.cluster, origin)
    return UnknownTraffic(
        bound=unknown,
        proxied=unknown,
        captured=unknown,
        chain=target_chain(found, match=ChainMatch(), origin=origin),
        loop=_loop(host, origin),
        passthrough=None,
        forward_proxy=None,
        black_hole=_black_hole(host, origin),
    )


def _find(proxy: Destination, upstream: Upstream | None) -> Target | Unroutable:
    if upstream is None:
        message = f"{proxy.host} is not in the registry, or not exported to this host: unknown traffic is refused"
        return Unroutable(problem=Problem(code="W-VS-DEST-HIDDEN", at=proxy.origin.at("host"), message=message))
    return target(proxy, upstream, proxy.port.number if proxy.port else 0, captured=False)


def _allow_any(cluster: ClusterName, origin: Origin) -> VirtualHost:
    action = Forward(destinations=(WeightedCluster(cluster=cluster),))
    route = Route(name="allow_any", match=RouteMatch(), action=action, origin=origin)
    return VirtualHost(name="allow_any", domains=("*",), routes=(route,), origin=origin)


def _plain_chain(cluster: ClusterName, origin: Origin) -> TcpChain:
    return TcpChain(destinations=(WeightedCluster(cluster=cluster),), stat_prefix=cluster, origin=origin)


def _loop(host: Host, origin: Origin) -> TcpChain:
    """Passed on, a connection to the port of the capture would come back for ever."""
    return TcpChain(
        destinations=(WeightedCluster(cluster=BLACK_HOLE),),
        stat_prefix="virtualOutbound-trap",
        match=ChainMatch(destination_port=host.settings.proxy_listen_port),
        origin=origin,
    )


def _cluster(name: ClusterName, discovery: Discovery, host: Host, origin: Origin) -> Cluster:
    return Cluster(
        name=name,
        service=ServiceHost(name),
        port=0,
        discovery=discovery,
        connect_timeout=host.settings.connect_timeout,
        http=UpstreamHttp(protocol="downstream"),
        origin=origin,
    )


def _black_hole(host: Host, origin: Origin) -> Cluster:
    return Cluster(
        name=BLACK_HOLE,
        service=ServiceHost(BLACK_HOLE),
        port=0,
        connect_timeout=host.settings.connect_timeout,
        origin=origin,
    )


# --- what of it is in use -------------------------------------------------------------------------------------


def clusters_in_use(unknown: UnknownTraffic, *, captures: bool, proxies: bool) -> Iterator[Cluster]:
    """`captures`: connections are captured; `proxies`: some listener is an HTTP proxy."""
    if captures:
        yield unknown.black_hole
        if unknown.passthrough:
            yield unknown.passthrough
    if proxies and unknown.forward_proxy:
        yield unknown.forward_proxy
        if unknown.past_outbound_proxy:
            yield unknown.past_outbound_proxy


def fixed(cluster: Cluster) -> ClusterEndpoints:
    """The endpoints of the black hole; of what is led on, the listener inside to which all of it is led."""
    inside = (leading(BY_AUTHORITY, cluster.name),) if cluster.led_on else ()
    return ClusterEndpoints(cluster=cluster.name, endpoints=inside, origin=cluster.origin)
