"""A service and the DestinationRule in force for it -> its clusters: one per port, and one per subset of each.

Knows of no route: which of its clusters anybody uses is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from meshd.compiler.connection_pools import circuit_breakers, connect_timeout, tcp_keepalive, upstream_http
from meshd.compiler.endpoints import endpoints
from meshd.compiler.host import Host
from meshd.compiler.load_balancers import load_balancer
from meshd.compiler.outliers import healthy_panic_percent, outlier_detection
from meshd.compiler.policy import Policy, effective_policy
from meshd.compiler.tls import Origination, upstream_tls
from meshd.mesh.mesh import Mesh
from meshd.mesh.rules import MergedRule
from meshd.mesh.selection import rule_for
from meshd.names import ClusterName, DnsName, ProxyName, ServiceHost, SubsetName, cluster_name
from meshd.plan import Cluster, ClusterEndpoints, DnsAddress, Secret
from meshd.problems import Origin
from meshd.registry.service import Port, Service
from meshd.registry.settings import MeshSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """A service as the clients on this host call it. `policies`: of each of its clusters. NONE has no clusters."""

    service: Service
    clusters: tuple[Cluster, ...]
    endpoints: tuple[ClusterEndpoints, ...]
    dns_names: frozenset[DnsName]
    policies: dict[ClusterName, Policy]
    secrets: tuple[Secret, ...] = ()

    def policy(self, port: Port) -> Policy:
        """What the service's own cluster of a port follows, whatever subsets there are."""
        return self.policies[cluster_name(self.service.host, port.number)]


def is_callable(service: Service, *, captured: bool = False) -> bool:
    """NONE means the address that the client dialled, which only transparent capture can know (spec 7.1)."""
    return captured or service.resolution != "NONE"


def upstream(service: Service, host: Host, proxy: ProxyName, *rules: MergedRule) -> Upstream:
    """`rules`: all whose host covers the service's; which of them is in force here, is found out."""
    rule = _in_force(service, host, rules)
    parts = [_Part(service, rule, port, subset) for port, subset in _parts(service, rule)]
    found = tuple(_endpoints(part, host) for part in parts)
    tls = [upstream_tls(part.policy.tls, service, part.port, host.settings.system_ca_file) for part in parts]
    return Upstream(
        service=service,
        clusters=tuple(_cluster(part, host.settings, each) for part, each in zip(parts, tls, strict=True)),
        endpoints=found,
        dns_names=frozenset(_dns_names(found)),
        policies={part.name: part.policy for part in parts},
        secrets=tuple(secret for each in tls if each for secret in each.secrets),
    )


def _in_force(service: Service, host: Host, rules: tuple[MergedRule, ...]) -> MergedRule | None:
    by_host: dict[ServiceHost, tuple[MergedRule, ...]] = {}
    for rule in rules:
        by_host[rule.host] = (*by_host.get(rule.host, ()), rule)
    return rule_for(Mesh(settings=host.settings, destination_rules=by_host), service, host.client) if rules else None


def _parts(service: Service, rule: MergedRule | None) -> Iterator[tuple[Port, str]]:
    for port in service.ports if is_callable(service) else ():
        yield port, ""
        for subset in rule.subsets if rule else ():
            yield port, subset


class _Part:
    """What becomes one cluster: a port of a service, or a subset of it."""

    __slots__ = ("name", "policy", "port", "rule", "service", "subset")

    def __init__(self, service: Service, rule: MergedRule | None, port: Port, subset: str) -> None:
        self.service = service
        self.rule = rule
        self.port = port
        self.subset = subset
        self.name = cluster_name(service.host, port.number, SubsetName(subset))
        self.policy = effective_policy(rule, subset, port.number)

    @property
    def origin(self) -> Origin:
        """What Envoy may refuse in a cluster is its policy; without one, the port is all there is."""
        if self.rule is None:
            return self.port.origin
        return self.rule.subsets[self.subset].origin if self.subset else self.rule.origin


def _cluster(part: _Part, settings: MeshSettings, origination: Origination | None) -> Cluster:
    policy = part.policy
    pool = policy.connection_pool
    return Cluster(
        name=part.name,
        service=part.service.host,
        port=part.port.number,
        subset=part.subset,
        connect_timeout=connect_timeout(pool, settings.connect_timeout),
        load_balancer=load_balancer(policy.load_balancer),
        healthy_panic_percent=healthy_panic_percent(policy.outlier_detection),
        circuit_breakers=circuit_breakers(pool),
        outlier_detection=outlier_detection(policy.outlier_detection),
        tcp_keepalive=tcp_keepalive(pool),
        http=upstream_http(pool, part.port),
        tls=origination.tls if origination else None,
        origin=part.origin,
    )


def _endpoints(part: _Part, host: Host) -> ClusterEndpoints:
    """Failing over needs somebody who notices failures: without outlier detection all places are equal (D-23)."""
    labels = part.rule.subsets[part.subset].labels if part.rule and part.subset else {}
    near = host.locality if host.settings.locality_lb and part.policy.outlier_detection else None
    return ClusterEndpoints(
        cluster=part.name,
        endpoints=endpoints(part.service, part.port, labels, near),
        origin=part.service.origin,
    )


def _dns_names(found: tuple[ClusterEndpoints, ...]) -> Iterator[DnsName]:
    for cluster in found:
        for endpoint in cluster.endpoints:
            if isinstance(endpoint.address, DnsAddress):
                yield endpoint.address.name
