"""`loadBalancer` of a policy -> where endpoints come from, how a cluster spreads requests, what its routes hash.

Spec D-10 to D-18, D-25 to D-27 and 7.1.
"""

from __future__ import annotations

from typing import Final, Literal

from meshd import plan
from meshd.registry.service import Port, Service
from meshd.resources.traffic_policy import ConsistentHashLB, HTTPCookie, LoadBalancerSettings, SimpleLB

_DEFAULT_RING: Final = 1024
_Simple = Literal["LEAST_REQUEST", "ROUND_ROBIN", "RANDOM"]


def discovery(service: Service, port: Port, settings: LoadBalancerSettings | None) -> plan.Discovery:
    """NONE and PASSTHROUGH go where the connection was going; of these only NONE may have another port (S-6)."""
    if service.resolution == "NONE":
        return plan.OriginalDestination(port=port.target_port if port.target_port != port.number else None)
    if service.resolution == "DYNAMIC_DNS":
        return plan.DynamicDns()
    if settings and settings.simple == "PASSTHROUGH":
        return plan.OriginalDestination()
    return plan.ByEds()


def load_balancer(settings: LoadBalancerSettings | None) -> plan.LoadBalancer:
    if settings is None:
        return plan.SimpleBalancer()
    if settings.consistent_hash:
        return _hashing(settings.consistent_hash)
    policy = _simple(settings.simple)
    warmup = None if policy == "RANDOM" else _warmup(settings)
    return plan.SimpleBalancer(policy=policy, warmup=warmup)


def hashes(settings: LoadBalancerSettings | None) -> bool:
    """The cluster is chosen by a hash, so a retry elsewhere would break the affinity."""
    return settings is not None and settings.consistent_hash is not None


def hash_key(settings: LoadBalancerSettings | None) -> plan.HashKey | None:
    """What a route to such a cluster hashes; None: nothing, so requests are spread at random."""
    chosen = settings.consistent_hash if settings else None
    if chosen is None:
        return None
    if chosen.http_header_name:
        return plan.HashOnHeader(name=chosen.http_header_name.lower())
    if chosen.http_cookie:
        return _cookie(chosen.http_cookie)
    if chosen.use_source_ip:
        return plan.HashOnSourceIp()
    if chosen.http_query_parameter_name:
        return plan.HashOnQueryParameter(name=chosen.http_query_parameter_name)
    return None


def _simple(choice: SimpleLB | None) -> _Simple:
    """PASSTHROUGH balances nothing."""
    if choice in {"ROUND_ROBIN", "RANDOM"}:
        return choice
    return "LEAST_REQUEST"


def _hashing(chosen: ConsistentHashLB) -> plan.LoadBalancer:
    if chosen.maglev:
        return plan.Maglev(table_size=chosen.maglev.table_size)
    size = chosen.ring_hash.minimum_ring_size if chosen.ring_hash else None
    return plan.RingHash(minimum_size=size or _DEFAULT_RING)


def _warmup(settings: LoadBalancerSettings) -> plan.Warmup | None:
    """`warmup` wins over the deprecated `warmupDurationSecs`, which knows the window only."""
    warmup = settings.warmup
    if warmup is None:
        window = settings.warmup_duration_secs
        return plan.Warmup(duration=window) if window else None
    return plan.Warmup(
        duration=warmup.duration,
        minimum_percent=10.0 if warmup.minimum_percent is None else warmup.minimum_percent,
        aggression=1.0 if warmup.aggression is None else warmup.aggression,
    )


def _cookie(cookie: HTTPCookie) -> plan.HashOnCookie:
    attributes = tuple((attribute.name, attribute.value) for attribute in cookie.attributes)
    return plan.HashOnCookie(name=cookie.name, path=cookie.path, ttl=cookie.ttl, attributes=attributes)
