"""The conversion of a revision, told as a story: a pure function, whatever the order of its objects (C-GEN-01).

Its steps are recalled: a change costs what depends on it, and comes to the same as a conversion of the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from meshd.convert import edges, policies, rules
from meshd.convert.drafts import finished
from meshd.convert.edges import Edge
from meshd.convert.egress import mixed
from meshd.convert.ingress import by_server, in_virtual_services, namespace_of
from meshd.convert.neighbours import Neighbour, Neighbourhood, Speaker, entries_by_host
from meshd.convert.outside import Outside, by_destination, overlaps, united
from meshd.convert.report import Finding, Report, told
from meshd.convert.steps import (
    Drafted,
    GovernedHost,
    RuledHost,
    edges_of,
    gateway_of,
    hops,
    policies_of,
    policy_of,
    routes_from,
    routes_to,
    rules_of,
    way_out,
)
from meshd.convert.surroundings import Surroundings
from meshd.convert.versions import Named, Names, Want, named
from meshd.memo import Memo
from meshd.names import ServiceHost
from meshd.problems import Problems
from meshd.registry.did_you_mean import Known
from meshd.registry.hosts import canonical
from meshd.resources.destination_rule import DestinationRule
from meshd.resources.legacy import DestinationPolicy, EgressRule, IngressRule, LegacyResource, RouteRule
from meshd.resources.resource import Resource
from meshd.resources.virtual_service import VirtualService

L = TypeVar("L", bound=LegacyResource)
S = TypeVar("S", RouteRule, DestinationPolicy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """`resources` by kind, namespace and name; `dormant`: more of them, whose hosts nobody has yet (C-HOST-04)."""

    resources: tuple[Resource, ...] = ()
    dormant: tuple[Resource, ...] = ()
    problems: Problems = ()


def convert(legacy: tuple[LegacyResource, ...], stage: Surroundings, memo: Memo) -> Converted:
    findings: list[Finding] = []
    there = _outside(_of_kind(EgressRule, legacy), stage, findings, memo)
    hosts = Neighbourhood(stage, there, memo)
    story = _Story(legacy, there, hosts, findings, memo)
    drafted = tuple(story.drafted())
    _report_thresholds(legacy, findings)
    made = finished((draft for each in drafted for draft in each.drafts), stage, memo)
    waits = [_waits(each, hosts) for each in made]
    return Converted(
        resources=tuple(each for each, waiting in zip(made, waits, strict=True) if not waiting),
        dormant=tuple(each for each, waiting in zip(made, waits, strict=True) if waiting),
        problems=told(findings, Known({**stage.services, **{each.host: each for each in there}})),
    )


def _waits(resource: Resource, hosts: Neighbourhood) -> bool:
    """What is about a host that nobody has would be an error of today's kinds, or catch what is sent elsewhere."""
    match resource:
        case DestinationRule():
            return hosts.is_missing(canonical(resource.host))
        case VirtualService(gateways=()):
            return all(hosts.is_missing(canonical(host)) for host in resource.hosts)
        case _:
            return False


def _of_kind(kind: type[L], legacy: Iterable[LegacyResource]) -> list[L]:
    return [each for each in legacy if isinstance(each, kind)]


def _outside(
    given: Iterable[EgressRule], stage: Surroundings, findings: list[Finding], memo: Memo
) -> tuple[Outside, ...]:
    """Those that count."""
    today = memo.recall(entries_by_host, stage.service_entries, memo)
    report = Report()
    found = [memo.recall(united, text, *sharing) for text, sharing in by_destination(given).items()]
    found = [each for each in found if not mixed(each.there, today.get(each.there.host, ()), report)]
    for each in found:
        findings.extend(each.findings)
    findings.extend(report.findings())
    findings.extend(memo.recall(overlaps, *(each.there for each in found if each.there.uses_proxy)))
    return tuple(each.there for each in found)


def _report_thresholds(legacy: tuple[LegacyResource, ...], findings: list[Finding]) -> None:
    """Told of the first by kind, namespace and name."""
    callers = [each for each in legacy if not (isinstance(each, IngressRule) or _has_breaker(each))]
    if callers:
        first = min(callers, key=lambda each: (each.KIND, each.metadata.namespace, each.metadata.name))
        message = "without a circuit breaker calls are unlimited; in v1alpha1 they were limited by Envoy's own numbers"
        hint = "for 1024 connections, pending and other requests, and 3 retries: circuitBreaker: {simpleCb: {}}"
        report = Report()
        report.add("N-THRESHOLDS", first.origin, message, hint)
        findings.extend(report.findings())


def _has_breaker(each: LegacyResource) -> bool:
    return isinstance(each, DestinationPolicy) and each.circuit_breaker is not None


