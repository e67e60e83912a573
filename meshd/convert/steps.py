"""The steps of a conversion, each of which depends on a few objects and hosts, and is recalled while they are the same.

A step takes its inputs one by one, as a memo knows them; it tells them apart by their types.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from meshd.convert.destination_rules import additional_subsets, destination_rules, report_overruled
from meshd.convert.drafts import Draft
from meshd.convert.edges import Edge, resolved
from meshd.convert.egress import egress
from meshd.convert.egress_hop import hop_rule
from meshd.convert.ingress import gateway, virtual_service_of
from meshd.convert.neighbours import Frame, Neighbour
from meshd.convert.outside import Outside
from meshd.convert.policies import Policies, policies, report_unrouted
from meshd.convert.report import Findings, Report
from meshd.convert.routes import Subsets
from meshd.convert.rules import Ruled, ruled
from meshd.convert.scene import Scene
from meshd.convert.versions import Named, Names, Versions, Want, wanted_by_policies, wanted_by_rules
from meshd.convert.virtual_services import virtual_service
from meshd.names import ServiceHost
from meshd.resources.legacy import DestinationPolicy, IngressRule, RouteRule

T = TypeVar("T")
Wants = Mapping[ServiceHost, tuple[Want, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuledHost:
    """The RouteRules of a host that count, in their order. `wants`: the versions that they lead to, by host."""

    host: ServiceHost
    rules: tuple[Ruled, ...]
    wants: Wants
    findings: Findings


@dataclass(frozen=True, slots=True, kw_only=True)
class GovernedHost:
    """The DestinationPolicies of a host that count."""

    host: ServiceHost
    policies: Policies
    wants: Wants
    findings: Findings


@dataclass(frozen=True, slots=True, kw_only=True)
class Edges:
    edges: tuple[Edge, ...]
    findings: Findings


@dataclass(frozen=True, slots=True, kw_only=True)
class Drafted:
    drafts: tuple[Draft, ...] = ()
    findings: Findings = ()


def rules_of(frame: Frame, host: ServiceHost, *parts: RouteRule | Neighbour) -> RuledHost:
    """`parts`: the rules of the host in their order, and the neighbours."""
    scene = _scene(frame, parts)
    found = ruled(host, _all(RouteRule, parts), scene)
    return RuledHost(host=host, rules=found, wants=wanted_by_rules(found), findings=scene.report.findings())


def policies_of(frame: Frame, host: ServiceHost, *parts: DestinationPolicy | Neighbour) -> GovernedHost:
    """`parts`: the policies of the host in their order, and the neighbours."""
    scene = _scene(frame, parts)
    found = policies(host, _all(DestinationPolicy, parts), scene)
    return GovernedHost(
        host=host,
        policies=found,
        wants=wanted_by_policies(host, found, scene),
        findings=scene.report.findings(),
    )


def routes_to(frame: Frame, each: RuledHost, *parts: Names | Neighbour) -> Drafted:
    """`parts`: what versions are called of all hosts that the rules lead to, and the neighbours."""
    scene = _scene(frame, parts)
    draft = virtual_service(each.host, each.rules, _subsets(parts), scene)
    return Drafted(drafts=(draft,), findings=scene.report.findings())


def way_out(frame: Frame, there: Outside, *parts: RuledHost | Names | Neighbour) -> Drafted:
    """`parts`: the rules for it, what versions are called, and the neighbours."""
    scene = _scene(frame, parts)
    group = tuple(rule for each in _all(RuledHost, parts) for rule in each.rules)
    drafts = tuple(egress(there, group, _subsets(parts), scene))
    return Drafted(drafts=drafts, findings=scene.report.findings())


def hops(frame: Frame, *parts: Outside | Neighbour) -> Drafted:
    """`parts`: all that uses the egress proxy, and the neighbours."""
    scene = _scene(frame, parts)
    return Drafted(drafts=tuple(hop_rule(_all(Outside, parts), scene)), findings=scene.report.findings())


def policy_of(
    frame: Frame, host: ServiceHost, governed: GovernedHost | None, named: Named | None, *neighbours: Neighbour
) -> Drafted:
    scene = _scene(frame, neighbours)
    own = governed.policies if governed else Policies()
    versions = named.versions if named else Versions(names={}, origins={}, sources=())
    report_unrouted(host, own, versions.routed, scene)
    if scene.rules_of(host):
        drafts = tuple(additional_subsets(host, versions, scene))
    else:
        drafts = tuple(destination_rules(host, own, versions, scene))
        report_overruled(host, drafts, scene)
    return Drafted(drafts=drafts, findings=scene.report.findings())


def edges_of(frame: Frame, rule: IngressRule, *neighbours: Neighbour) -> Edges:
    scene = _scene(frame, neighbours)
    return Edges(edges=tuple(resolved(rule, scene)), findings=scene.report.findings())


def gateway_of(frame: Frame, namespace: str, *edges: Edge) -> Drafted:
    """`edges`: those of one server, in their order."""
    return Drafted(drafts=(gateway(edges, namespace, frame.settings),))


def routes_from(frame: Frame, namespace: str, host: str, *parts: Edge | RuledHost | Names | Neighbour) -> Drafted:
    """`parts`: the edges that count for a host, in their order; the rules behind them, and what versions are called;
    the neighbours."""
    scene = _scene(frame, parts)
    rules = {each.host: each.rules for each in _all(RuledHost, parts)}
    draft = virtual_service_of(host, tuple(_all(Edge, parts)), namespace, rules, _subsets(parts), scene)
    return Drafted(drafts=(draft,), findings=scene.report.findings())


# --- inputs, told apart ---------------------------------------------------------------------------------------


def _all(kind: type[T], parts: Iterable[Any]) -> list[T]:
    return [part for part in parts if isinstance(part, kind)]


def _scene(frame: Frame, parts: Iterable[object]) -> Scene:
    return Scene(frame, _all(Neighbour, parts), Report())


def _subsets(parts: Iterable[object]) -> Subsets:
    return {each.host: dict(each.pairs) for each in _all(Names, parts)}
