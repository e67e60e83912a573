"""The outbound proxy of a host -> what its Envoys need to ask it for tunnels (docs/egress.md).

Which cluster leads there is said where clusters are made, `upstream/outbound_proxy.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from meshd.compiler.host import Host
from meshd.compiler.part import Part
from meshd.compiler.upstream.endpoints import address
from meshd.compiler.upstream.outbound_proxy import BY_AUTHORITY, BY_ENDPOINT, NO_PROXY, exempt, proxy_of
from meshd.compiler.upstream.proxy_tls import proxy_secrets, proxy_tls
from meshd.memo import Memo
from meshd.names import ClusterName, ListenerName, ServiceHost
from meshd.plan import (
    ChainMatch,
    Cluster,
    ClusterEndpoints,
    Credentials,
    Endpoint,
    HttpChain,
    InternalAddress,
    InternalBind,
    Listener,
    OriginalDestination,
    OutlierDetection,
    TcpChain,
    Told,
    Tunnel,
    UpstreamHttp,
    WeightedCluster,
)
from meshd.resources.outbound_proxy import OutboundProxy

CLUSTER: Final = ClusterName("outboundProxy")

# Its own address is down, or another one is better: an answer, even a refusal, is not the proxy's failure.
_OUTLIERS: Final = OutlierDetection(
    consecutive_5xx=None,
    consecutive_local_origin_failure=5,
    max_ejection_percent=50,
    split_external_local_origin_errors=True,
)


def with_outbound_proxy(host: Host, memo: Memo, *parts: Part) -> tuple[Part, ...]:
    """The parts themselves where the host has none."""
    proxy = proxy_of(host)
    if proxy is None:
        return parts
    inside = sorted({name for part in parts for name in _led_to(part)} | {BY_ENDPOINT})
    own = memo.recall(_part, host, proxy, " ".join(inside))
    return (*(_telling(part, memo) for part in parts), own)


def _led_to(part: Part) -> Iterator[ListenerName]:
    for assigned in part.endpoints:
        for endpoint in assigned.endpoints:
            if isinstance(endpoint.address, InternalAddress) and endpoint.address.listener.startswith(BY_ENDPOINT):
                yield endpoint.address.listener


# --- who tells --------------------------------------------------------------------------------------------------


def _telling(part: Part, memo: Memo) -> Part:
    """All HTTP of applications and gateways does: a new wildcard must not drain the listeners that are there."""
    return replace(part, listeners=tuple(memo.recall(_told, each) for each in part.listeners))


def _told(listener: Listener) -> Listener:
    if listener.side == "inbound" or isinstance(listener.bind, InternalBind):
        return listener
    tells: tuple[Told, ...] = ("host",) if listener.bound else ("host", "address")
    chains = (replace(each, tells=tells) if isinstance(each, HttpChain) else each for each in listener.chains)
    return replace(listener, chains=tuple(chains))


# --- the proxy --------------------------------------------------------------------------------------------------


def _part(host: Host, proxy: OutboundProxy, inside: str) -> Part:
    names = [ListenerName(name) for name in inside.split()]
    credentials = _credentials(host, proxy)
    past = (_no_proxy(host, proxy),) if BY_AUTHORITY in names else ()
    return Part(
        clusters=(_cluster(host, proxy), *past),
        endpoints=(_endpoints(proxy),),
        listeners=tuple(_listener(name, proxy, credentials) for name in names),
        secrets=proxy_secrets(proxy, host.settings),
        credentials=(credentials,) if credentials else (),
    )


def _cluster(host: Host, proxy: OutboundProxy) -> Cluster:
    return Cluster(
        name=CLUSTER,
        service=ServiceHost(proxy.host or ""),
        port=proxy.port or 0,
        connect_timeout=host.settings.connect_timeout,
        outlier_detection=_OUTLIERS,
        tls=proxy_tls(proxy, host.settings),
        origin=proxy.origin,
    )


def _endpoints(proxy: OutboundProxy) -> ClusterEndpoints:
    place = Endpoint(address=address(proxy.host or "", first_only=False), port=proxy.port or 0)
    return ClusterEndpoints(cluster=CLUSTER, endpoints=(place,), origin=proxy.origin)


def _no_proxy(host: Host, proxy: OutboundProxy) -> Cluster:
    return Cluster(
        name=NO_PROXY,
        service=ServiceHost(NO_PROXY),
        port=0,
        discovery=OriginalDestination(),
        connect_timeout=host.settings.connect_timeout,
        http=UpstreamHttp(protocol="downstream"),
        origin=proxy.origin,
    )


def _credentials(host: Host, proxy: OutboundProxy) -> Credentials | None:
    if not proxy.credential_name:
        return None
    root = host.settings.secret_root
    file = f"{root}/{proxy.credential_name}/proxy-authorization"
    return Credentials(file=file, below=root, origin=proxy.origin.at("credentialName"))


# --- the listeners inside ---------------------------------------------------------------------------------------


def _listener(name: ListenerName, proxy: OutboundProxy, credentials: Credentials | None) -> Listener:
    """That for whole authorities knows what address was dialled, and what of it needs no proxy."""
    tunnel = replace(_tunnel(name), credentials=credentials.file if credentials else "")
    chain = TcpChain(
        destinations=(WeightedCluster(cluster=CLUSTER),), stat_prefix=name, tunnel=tunnel, origin=proxy.origin
    )
    if name != BY_AUTHORITY:
        return Listener(name=name, bind=InternalBind(), chains=(chain,), origin=proxy.origin)
    past = TcpChain(
        destinations=(WeightedCluster(cluster=NO_PROXY),),
        stat_prefix=NO_PROXY,
        match=ChainMatch(prefix_ranges=exempt(proxy).networks),
        origin=proxy.origin,
    )
    return Listener(name=name, bind=InternalBind(), chains=(past, chain), captures=True, origin=proxy.origin)


def _tunnel(name: ListenerName) -> Tunnel:
    if name == BY_ENDPOINT:
        return Tunnel(by="endpoint")
    if name == BY_AUTHORITY:
        return Tunnel(by="authority")
    return Tunnel(by="host", port=int(name.removeprefix(f"{BY_ENDPOINT}_")))
