"""The services behind a port that is not HTTP -> filter chains: TLS by server name, all else to one service (7.2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from meshd.compiler.connection_pools import max_connection_duration, tcp_idle_timeout
from meshd.compiler.load_balancers import hash_key
from meshd.compiler.upstream import Upstream
from meshd.names import cluster_name
from meshd.plan import ChainMatch, HashOnSourceIp, TcpChain, WeightedCluster
from meshd.problems import Origin, Problem
from meshd.registry.hosts import is_wildcard
from meshd.registry.service import Port

_SERVER_FIRST_PROTOCOLS: Final = frozenset({"MONGO", "MYSQL"})
_SERVER_FIRST_PORTS: Final = frozenset({21, 25, 110, 143, 587, 3306})


@dataclass(frozen=True, slots=True)
class Served:
    """One port of one service."""

    upstream: Upstream
    port: Port

    @property
    def host(self) -> str:
        return self.upstream.service.host


def tcp_chains(served: list[Served], at: Origin, problems: list[Problem]) -> tuple[TcpChain, ...]:
    """In the order of spec 2.6. `at`: the listener that offers them, for what has to be said of it."""
    by_name = [each for each in served if each.port.family == "tls"]
    rest = [each for each in served if each.port.family == "tcp"]
    named = [each for each in by_name if _has_server_name(each, at, problems)]
    problems.extend(_shadowed(rest, at))
    if named and rest:
        problems.extend(_server_first(rest[0]))
    return (*(_chain(each, (each.host,)) for each in named), *(_chain(each, ()) for each in rest[:1]))


def _chain(served: Served, server_names: tuple[str, ...]) -> TcpChain:
    cluster = cluster_name(served.upstream.service.host, served.port.number)
    policy = served.upstream.policy(served.port)
    pool = policy.connection_pool
    return TcpChain(
        destinations=(WeightedCluster(cluster=cluster),),
        stat_prefix=cluster,
        match=ChainMatch(server_names=server_names),
        hash_source_ip=hash_key(policy.load_balancer) == HashOnSourceIp(),
        idle_timeout=tcp_idle_timeout(pool),
        max_connection_duration=max_connection_duration(pool),
        origin=served.port.origin,
    )


def _has_server_name(served: Served, at: Origin, problems: list[Problem]) -> bool:
    """Envoy refuses wildcards such as `*foo.com` as server names."""
    if not is_wildcard(served.host) or served.host.startswith("*."):
        return True
    message = f"TLS to {served.host} cannot be told by server name, so port {served.port.number} is left out here"
    problems.append(Problem(code="W-SC-SERVER-NAME", at=at, message=message, hint="name the hosts, or use '*.'"))
    return False


def _shadowed(rest: list[Served], at: Origin) -> Iterator[Problem]:
    for each in rest[1:]:
        number = each.port.number
        message = f"TCP port {number} leads to {rest[0].host}; {each.host} has that port too, and nothing leads there"
        hint = "give each an egress listener of its own"
        yield Problem(code="W-SC-SHADOWED", at=at, message=message, hint=hint)


def _server_first(served: Served) -> Iterator[Problem]:
    port = served.port
    if port.protocol in _SERVER_FIRST_PROTOCOLS or port.number in _SERVER_FIRST_PORTS:
        message = f"clients of {served.host} wait for the server to speak, and TLS on port {port.number} for the client"
        yield Problem(code="E-PORT-SERVER-FIRST", at=port.origin, message=message, hint="move one to another port")
