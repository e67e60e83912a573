"""HTTPRoute with destinations -> Forward: where requests go, how long they may take, what is tried again (5.2, 5.4)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from meshd.compiler.custom import custom
from meshd.compiler.destinations import Destinations, Target, Unroutable
from meshd.compiler.http.headers import authority, request_edits, response_edits
from meshd.compiler.http.retries import retry_policy
from meshd.compiler.upstream.load_balancers import hash_key, hashes
from meshd.compiler.upstream.policy import Policy
from meshd.compiler.upstream.upstream import Upstream
from meshd.names import cluster_name
from meshd.plan import Forward, HashKey, Mirror, PathRewrite, WeightedCluster
from meshd.problems import Problems
from meshd.registry.service import Port
from meshd.registry.settings import MeshSettings
from meshd.resources.destination import Destination
from meshd.resources.extras import HTTPRouteExtras
from meshd.resources.virtual_service import HTTPRewrite, HTTPRoute, HTTPRouteDestination, MirrorPercentage

_ALL = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Forwarding:
    """`action` None: some destination cannot be reached from here, and `problems` says why."""

    action: Forward | None
    problems: Problems = ()


def forward(rule: HTTPRoute, extras: HTTPRouteExtras, settings: MeshSettings, destinations: Destinations) -> Forwarding:
    """A destination that is out of reach fails the whole rule: its share must not go to the others unasked."""
    weighted = [(each, destinations.find(each.destination)) for each in _weighty(rule.route)]
    problems = tuple(found.problem for _, found in weighted if isinstance(found, Unroutable))
    if problems:
        return Forwarding(action=None, problems=problems)
    targets = [(each, found) for each, found in weighted if isinstance(found, Target)]
    copies = [(share, destinations.find(destination)) for destination, share in _mirrors(rule)]
    policies = [found.policy for _, found in targets]
    action = Forward(
        destinations=tuple(_weighted_cluster(each, found) for each, found in targets),
        timeout=rule.timeout or None,
        retries=retry_policy(
            rule.retries, settings.default_http_retry_policy, sticky=_is_sticky(policies), extras=extras.retries
        ),
        path_rewrite=_path_rewrite(rule.rewrite),
        authority=(rule.rewrite.authority if rule.rewrite else None) or authority(rule.headers),
        mirrors=tuple(Mirror(cluster=to.cluster, millionths=share) for share, to in copies if isinstance(to, Target)),
        hash_keys=_hash_keys(policies),
        websockets=extras.websocket_upgrade is not False,  # RR-21
        custom=custom(each.custom for each in (extras.timeout, extras.retries) if each),
    )
    return Forwarding(action=action, problems=tuple(to.problem for _, to in copies if isinstance(to, Unroutable)))


def default_forward(upstream: Upstream, port: Port, settings: MeshSettings) -> Forward:
    """To the service itself: no timeout, the mesh's retries (V-80)."""
    policies = [upstream.policy(port)]
    return Forward(
        destinations=(WeightedCluster(cluster=cluster_name(upstream.service.host, port.number)),),
        retries=retry_policy(None, settings.default_http_retry_policy, sticky=_is_sticky(policies)),
        hash_keys=_hash_keys(policies),
    )


def _weighty(route: tuple[HTTPRouteDestination, ...]) -> list[HTTPRouteDestination]:
    """V-53: a single destination takes all, whatever its weight; next to others a weight of 0 is nothing."""
    return [each for each in route if each.weight] if len(route) > 1 else list(route)


def _weighted_cluster(each: HTTPRouteDestination, target: Target) -> WeightedCluster:
    return WeightedCluster(
        cluster=target.cluster,
        weight=each.weight or 100,
        request_headers=request_edits(each.headers),
        response_headers=response_edits(each.headers),
        authority=authority(each.headers),
    )


def _is_sticky(policies: list[Policy]) -> bool:
    return len(policies) == 1 and hashes(policies[0].load_balancer)


def _hash_keys(policies: Iterable[Policy]) -> tuple[HashKey, ...]:
    """One per destination, in order; destinations that hash the same need it only once."""
    keys = (hash_key(policy.load_balancer) for policy in policies)
    return tuple(dict.fromkeys(key for key in keys if key))


def _path_rewrite(rewrite: HTTPRewrite | None) -> PathRewrite | None:
    if rewrite is None:
        return None
    by_regex = rewrite.uri_regex_rewrite
    if by_regex:
        return PathRewrite(regex=by_regex.match, substitution=by_regex.rewrite)
    return None if rewrite.uri is None else PathRewrite(prefix=rewrite.uri)


def _mirrors(rule: HTTPRoute) -> Iterator[tuple[Destination, int]]:
    """Who gets copies, and of how many millionths of the requests; nobody of none."""
    asked = [(each.destination, _share(each.percentage)) for each in rule.mirrors]
    if rule.mirror:
        asked.append((rule.mirror, _share(rule.mirror_percentage)))
    yield from ((destination, share) for destination, share in asked if share)


def _share(percentage: MirrorPercentage | None) -> int:
    return _ALL if percentage is None else round(percentage.value * 10_000)
