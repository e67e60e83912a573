"""DestinationRule -> the policy that one cluster follows, after port levels and subsets had their say (spec 6.2)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, TypeVar

from meshd.mesh.rules import MergedRule
from meshd.resources.destination_rule import (
    PortTrafficPolicy,
    ProxyProtocol,
    RetryBudget,
    TrafficPolicy,
    TunnelSettings,
)
from meshd.resources.extras import PolicyExtras
from meshd.resources.traffic_policy import (
    ClientTLSSettings,
    ConnectionPoolSettings,
    LoadBalancerSettings,
    OutlierDetection,
)

T = TypeVar("T")

_NONE: Final = PolicyExtras()


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What is None has the mesh's default. `tunnel` is for `tls` and `tcp` routes that lead here, not for the cluster.

    `selected`: the rule picked this host by its labels, which is a condition of `credentialName` (D-77).
    """

    load_balancer: LoadBalancerSettings | None = None
    connection_pool: ConnectionPoolSettings | None = None
    outlier_detection: OutlierDetection | None = None
    tls: ClientTLSSettings | None = None
    tunnel: TunnelSettings | None = None
    proxy_protocol: ProxyProtocol | None = None
    retry_budget: RetryBudget | None = None
    selected: bool = False
    extras: PolicyExtras = _NONE


def effective_policy(rule: MergedRule | None, subset: str, port: int) -> Policy:
    """The policy of a service's port, or of one subset of it. `subset` is empty or defined by the rule."""
    if rule is None:
        return Policy()
    base = _level(rule.traffic_policy, port)
    own = rule.subsets[subset].traffic_policy if subset else rule.traffic_policy
    policy = _over(base, own, port) if subset and own else base
    return replace(
        policy,
        tunnel=own.tunnel if own else None,
        selected=rule.selector is not None,
        extras=_extras(rule, subset, own, port),
    )


def _extras(rule: MergedRule, subset: str, own: TrafficPolicy | None, port: int) -> PolicyExtras:
    """A subset inherits what neither its own extras nor its own policy say something else about (C-DP-04)."""
    base = rule.extras or _NONE
    if not subset:
        return base
    extras, said = rule.extras_of_subsets.get(subset, _NONE), _said(own, port)
    breaks = said.connection_pool or said.outlier_detection
    return PolicyExtras(
        max_retries=_first(extras.max_retries, base.max_retries, said.connection_pool),
        max_ejection_percent=_first(extras.max_ejection_percent, base.max_ejection_percent, said.outlier_detection),
        load_balancing=_first(extras.load_balancing, base.load_balancing, said.load_balancer),
        circuit_breaker=_first(extras.circuit_breaker, base.circuit_breaker, breaks),
        cluster=_first(extras.cluster, base.cluster, None),
    )


def _first(own: T | None, base: T | None, instead: object) -> T | None:
    """`instead`: what the subset has in the words of the API, where its extras have none."""
    return own if own is not None or instead else base


def _said(own: TrafficPolicy | None, port: int) -> Policy:
    return _four_parts(_for_port(own, port) or own) if own else Policy()


def _level(policy: TrafficPolicy | None, port: int) -> Policy:
    """A block for the port replaces its level whole: what it leaves out has the mesh's default."""
    if policy is None:
        return Policy()
    block = _for_port(policy, port)
    if block:
        return _four_parts(block)
    return replace(_four_parts(policy), proxy_protocol=policy.proxy_protocol, retry_budget=policy.retry_budget)


def _over(base: Policy, own: TrafficPolicy, port: int) -> Policy:
    """A subset replaces each part that it sets; its block for the port replaces four of them, and sets no other."""
    block = _for_port(own, port)
    if block:
        return replace(_four_parts(block), proxy_protocol=base.proxy_protocol, retry_budget=base.retry_budget)
    return Policy(
        load_balancer=own.load_balancer or base.load_balancer,
        connection_pool=own.connection_pool or base.connection_pool,
        outlier_detection=own.outlier_detection or base.outlier_detection,
        tls=own.tls or base.tls,
        proxy_protocol=own.proxy_protocol or base.proxy_protocol,
        retry_budget=own.retry_budget or base.retry_budget,
    )


def _for_port(policy: TrafficPolicy, port: int) -> PortTrafficPolicy | None:
    return next((block for block in policy.port_level_settings if block.port.number == port), None)


def _four_parts(level: TrafficPolicy | PortTrafficPolicy) -> Policy:
    return Policy(
        load_balancer=level.load_balancer,
        connection_pool=level.connection_pool,
        outlier_detection=level.outlier_detection,
        tls=level.tls,
    )
