"""The `route` of a tls or tcp rule -> the filter chain that passes connections on (spec V-104, V-114, 6.2).

What lives on the chain and not in the cluster (D-14, D-33, D-34, D-90) is the first destination's. Which connections
the chain takes, and whose TLS ends there, is the caller's to know.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from meshd.compiler.destinations import Destinations, Target, Unroutable
from meshd.compiler.upstream.connection_pools import max_connection_duration, tcp_idle_timeout
from meshd.compiler.upstream.load_balancers import hash_key
from meshd.compiler.upstream.upstream import Upstream
from meshd.names import cluster_name
from meshd.plan import (
    ChainMatch,
    ConnectionFaults,
    DownstreamTls,
    Filtered,
    HashOnSourceIp,
    TcpChain,
    Told,
    Tunnel,
    WeightedCluster,
)
from meshd.problems import Origin, Problems
from meshd.registry.service import Port
from meshd.resources.destination_rule import TunnelSettings
from meshd.resources.l4_routes import RouteDestination

Weighted = tuple[Target, int]


def connection_chain(
    route: Sequence[RouteDestination],
    destinations: Destinations,
    *,
    match: ChainMatch,
    stat_prefix: str,
    tls: DownstreamTls | None = None,
    faults: ConnectionFaults | None = None,
    origin: Origin,
) -> tuple[TcpChain, Problems]:
    """A destination that is out of reach closes the whole route: its share must not go to the others unasked."""
    found = [(destinations.find(each.destination), each.weight) for each in _weighty(route)]
    problems = tuple(to.problem for to, _ in found if isinstance(to, Unroutable))
    if problems:
        return TcpChain(destinations=(), stat_prefix=stat_prefix, match=match, tls=tls, origin=origin), problems
    targets = [(to, weight) for to, weight in found if isinstance(to, Target)]
    chain = _chain(targets, match=match, stat_prefix=stat_prefix, tls=tls, origin=origin)
    return replace(chain, faults=faults), ()


def service_chain(upstream: Upstream, port: Port, *, match: ChainMatch) -> TcpChain:
    """To the service itself, which no rule speaks of."""
    name = cluster_name(upstream.service.host, port.number)
    target = Target(cluster=name, policy=upstream.policy(port), upstream=upstream, port=port)
    return target_chain(target, match=match, origin=port.origin)


def target_chain(target: Target, *, match: ChainMatch, origin: Origin) -> TcpChain:
    return _chain([(target, 0)], match=match, stat_prefix=target.cluster, tls=None, origin=origin)


def _weighty(route: Sequence[RouteDestination]) -> Sequence[RouteDestination]:
    """V-53: a single destination takes all, whatever its weight; next to others a weight of 0 is nothing."""
    return [each for each in route if each.weight] if len(route) > 1 else route


def _chain(
    targets: Sequence[Weighted], *, match: ChainMatch, stat_prefix: str, tls: DownstreamTls | None, origin: Origin
) -> TcpChain:
    first, _ = targets[0]
    pool = first.policy.connection_pool
    return TcpChain(
        destinations=tuple(WeightedCluster(cluster=to.cluster, weight=weight or 100) for to, weight in targets),
        stat_prefix=stat_prefix,
        match=match,
        tls=tls,
        hash_source_ip=hash_key(first.policy.load_balancer) == HashOnSourceIp(),
        idle_timeout=tcp_idle_timeout(pool),
        max_connection_duration=max_connection_duration(pool),
        tunnel=_tunnel(targets),
        sni_dns_port=_sni_dns_port(targets),
        tells=next(_told(targets), None),
        filtered=_filtered(targets) if tls or not _is_of_tls(match) else None,
        origin=origin,
    )


def _filtered(targets: Sequence[Weighted]) -> Filtered | None:
    """What all of them speak. Envoy speaks Redis itself, to one cluster and in no tunnel."""
    spoken = {to.upstream.filtered.get(to.cluster) for to, _ in targets}
    by = spoken.pop() if len(spoken) == 1 else None
    return None if by == "redis" and (len(targets) > 1 or _tunnel(targets)) else by


def _is_of_tls(match: ChainMatch) -> bool:
    return match.transport == "tls" or bool(match.server_names)


def _tunnel(targets: Sequence[Weighted]) -> Tunnel | None:
    """6.2: a subset has its own or none. Of several destinations the first rule's counts, whatever the subset."""
    first, _ = targets[0]
    policy = first.policy if len(targets) == 1 else first.upstream.policy(first.port)
    return _carried(policy.tunnel) if policy.tunnel else None


def _carried(tunnel: TunnelSettings) -> Tunnel:
    host = f"[{tunnel.target_host}]" if ":" in tunnel.target_host else tunnel.target_host
    return Tunnel(authority=f"{host}:{tunnel.target_port}", use_post=tunnel.protocol == "POST")


def _sni_dns_port(targets: Sequence[Weighted]) -> int | None:
    looked_up = (
        to.port.target_port
        for to, _ in targets
        if to.upstream.service.resolution == "DYNAMIC_DNS" and to.cluster not in to.upstream.told
    )
    return next(looked_up, None)


def _told(targets: Sequence[Weighted]) -> Iterator[Told]:
    """What clusters that lead through an outbound proxy have to know; what asks for a Host takes the server name."""
    for to, _ in targets:
        tells = to.upstream.told.get(to.cluster)
        if tells:
            yield "server_name" if tells == "host" else tells
