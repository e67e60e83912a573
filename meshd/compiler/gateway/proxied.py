"""Connections of a gateway that begin with a PROXY header, which says where they were going (X-10, `L-EGRESS-TCP`).

Where others come to the same address without one, nothing tells the two apart but their first bytes: those listen
there, and hand on what is neither a request nor TLS to a listener inside the proxy, which insists on the header. An
optional header would take a connection without one by the gateway's own address, and might send it round in a circle.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from meshd.compiler.gateway.listeners import Opened, opened
from meshd.compiler.gateway.traffic import Traffic
from meshd.mesh.openings import Opening, conflicts, speaks
from meshd.names import ClusterName, ListenerName, ServiceHost
from meshd.plan import (
    ChainMatch,
    Cluster,
    ClusterEndpoints,
    Endpoint,
    InternalAddress,
    InternalBind,
    Listener,
    TcpChain,
    WeightedCluster,
)

_FOR_EVER = timedelta()
"""How long a connection may be silent, the chain inside says."""


def opened_at(traffic: Traffic, opening: Opening, *, proxy_protocol: bool) -> Iterator[Opened]:
    """`proxy_protocol`: a DestinationRule has the clients of the whole address send the header."""
    first, *rest = _opened(traffic, opening, proxy_protocol=proxy_protocol)
    yield replace(first, problems=(*conflicts(opening), *first.problems))
    yield from rest


def _opened(traffic: Traffic, opening: Opening, *, proxy_protocol: bool) -> Iterator[Opened]:
    behind, others = opening.behind_headers, opening.without_headers
    if not behind.servers:
        yield opened(traffic, opening, proxy_protocol=proxy_protocol)
    elif not others.servers:
        yield opened(traffic, opening, proxy_protocol=True)
    else:
        inside, outside = opened(traffic, behind, proxy_protocol=True), opened(traffic, others, proxy_protocol=False)
        yield from _together(traffic, opening, inside, outside)


def _together(traffic: Traffic, opening: Opening, inside: Opened, outside: Opened) -> Iterator[Opened]:
    """Of a side without any chain there is no listener, and the other has the address for itself."""
    if inside.listener is None or outside.listener is None:
        yield from (inside, outside)
        return
    recall, name = traffic.memo.recall, ListenerName(f"{opening.name}_proxied")
    by_tls = speaks(opening.without_headers.servers[0]) == "tls"
    yield replace(inside, listener=recall(_inner, inside.listener, name))
    yield replace(
        outside,
        listener=recall(_outer, outside.listener, name, by_tls),
        clusters=(*outside.clusters, recall(_cluster, inside.listener, name)),
        endpoints=(*outside.endpoints, recall(_endpoints, inside.listener, name)),
    )


def _inner(listener: Listener, name: ListenerName) -> Listener:
    return replace(listener, name=name, bind=InternalBind())


def _outer(listener: Listener, to: ListenerName, by_tls: bool) -> Listener:  # noqa: FBT001
    """What is left: beside TLS whatever is none, beside requests whatever is none."""
    lead = TcpChain(
        destinations=(WeightedCluster(cluster=ClusterName(to)),),
        stat_prefix=to,
        match=ChainMatch(transport="raw_buffer" if by_tls else None),
        idle_timeout=_FOR_EVER,
        origin=listener.origin,
    )
    return replace(listener, chains=(*listener.chains, lead))


def _cluster(listener: Listener, name: ListenerName) -> Cluster:
    return Cluster(name=ClusterName(name), service=ServiceHost(name), port=0, origin=listener.origin)


def _endpoints(listener: Listener, name: ListenerName) -> ClusterEndpoints:
    inside = Endpoint(address=InternalAddress(listener=name), port=0)
    return ClusterEndpoints(cluster=ClusterName(name), endpoints=(inside,), origin=listener.origin)
