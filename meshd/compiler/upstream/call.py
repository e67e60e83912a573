"""What becomes one cluster: a port of a service, or a subset of it, as one proxy of this host calls it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from meshd.compiler.host import Host
from meshd.compiler.upstream.policy import Policy, effective_policy
from meshd.mesh.rules import MergedRule
from meshd.names import ClusterName, ProxyName, SubsetName, cluster_name
from meshd.problems import Origin
from meshd.registry.service import Port, Service
from meshd.resources.extras import EXTRAS, extras_place


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """`policy` is the effective one. `labels`: what an instance must carry to be called."""

    name: ClusterName
    service: Service
    port: Port
    subset: str
    labels: Mapping[str, str]
    policy: Policy
    host: Host
    proxy: ProxyName
    origin: Origin


def call(service: Service, port: Port, subset: str, *, rule: MergedRule | None, host: Host, proxy: ProxyName) -> Call:
    return Call(
        name=cluster_name(service.host, port.number, SubsetName(subset)),
        service=service,
        port=port,
        subset=subset,
        labels=rule.subsets[subset].labels if rule and subset else {},
        policy=effective_policy(rule, subset, port.number),
        host=host,
        proxy=proxy,
        origin=_origin(rule, port, subset),
    )


def _origin(rule: MergedRule | None, port: Port, subset: str) -> Origin:
    """What Envoy may refuse in a cluster is its policy; without one, the port is all there is.

    Most of all it may refuse what is said in its own words, which nobody else understood.
    """
    if rule is None:
        return port.origin
    own = subset if subset in rule.extras_of_subsets else ""
    if own or rule.extras:
        return _place_of_extras(rule, own)
    return rule.subsets[subset].origin if subset else rule.origin


def _place_of_extras(rule: MergedRule, subset: str) -> Origin:
    """The annotation; or the older policy, from which a conversion made one."""
    holder = next(each for each in rule.rules if EXTRAS in each.metadata.annotations)
    resource = holder.origin.resource
    if resource and resource.kind == holder.KIND:
        return extras_place(holder.metadata)
    said = rule.subsets[subset] if subset else rule
    return said.traffic_policy.origin if said.traffic_policy else said.origin