class _Story:
    """What counts of all that is given, by host; and what it comes to. `findings` takes what is found on the way."""

    __slots__ = ("_edges", "_findings", "_frame", "_governed", "_hosts", "_memo", "_named", "_ruled", "_there")

    def __init__(
        self,
        legacy: tuple[LegacyResource, ...],
        there: tuple[Outside, ...],
        hosts: Neighbourhood,
        findings: list[Finding],
        memo: Memo,
    ) -> None:
        self._there = there
        self._hosts = hosts
        self._frame = hosts.frame
        self._findings = findings
        self._memo = memo
        self._ruled = {each.host: each for each in self._rules_that_count(_of_kind(RouteRule, legacy))}
        self._governed = {each.host: each for each in self._policies_that_count(_of_kind(DestinationPolicy, legacy))}
        self._named = self._versions()
        self._edges = tuple(self._edges_in_order(_of_kind(IngressRule, legacy)))

    def drafted(self) -> Iterator[Drafted]:
        for each in self._made():
            self._findings.extend(each.findings)
            yield each

    def _made(self) -> Iterator[Drafted]:
        yield from self._routes()
        yield from self._ways_out()
        yield from self._policies()
        yield from self._ways_in()

    # --- what counts --------------------------------------------------------------------------------------------

    def _rules_that_count(self, given: Iterable[RouteRule]) -> Iterator[RuledHost]:
        for host, group in self._by_host(given, rules.order):
            found = self._memo.recall(rules_of, self._frame, host, *group, *self._around(group))
            self._findings.extend(found.findings)
            if found.rules:
                yield found

    def _policies_that_count(self, given: Iterable[DestinationPolicy]) -> Iterator[GovernedHost]:
        for host, group in self._by_host(given, policies.order):
            found = self._memo.recall(policies_of, self._frame, host, *group, *self._around(group))
            self._findings.extend(found.findings)
            if found.policies.all:
                yield found

    def _by_host(
        self, given: Iterable[S], order: Callable[[S], tuple[int | str, ...]]
    ) -> Iterator[tuple[ServiceHost, list[S]]]:
        groups: dict[ServiceHost, list[S]] = {}
        for each in given:
            groups.setdefault(self._hosts.named_by(each)[0], []).append(each)
        for host in sorted(groups):
            yield host, sorted(groups[host], key=order)

    def _versions(self) -> Mapping[ServiceHost, Named]:
        wants: dict[ServiceHost, list[tuple[Want, ...]]] = {}
        ruled, governed = (
            (each.wants for each in self._ruled.values()),
            (each.wants for each in self._governed.values()),
        )
        for by_host in (*ruled, *governed):
            for host, wanted in by_host.items():
                wants.setdefault(host, []).append(wanted)
        found = {}
        for host in sorted(wants):
            found[host] = self._memo.recall(named, self._memo, host, self._hosts.rules_of(host), *wants[host])
            self._findings.extend(found[host].findings)
        return found

    def _edges_in_order(self, given: Iterable[IngressRule]) -> Iterator[Edge]:
        found: list[Edge] = []
        for rule in sorted(given, key=edges.order):
            resolved = self._memo.recall(edges_of, self._frame, rule, *self._around((rule,)))
            self._findings.extend(resolved.findings)
            found.extend(resolved.edges)
        report = Report()
        edges.check_servers(found, report)
        self._findings.extend(report.findings())
        yield from found

    # --- what it comes to ---------------------------------------------------------------------------------------

    def _routes(self) -> Iterator[Drafted]:
        """Those of the mesh; what is outside has its rules with its ServiceEntry."""
        for each in self._ruled.values():
            if not self._hosts.is_outside(each.host):
                names, around = self._names((each,)), self._around_rules((each,))
                yield self._memo.recall(routes_to, self._frame, each, *names, *around)

    def _ways_out(self) -> Iterator[Drafted]:
        for there in self._there:
            ruled = self._ruled.get(there.host)
            if ruled:
                names, around = self._names((ruled,)), self._around_rules((ruled,))
                yield self._memo.recall(way_out, self._frame, there, ruled, *names, *around)
            else:
                yield self._memo.recall(way_out, self._frame, there, *self._hosts.around((there.host,)))
        proxied = [each for each in self._there if each.uses_proxy]
        if proxied:
            yield self._memo.recall(hops, self._frame, *proxied, *self._hosts.around(()))

    def _policies(self) -> Iterator[Drafted]:
        for host in sorted({*self._governed, *self._named, *(each.host for each in self._there)}):
            governed, versions = self._governed.get(host), self._named.get(host)
            speakers = (*(governed.policies.all if governed else ()), *(versions.sources if versions else ()))
            around = self._around(speakers, host)
            yield self._memo.recall(policy_of, self._frame, host, governed, versions, *around)

    def _ways_in(self) -> Iterator[Drafted]:
        if not self._edges:
            return
        namespace = namespace_of(self._edges)
        for of_server in by_server(self._edges):
            yield self._memo.recall(gateway_of, self._frame, namespace, *of_server)
        for host, of_host in in_virtual_services(self._edges):
            behind = {
                edge.destination: self._ruled[edge.destination] for edge in of_host if edge.destination in self._ruled
            }
            found = [*behind.values()]
            around = self._around((edge.rule for edge in of_host), *self._hosts_of(found))
            yield self._memo.recall(
                routes_from, self._frame, namespace, host, *of_host, *found, *self._names(found), *around
            )

    # --- what a step depends on ---------------------------------------------------------------------------------

    def _names(self, ruled: Iterable[RuledHost]) -> list[Names]:
        """What the versions are called that the rules lead to."""
        return [self._named[host].names for host in sorted({host for each in ruled for host in each.wants})]

    def _around_rules(self, ruled: Iterable[RuledHost]) -> list[Neighbour]:
        return self._hosts.around(self._hosts_of(ruled))

    def _hosts_of(self, ruled: Iterable[RuledHost]) -> Iterator[ServiceHost]:
        return (host for each in ruled for rule in each.rules for host in self._hosts.named_by(rule.rule))

    def _around(self, speakers: Iterable[Speaker], *hosts: ServiceHost) -> list[Neighbour]:
        return self._hosts.around((*hosts, *(host for each in speakers for host in self._hosts.named_by(each))))
