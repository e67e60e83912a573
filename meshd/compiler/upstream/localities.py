"""Where the client stands and the places of a service -> who is tried first, and who has what share (D-19 to D-24).

Whether anybody notices that a place has failed is outlier detection's part: without it no order is made (D-23).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from meshd import plan
from meshd.compiler.host import Host
from meshd.compiler.upstream.distance import covers, distance
from meshd.compiler.upstream.policy import Policy
from meshd.names import Locality
from meshd.plan import Endpoint, LocalityWeight
from meshd.resources.locality import Distribute, Failover, LocalityLoadBalancerSetting, ZoneAwareLoadBalancerSetting

_NOWHERE: Final = Locality()
_LAST_PRIORITY: Final = 128
"""Envoy knows no more."""
_DISTANCES: Final = 5
"""How many there are: sub-zone, zone, region, the region to fail over to, the rest."""


class Place(NamedTuple):
    """An endpoint that has no priority yet, and the labels of what answers there."""

    endpoint: Endpoint
    labels: Mapping[str, str]
    network: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """`weighted`: Envoy must mind the weights of localities, those given here or the sums of their endpoints'."""

    endpoints: tuple[Endpoint, ...]
    weights: tuple[LocalityWeight, ...] = ()
    weighted: bool = False
    zone_aware: plan.ZoneAware | None = None


def spread(places: Sequence[Place], host: Host, policy: Policy) -> Spread:
    """A rule's `localityLbSetting` replaces that of the mesh whole."""
    balancer = policy.load_balancer
    notices = policy.outlier_detection is not None
    if balancer and balancer.zone_aware_lb_setting and balancer.zone_aware_lb_setting.enabled:
        return _zone_aware(places, host, balancer.zone_aware_lb_setting, notices=notices)
    setting = balancer.locality_lb_setting if balancer else None
    if not (setting.enabled if setting else host.settings.locality_lb):
        return _flat(places)
    if setting and setting.distribute:
        return _distributed(places, host.locality, setting.distribute)
    return _failing_over(places, host, setting) if notices else _flat(places)


def _flat(places: Sequence[Place]) -> Spread:
    return Spread(endpoints=tuple(place.endpoint for place in places))


def _distributed(places: Sequence[Place], here: Locality, entries: tuple[Distribute, ...]) -> Spread:
    """D-20: the first entry for the client's locality. What it does not list gets nothing."""
    entry = next((each for each in entries if covers(each.from_, here)), None)
    if entry is None:
        return _flat(places)
    own: dict[Locality, int] = {}
    for place in places:
        own[place.endpoint.locality] = own.get(place.endpoint.locality, 0) + place.endpoint.weight
    shares = _shares(entry.to, own)
    return Spread(
        endpoints=tuple(place.endpoint for place in places if place.endpoint.locality in shares),
        weights=tuple(LocalityWeight(priority=0, locality=each, weight=shares[each]) for each in sorted(shares)),
        weighted=True,
    )


def _shares(to: Mapping[str, int], own: Mapping[Locality, int]) -> dict[Locality, int]:
    """Localities that one pattern covers share its weight by their own, rounded up."""
    shares: dict[Locality, int] = {}
    for pattern, weight in to.items():
        covered = [locality for locality in own if locality not in shares and covers(pattern, locality)]
        total = sum(own[locality] for locality in covered)
        shares.update({locality: -(-own[locality] * weight // total) for locality in covered})
    return shares


def _failing_over(places: Sequence[Place], host: Host, setting: LocalityLoadBalancerSetting | None) -> Spread:
    """D-22, then D-21 inside each group; else D-21 or D-23 alone."""
    labels = setting.failover_priority if setting else ()
    regions = setting.failover if setting else ()
    far = _by_distance(host.locality, regions) if regions or not labels else _equal
    alike = _by_labels(host, labels)
    return Spread(
        endpoints=_compacted(places, lambda place: alike(place) * _DISTANCES + far(place)),
        weighted=bool(labels or regions),
    )


def _zone_aware(places: Sequence[Place], host: Host, setting: ZoneAwareLoadBalancerSetting, *, notices: bool) -> Spread:
    """D-24: Envoy keeps to the zone by itself, but only among what it tries first: that is the own region."""
    alike = _by_labels(host, setting.failover_priority if notices else ())
    far = _by_region(host.locality, setting.failover)
    return Spread(
        endpoints=_compacted(places, lambda place: alike(place) * _DISTANCES + far(place)),
        zone_aware=plan.ZoneAware(min_cluster_size=setting.min_cluster_size),
    )


_Rank = Callable[[Place], int]


def _equal(place: Place) -> int:  # noqa: ARG001
    return 0


def _by_distance(here: Locality, failover: tuple[Failover, ...]) -> _Rank:
    """Of the other regions the one to fail over to comes before the rest."""
    if here == _NOWHERE:
        return _equal
    to = _refuge(here, failover)

    def rank(place: Place) -> int:
        there = place.endpoint.locality
        far = distance(there, here)
        return 4 if far == 3 and to and there.region != to else far

    return rank


def _by_region(here: Locality, failover: tuple[Failover, ...]) -> _Rank:
    if here == _NOWHERE:
        return _equal
    to = _refuge(here, failover)

    def rank(place: Place) -> int:
        region = place.endpoint.locality.region
        if region == here.region:
            return 0
        return 1 if region == to else 2

    return rank


def _refuge(here: Locality, failover: tuple[Failover, ...]) -> str | None:
    return next((each.to for each in failover if each.from_ == here.region), None)


def _by_labels(host: Host, wanted: tuple[str, ...]) -> _Rank:
    """How many labels are left when the first differs from the client's, or from the value that is asked for."""
    if not wanted:
        return _equal
    own = _with_topology(host.client.labels, host.locality, host.network)
    pairs = [(key, value if given else own.get(key, "")) for key, given, value in (w.partition("=") for w in wanted)]

    def rank(place: Place) -> int:
        labels = _with_topology(place.labels, place.endpoint.locality, place.network)
        differing = (index for index, (key, value) in enumerate(pairs) if labels.get(key, "") != value)
        return len(pairs) - next(differing, len(pairs))

    return rank


def _with_topology(labels: Mapping[str, str], locality: Locality, network: str) -> dict[str, str]:
    """With the labels that Istio gives each workload for where it runs."""
    topology = {
        "topology.kubernetes.io/region": locality.region,
        "topology.kubernetes.io/zone": locality.zone,
        "topology.istio.io/subzone": locality.subzone,
        "topology.istio.io/network": network,
    }
    return {**labels, **{label: value for label, value in topology.items() if value}}


def _compacted(places: Sequence[Place], rank: _Rank) -> tuple[Endpoint, ...]:
    """Priorities must be without gaps, so the ranks that do occur are numbered from 0."""
    ranks = [rank(place) for place in places]
    numbers = {each: min(number, _LAST_PRIORITY) for number, each in enumerate(sorted(set(ranks)))}
    return tuple(replace(place.endpoint, priority=numbers[own]) for place, own in zip(places, ranks, strict=True))
