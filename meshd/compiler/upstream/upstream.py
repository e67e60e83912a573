"""A service and the DestinationRule in force for it -> its clusters: one per port, and one per subset of each.

Knows of no route: which of its clusters anybody uses is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from meshd.compiler.custom import custom_policies
from meshd.compiler.host import Host
from meshd.compiler.upstream.call import Call, call
from meshd.compiler.upstream.connection_pools import (
    circuit_breakers,
    connect_timeout,
    retry_budget,
    tcp_keepalive,
    upstream_http,
)
from meshd.compiler.upstream.endpoints import in_order, places
from meshd.compiler.upstream.filtered import filtered
from meshd.compiler.upstream.load_balancers import discovery, load_balancer
from meshd.compiler.upstream.localities import Spread, spread
from meshd.compiler.upstream.outbound_proxy import Way, way
from meshd.compiler.upstream.outliers import healthy_panic_percent, outlier_detection
from meshd.compiler.upstream.policy import Policy
from meshd.compiler.upstream.tls import Origination, origination, withheld
from meshd.mesh.mesh import Mesh
from meshd.mesh.rules import MergedRule
from meshd.mesh.selection import rule_for
from meshd.names import ClusterName, DnsName, ProxyName, ServiceHost, cluster_name
from meshd.plan import (
    ByEds,
    Cluster,
    ClusterEndpoints,
    DnsAddress,
    Endpoint,
    Filtered,
    OriginalDestination,
    Secret,
    Told,
    UpstreamHttp,
)
from meshd.registry.service import Port, Service


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """A service as the clients on this host call it. `policies`: of each of its clusters.

    `endpoints`: of those clusters that have any; those of NONE, PASSTHROUGH and DYNAMIC_DNS are told by the traffic.
    `filtered`: clusters whose protocol has a filter of its own in front. `told`: those that have to be told whom a
    connection is for. `dialled`: those that go where it was going, which only capture can know.
    """

    service: Service
    clusters: tuple[Cluster, ...]
    endpoints: tuple[ClusterEndpoints, ...]
    dns_names: frozenset[DnsName]
    policies: dict[ClusterName, Policy]
    filtered: dict[ClusterName, Filtered]
    told: dict[ClusterName, Told] = field(default_factory=dict)
    dialled: frozenset[ClusterName] = frozenset()
    secrets: tuple[Secret, ...] = ()

    def policy(self, port: Port) -> Policy:
        """What the service's own cluster of a port follows, whatever subsets there are."""
        return self.policies[cluster_name(self.service.host, port.number)]


def upstream(service: Service, host: Host, proxy: ProxyName, *rules: MergedRule) -> Upstream:
    """`rules`: all whose host covers the service's; which of them is in force here, is found out."""
    rule = _in_force(service, host, rules)
    calls = [call(service, *each, rule=rule, host=host, proxy=proxy) for each in _called(service, rule)]
    parts = [_part(each) for each in calls]
    endpoints = tuple(part.endpoints for part in parts if part.endpoints)
    return Upstream(
        service=service,
        clusters=tuple(part.cluster for part in parts),
        endpoints=endpoints,
        dns_names=frozenset(_dns_names(endpoints)),
        policies={each.name: each.policy for each in calls},
        filtered=dict(_filtered(calls, parts)),
        told={part.cluster.name: part.tells for part in parts if part.tells},
        dialled=frozenset(part.cluster.name for part in parts if part.is_dialled),
        secrets=tuple(secret for part in parts for secret in part.secrets),
    )


def _in_force(service: Service, host: Host, rules: tuple[MergedRule, ...]) -> MergedRule | None:
    by_host: dict[ServiceHost, tuple[MergedRule, ...]] = {}
    for rule in rules:
        by_host[rule.host] = (*by_host.get(rule.host, ()), rule)
    return rule_for(Mesh(settings=host.settings, destination_rules=by_host), service, host.client) if rules else None


def _called(service: Service, rule: MergedRule | None) -> Iterator[tuple[Port, str]]:
    """One cluster of DYNAMIC_DNS stands for all hosts that its wildcard covers: nothing in it has labels."""
    for port in service.ports:
        yield port, ""
        for subset in rule.subsets if rule and service.resolution != "DYNAMIC_DNS" else ():
            yield port, subset


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    cluster: Cluster
    endpoints: ClusterEndpoints | None
    secrets: tuple[Secret, ...]
    tells: Told | None

    @property
    def is_dialled(self) -> bool:
        return self.tells == "address" or isinstance(self.cluster.discovery, OriginalDestination)


_NOTHING: Final = Spread(endpoints=())


def _part(each: Call) -> _Part:
    """Of what is withheld there is a cluster, to which routes may lead, and nobody in it."""
    http = upstream_http(each.policy.connection_pool, each.port)
    if withheld(each):
        return _assembled(each, Way(discovery=ByEds(), endpoints=()), http, Origination(), _NOTHING)
    found = discovery(each.service, each.port, each.policy.load_balancer)
    tls = origination(each, http, found)
    share = spread(places(each, tls), each.host, each.policy) if isinstance(found, ByEds) else _NOTHING
    return _assembled(each, way(each, found, share.endpoints), http, tls, share)


def _assembled(each: Call, found: Way, http: UpstreamHttp | None, tls: Origination, share: Spread) -> _Part:
    policy, pool = each.policy, each.policy.connection_pool
    cluster = Cluster(
        name=each.name,
        service=each.service.host,
        port=each.port.number,
        subset=each.subset,
        discovery=found.discovery,
        connect_timeout=connect_timeout(pool, each.host.settings.connect_timeout),
        load_balancer=load_balancer(policy.load_balancer),
        locality_weighted=share.weighted,
        zone_aware=share.zone_aware,
        healthy_panic_percent=healthy_panic_percent(policy.outlier_detection, policy.extras),
        circuit_breakers=circuit_breakers(pool, policy.extras),
        retry_budget=retry_budget(policy.retry_budget),
        outlier_detection=outlier_detection(policy.outlier_detection, policy.extras),
        tcp_keepalive=tcp_keepalive(pool),
        http=http,
        tls=tls.tls,
        mesh_tls=tls.mesh_tls,
        proxy_protocol=policy.proxy_protocol.version if policy.proxy_protocol else None,
        via=found.via,
        led_on=found.tells is not None,
        custom=custom_policies(policy.extras, found.discovery),
        origin=each.origin,
    )
    known = isinstance(found.discovery, ByEds)
    endpoints = _endpoints(cluster, found.endpoints, share, each.service) if known else None
    return _Part(cluster=cluster, endpoints=endpoints, secrets=tls.secrets, tells=found.tells)


def _endpoints(cluster: Cluster, endpoints: tuple[Endpoint, ...], share: Spread, service: Service) -> ClusterEndpoints:
    """An unhealthy endpoint is left out where panic would make use of it (W-17)."""
    return ClusterEndpoints(
        cluster=cluster.name,
        endpoints=in_order(endpoints),
        locality_weights=share.weights,
        drops_unhealthy=cluster.healthy_panic_percent > 0,
        origin=service.origin,
    )


def _filtered(calls: list[Call], parts: list[_Part]) -> Iterator[tuple[ClusterName, Filtered]]:
    for each, part in zip(calls, parts, strict=True):
        by = filtered(each.port.protocol, each.host.settings.features, part.cluster.discovery)
        if by:
            yield each.name, by


def _dns_names(found: tuple[ClusterEndpoints, ...]) -> Iterator[DnsName]:
    for cluster in found:
        for endpoint in cluster.endpoints:
            if isinstance(endpoint.address, DnsAddress):
                yield endpoint.address.name
