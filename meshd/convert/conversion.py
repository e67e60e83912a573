"""The conversion of a revision, told as a story: a pure function, whatever the order of its objects (C-GEN-01)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from meshd.convert.destination_rules import Versions, additional_subsets, destination_rules
from meshd.convert.drafts import Draft, finished
from meshd.convert.edges import edges
from meshd.convert.egress import egress
from meshd.convert.ingress import ingress
from meshd.convert.outside import Outside, outside
from meshd.convert.policies import Policies, policies, report_unrouted
from meshd.convert.report import Report
from meshd.convert.routes import Subsets
from meshd.convert.rules import Ruled, Target, ruled
from meshd.convert.scene import Scene
from meshd.convert.subsets import Labels, labels, renamed, subset_names
from meshd.convert.surroundings import Surroundings
from meshd.convert.virtual_services import virtual_service
from meshd.memo import Memo
from meshd.names import ServiceHost
from meshd.problems import Origin, Problems
from meshd.resources.legacy import DestinationPolicy, EgressRule, IngressRule, LegacyResource, RouteRule
from meshd.resources.resource import Resource
from meshd.resources.virtual_service import VirtualService

L = TypeVar("L", bound=LegacyResource)


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """`resources` by kind, namespace and name; `dormant`: more of them, whose hosts are not there yet (C-HOST-04)."""

    resources: tuple[Resource, ...] = ()
    dormant: tuple[Resource, ...] = ()
    problems: Problems = ()


def convert(legacy: tuple[LegacyResource, ...], stage: Surroundings, memo: Memo) -> Converted:
    legacy = tuple(sorted(legacy, key=lambda each: each.id))
    report = Report()
    there = outside(_of_kind(EgressRule, legacy), report)
    scene = Scene(stage, there, report)
    rules = ruled(_of_kind(RouteRule, legacy), scene)
    governed = policies(_of_kind(DestinationPolicy, legacy), scene)
    versions = _versions(rules, governed, scene)
    subsets: Subsets = {host: each.names for host, each in versions.items()}
    drafts = (
        *_services(rules, subsets, scene),
        *(draft for each in there for draft in egress(each, rules.get(each.host, ()), subsets, scene)),
        *_policies(governed, versions, there, scene),
        *ingress(edges(_of_kind(IngressRule, legacy), scene), rules, subsets, scene),
    )
    report_unrouted(governed, (each for group in rules.values() for each in group), scene)
    _report_thresholds(legacy, report)
    made = finished(drafts, _today(stage), memo)
    waits = [_waits(each, scene) for each in made]
    return Converted(
        resources=tuple(each for each, waiting in zip(made, waits, strict=True) if not waiting),
        dormant=tuple(each for each, waiting in zip(made, waits, strict=True) if waiting),
        problems=report.problems(),
    )


def _waits(resource: Resource, scene: Scene) -> bool:
    """Of what rules alone lead to, for a host that nobody has: it would be an error of today's kinds."""
    if not isinstance(resource, VirtualService) or resource.gateways:
        return False
    return all(scene.is_missing(ServiceHost(host)) for host in resource.hosts)


def _of_kind(kind: type[L], legacy: Iterable[LegacyResource]) -> tuple[L, ...]:
    return tuple(each for each in legacy if isinstance(each, kind))


def _today(stage: Surroundings) -> tuple[Resource, ...]:
    return (*stage.service_entries, *stage.virtual_services, *stage.destination_rules, *stage.gateways)


def _services(rules: Mapping[ServiceHost, tuple[Ruled, ...]], subsets: Subsets, scene: Scene) -> Iterator[Draft]:
    """Those of the mesh; what is outside has its rules with its ServiceEntry."""
    for host, group in rules.items():
        if scene.outside(host) is None:
            yield virtual_service(host, group, subsets, scene)


def _policies(
    governed: Mapping[ServiceHost, Policies],
    versions: Mapping[ServiceHost, Versions],
    there: Iterable[Outside],
    scene: Scene,
) -> Iterator[Draft]:
    nothing = Versions(names={}, origins={}, sources=())
    for host in sorted({*governed, *versions, *(each.host for each in there)}):
        of_host = versions.get(host, nothing)
        if scene.rules_of(host):
            yield from additional_subsets(host, of_host, scene)
        else:
            yield from destination_rules(host, governed.get(host, Policies()), of_host, scene)


# --- versions -------------------------------------------------------------------------------------------------


def _versions(
    rules: Mapping[ServiceHost, tuple[Ruled, ...]], governed: Mapping[ServiceHost, Policies], scene: Scene
) -> Mapping[ServiceHost, Versions]:
    """C-SUB-01: of each host, those that anything routes to, and those with a policy."""
    wanted: dict[ServiceHost, dict[Labels, list[tuple[Origin, LegacyResource]]]] = {}
    for host, labelled, at, source in (*_routed(rules), *_governed(governed, scene)):
        wanted.setdefault(host, {}).setdefault(labelled, []).append((at, source))
    return {host: _named(host, of_host, scene) for host, of_host in sorted(wanted.items())}


_Wanted = tuple[ServiceHost, Labels, Origin, LegacyResource]


def _routed(rules: Mapping[ServiceHost, tuple[Ruled, ...]]) -> Iterator[_Wanted]:
    for each in (each for group in rules.values() for each in group):
        mirrors: tuple[Target, ...] = (each.mirror,) if each.mirror else ()
        for target in (*each.targets, *mirrors):
            if target.labels:
                yield target.host, target.labels, target.origin, each.rule


def _governed(governed: Mapping[ServiceHost, Policies], scene: Scene) -> Iterator[_Wanted]:
    for host, of_host in governed.items():
        for policy in of_host.all:
            if policy.destination.labels and not scene.outside(host):
                yield host, labels(policy.destination.labels), policy.origin, policy


def _named(host: ServiceHost, wanted: Mapping[Labels, list[tuple[Origin, LegacyResource]]], scene: Scene) -> Versions:
    existing = {subset.name: labels(subset.labels) for rule in scene.rules_of(host) for subset in rule.subsets}
    names = subset_names(wanted, existing)
    for version, name in renamed(names):
        if name not in existing:
            at, _ = wanted[version][0]
            message = f"the subset is called {name!r}: another set of labels of {host} would be called the same"
            scene.report.add("N-SUBSET-NAME", at, message)
    return Versions(
        names=names,
        origins={version: given[0][0] for version, given in wanted.items()},
        sources=tuple({source.id: source for given in wanted.values() for _, source in given}.values()),
    )


def _report_thresholds(legacy: tuple[LegacyResource, ...], report: Report) -> None:
    callers = [each for each in legacy if not (isinstance(each, IngressRule) or _has_breaker(each))]
    if callers:
        message = "without a circuit breaker calls are unlimited; in v1alpha1 they were limited by Envoy's own numbers"
        hint = "for 1024 connections, pending and other requests, and 3 retries: circuitBreaker: {simpleCb: {}}"
        report.once("N-THRESHOLDS", callers[0].origin, message, hint)


def _has_breaker(each: LegacyResource) -> bool:
    return isinstance(each, DestinationPolicy) and each.circuit_breaker is not None
