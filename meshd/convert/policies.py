"""Which DestinationPolicies count for a host, for which versions of it and which callers (C-DP-04, 05 and 09)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from meshd.convert.matches import is_nobody
from meshd.convert.policy_parts import report_lost
from meshd.convert.scene import Scene, Source
from meshd.convert.subsets import Labels, labels
from meshd.names import ServiceHost
from meshd.resources.legacy.destination_policy import DestinationPolicy

ByLabels = Mapping[Labels, DestinationPolicy]
SourceKey = tuple[ServiceHost, Labels]


@dataclass(frozen=True, slots=True, kw_only=True)
class OfSource:
    source: Source
    policies: ByLabels

    @property
    def first(self) -> DestinationPolicy:
        return min(self.policies.values(), key=order)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """Of one host. No labels are all versions."""

    general: ByLabels = field(default_factory=dict)
    of_sources: tuple[OfSource, ...] = ()

    @property
    def all(self) -> tuple[DestinationPolicy, ...]:
        of_sources = (policy for each in self.of_sources for policy in each.policies.values())
        return tuple(sorted((*self.general.values(), *of_sources), key=order))

    @property
    def versions(self) -> frozenset[Labels]:
        of_sources = (each.policies for each in self.of_sources)
        return frozenset(each for policies in (self.general, *of_sources) for each in policies if each)


def order(policy: DestinationPolicy) -> tuple[str, str]:
    return (policy.metadata.namespace, policy.metadata.name)


def policies(host: ServiceHost, given: Iterable[DestinationPolicy], scene: Scene) -> Policies:
    """`given`: those of a host, in their order."""
    given = tuple(given)
    if scene.is_missing(host):
        message = f"no ServiceEntry has the host {host!r}, so that this policy does nothing"
        scene.report.add("W-DEST-UNKNOWN", given[0].destination.origin, message, near=host)
    by_source: dict[SourceKey | None, dict[Labels, DestinationPolicy]] = {}
    sources: dict[SourceKey, Source] = {}
    for policy in given:
        if _is_mixed(host, policy, scene):
            continue
        key: SourceKey | None = None
        if policy.source:
            source = scene.source(policy.source, policy.metadata.namespace)
            if is_nobody(source, policy.source, scene.report):
                continue
            key = (source.host, labels(source.labels))
            sources[key] = source
        of_source = by_source.setdefault(key, {})
        other = of_source.setdefault(_version(policy, host, scene), policy)
        if other is policy:
            report_lost(policy, scene.report)
        else:
            _report_shadowed(policy, other, scene)
    return _settled(by_source, sources, scene)


def _settled(
    by_source: Mapping[SourceKey | None, ByLabels], sources: Mapping[SourceKey, Source], scene: Scene
) -> Policies:
    general = by_source.get(None, {})
    if frozenset() in general and len(general) > 1:
        first = general[frozenset()]
        message = "also counts for versions with a policy of their own, for what that does not say"
        scene.report.add("N-DP-INHERIT", first.origin, message)
    keys = sorted((key for key in by_source if key), key=lambda key: (key[0], sorted(key[1])))
    return Policies(
        general=general,
        of_sources=tuple(OfSource(source=sources[key], policies=by_source[key]) for key in keys),
    )


def _is_mixed(host: ServiceHost, policy: DestinationPolicy, scene: Scene) -> bool:
    """C-GEN-05."""
    today = scene.rules_of(host)
    if today:
        message = f"this policy is ignored: {today[0].id} ({today[0].origin}) speaks of {host}"
        scene.report.add("W-MIXED-HOST", policy.origin, message, "move the policy there, and remove it here")
    return bool(today)


def _version(policy: DestinationPolicy, host: ServiceHost, scene: Scene) -> Labels:
    given = policy.destination.labels
    if given and scene.outside(host):
        at = policy.destination.origin.at("labels")
        message = f"labels are ignored: {host} is outside the mesh, where nobody knows of versions"
        scene.report.add("W-EG-LABELS", at, message, "remove them")
        return frozenset()
    return labels(given)


def _report_shadowed(policy: DestinationPolicy, other: DestinationPolicy, scene: Scene) -> None:
    message = f"this policy is ignored: {other.id} ({other.origin}) is for the same calls"
    scene.report.add("W-DP-SHADOWED", policy.origin, message, "unite the two")


def report_unrouted(host: ServiceHost, found: Policies, routed: Collection[Labels], scene: Scene) -> None:
    """C-DP-09. `routed`: the versions of the host that some rule leads to."""
    if scene.virtual_service_of(host) or scene.outside(host):
        return
    for policy in found.all:
        version = labels(policy.destination.labels)
        if version and version not in routed:
            at = policy.destination.origin.at("labels")
            message = "no RouteRule routes to these labels, so that this policy takes no effect"
            scene.report.add("W-POLICY-UNROUTED", at, message, "route to them, or remove the labels")
