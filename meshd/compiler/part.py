"""What one side of a proxy contributes to its plan, and the plan that several of them make."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter

from meshd.compiler.access_logs import access_log
from meshd.compiler.circles import knowing_circles, told
from meshd.compiler.host import Host
from meshd.compiler.itself import knowing_itself
from meshd.compiler.upstream.secrets import unwatched
from meshd.memo import Memo
from meshd.names import DnsName, ProxyName
from meshd.plan import Cluster, ClusterEndpoints, Credentials, DnsAddress, Listener, ProxyPlan, RouteTable, Secret
from meshd.problems import Problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """In any order; a cluster, table or secret that two parts have is the same in both."""

    clusters: tuple[Cluster, ...] = ()
    endpoints: tuple[ClusterEndpoints, ...] = ()
    listeners: tuple[Listener, ...] = ()
    route_tables: tuple[RouteTable, ...] = ()
    secrets: tuple[Secret, ...] = ()
    credentials: tuple[Credentials, ...] = ()
    problems: Problems = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    plan: ProxyPlan
    problems: Problems


def planned(proxy: ProxyName, host: Host, memo: Memo, *parts: Part) -> Planned:
    endpoints = {each.cluster: each for part in parts for each in part.endpoints}
    secrets = {each.name: each for part in parts for each in part.secrets}
    clusters = {each.name: each for part in parts for each in part.clusters}
    listeners = [memo.recall(knowing_itself, host, each) for part in parts for each in part.listeners]
    tables = [each for part in parts for each in part.route_tables]
    endpoints = knowing_circles(host, listeners, tables, endpoints, memo)
    plan = ProxyPlan(
        proxy=proxy,
        host=host.name,
        locality=host.locality,
        clusters=tuple(clusters[name] for name in sorted(clusters)),
        endpoints=tuple(endpoints[name] for name in sorted(endpoints)),
        listeners=tuple(sorted(listeners, key=attrgetter("name"))),
        route_tables=tuple(sorted(tables, key=attrgetter("name"))),
        secrets=tuple(secrets[name] for name in sorted(secrets)),
        credentials=tuple(each for part in parts for each in part.credentials),
        dns_names=tuple(sorted(_dns_names(endpoints.values()))),
        dns_refresh_rate=host.settings.dns_refresh_rate,
        access_log=access_log(host.settings),
    )
    problems = (problem for part in parts for problem in part.problems)
    return Planned(plan=plan, problems=(*problems, *unwatched(plan), *told(plan.endpoints)))


def _dns_names(endpoints: Iterable[ClusterEndpoints]) -> set[DnsName]:
    return {
        endpoint.address.name
        for each in endpoints
        for endpoint in each.endpoints
        if isinstance(endpoint.address, DnsAddress)
    }
