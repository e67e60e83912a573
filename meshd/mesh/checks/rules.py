"""DestinationRules that do nothing, or define the same subset twice (spec 6.1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from meshd.mesh.rules import MergedRule
from meshd.mesh.survey import Survey
from meshd.names import ServiceHost
from meshd.problems import Problem, Problems
from meshd.registry.host_table import HostTable
from meshd.registry.service import Service

Services = Mapping[ServiceHost, tuple[Service, ...]]
Rules = Mapping[ServiceHost, tuple[MergedRule, ...]]


def duplicate_subsets(survey: Survey) -> Iterator[Problem]:
    """Spec 6.1: of a subset that merged rules define twice, the first counts."""
    for rules in survey.mesh.destination_rules.values():
        for merged in rules:
            if len(merged.rules) > 1:
                yield from _defined_twice(merged)


def _defined_twice(merged: MergedRule) -> Iterator[Problem]:
    for rule in merged.rules[1:]:
        for subset in rule.subsets:
            first = merged.subsets[subset.name]
            if first is not subset:
                yield Problem(
                    code="W-DR-DUP-SUBSET",
                    at=subset.origin.at("name"),
                    message=f"subset {subset.name!r} of {merged.host} is the one at {first.origin}: this is left out",
                    hint="remove one of the two",
                )


def unused_rules(survey: Survey) -> Iterator[Problem]:
    """Spec 6.1."""
    yield from survey.memo.recall(_unused, survey.mesh.services, survey.mesh.destination_rules, survey.rules)


def _unused(services: Services, rules: Rules, table: HostTable[tuple[MergedRule, ...]]) -> Problems:
    covering = {host for service in services for host, _ in table.covering(service)} if table.has_wildcards else set()
    return tuple(
        Problem(
            code="W-DR-UNUSED",
            at=rule.origin.at("host"),
            message=f"no ServiceEntry has a host that {host} stands for",
        )
        for host, group in rules.items()
        if host not in services and host not in covering
        for merged in group
        for rule in merged.rules
    )
