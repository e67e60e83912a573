"""Which versions of a host rules and policies speak of, and what each is called as a subset (C-SUB)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from meshd.convert.policies import Policies
from meshd.convert.report import Findings, Report
from meshd.convert.rules import Ruled
from meshd.convert.scene import Scene
from meshd.convert.subsets import Labels, labels, renamed, subset_names
from meshd.memo import Memo
from meshd.names import ServiceHost
from meshd.problems import Origin
from meshd.resources.destination_rule import DestinationRule
from meshd.resources.legacy import DestinationPolicy, RouteRule


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """That a version is a subset of its host. `is_routed`: requests of its own come to it, not copies alone."""

    host: ServiceHost
    labels: Labels
    origin: Origin
    source: RouteRule | DestinationPolicy
    is_routed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """What each version of a host is called, and who speaks of it first. `routed`: those that rules lead to."""

    names: Mapping[Labels, str]
    origins: Mapping[Labels, Origin]
    sources: tuple[RouteRule | DestinationPolicy, ...]
    routed: frozenset[Labels] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Of the versions of one host; equal ones are one object, so that who depends on them alone need not look again."""

    host: ServiceHost
    pairs: tuple[tuple[Labels, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    versions: Versions
    names: Names
    findings: Findings

    @property
    def sources(self) -> tuple[RouteRule | DestinationPolicy, ...]:
        return self.versions.sources


def wanted_by_rules(group: Iterable[Ruled]) -> Mapping[ServiceHost, tuple[Want, ...]]:
    return _by_host(want for each in group for want in _of_rule(each))


def wanted_by_policies(host: ServiceHost, policies: Policies, scene: Scene) -> Mapping[ServiceHost, tuple[Want, ...]]:
    found = [] if scene.outside(host) else [policy for policy in policies.all if policy.destination.labels]
    return _by_host(
        Want(host=host, labels=labels(policy.destination.labels), origin=policy.origin, source=policy)
        for policy in found
    )


def named(memo: Memo, host: ServiceHost, rules: tuple[DestinationRule, ...], *wanted: tuple[Want, ...]) -> Named:
    """C-SUB-01. `rules`: those of today for the host."""
    wants = [want for group in wanted for want in group]
    first: dict[Labels, Want] = {}
    for want in wants:
        first.setdefault(want.labels, want)
    report = Report()
    existing = {subset.name: labels(subset.labels) for rule in rules for subset in rule.subsets}
    names = subset_names(first, existing)
    for version, name in renamed(names):
        if name not in existing:
            message = f"the subset is called {name!r}: another set of labels of {host} would be called the same"
            report.add("N-SUBSET-NAME", first[version].origin, message)
    return Named(
        versions=Versions(
            names=names,
            origins={version: want.origin for version, want in first.items()},
            sources=tuple({id(want.source): want.source for group in _grouped(wants) for want in group}.values()),
            routed=frozenset(want.labels for want in wants if want.is_routed),
        ),
        names=memo.same(Names(host=host, pairs=tuple(sorted(names.items(), key=lambda pair: pair[1])))),
        findings=report.findings(),
    )


def _grouped(wants: Iterable[Want]) -> Iterable[list[Want]]:
    """By their labels, those that come first before the others."""
    groups: dict[Labels, list[Want]] = {}
    for want in wants:
        groups.setdefault(want.labels, []).append(want)
    return groups.values()


def _of_rule(each: Ruled) -> Iterator[Want]:
    for target in each.targets:
        if target.labels:
            yield Want(host=target.host, labels=target.labels, origin=target.origin, source=each.rule, is_routed=True)
    if each.mirror and each.mirror.labels:
        yield Want(host=each.mirror.host, labels=each.mirror.labels, origin=each.mirror.origin, source=each.rule)


def _by_host(wants: Iterable[Want]) -> Mapping[ServiceHost, tuple[Want, ...]]:
    found: dict[ServiceHost, list[Want]] = {}
    for want in wants:
        found.setdefault(want.host, []).append(want)
    return {host: tuple(group) for host, group in found.items()}
