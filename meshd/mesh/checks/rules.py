"""DestinationRules that do nothing, contradict each other, or open TLS to a port that hardly speaks it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

from meshd.mesh.rules import MergedRule
from meshd.mesh.survey import Survey
from meshd.names import ServiceHost
from meshd.problems import Origin, Problem, Problems
from meshd.registry.host_table import HostTable
from meshd.registry.service import Port, Service
from meshd.resources.destination_rule import TrafficPolicy
from meshd.resources.traffic_policy import ClientTLSSettings

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


def tls_on_80(survey: Survey) -> Iterator[Problem]:
    """TLS that is opened to port 80: most likely `targetPort: 443` was forgotten."""
    if survey.memo.recall(_any_tls, survey.mesh.destination_rules):
        for host, services in survey.mesh.services.items():
            for _, rules in islice(survey.rules.covering(host), 1):  # no rule inherits from a wider one
                yield from survey.memo.recall(_to_80, services, rules)


def _any_tls(rules: Rules) -> bool:
    return any(_tls_policies(merged) for group in rules.values() for merged in group)


def _to_80(services: tuple[Service, ...], rules: tuple[MergedRule, ...]) -> Problems:
    return tuple(
        Problem(
            code="W-TLS-ON-80",
            at=at,
            message=f"opens TLS to port 80 of {service.host} ({port.origin})",
            hint="set targetPort: 443 there, or portLevelSettings here",
        )
        for merged in rules
        for policy in _tls_policies(merged)
        for service in services
        for port in service.ports
        for at in _origin_of_tls(policy, port)
        if _endpoint_port(service, port) == 80
    )


def _tls_policies(merged: MergedRule) -> tuple[TrafficPolicy, ...]:
    """The traffic policies of a rule and its subsets that open TLS to some port."""
    policies = (merged.traffic_policy, *(subset.traffic_policy for subset in merged.subsets.values()))
    return tuple(policy for policy in policies if policy and any(map(_is_on, _settings(policy))))


def _settings(policy: TrafficPolicy) -> tuple[ClientTLSSettings | None, ...]:
    return (policy.tls, *(port.tls for port in policy.port_level_settings))


def _is_on(tls: ClientTLSSettings | None) -> bool:
    return tls is not None and tls.mode != "DISABLE"


def _origin_of_tls(policy: TrafficPolicy, port: Port) -> Iterator[Origin]:
    """Spec 6.2: what is said of a port replaces the whole policy."""
    level = next((each for each in policy.port_level_settings if each.port.number == port.number), policy)
    if level.tls is not None and _is_on(level.tls) and port.family != "udp":
        yield level.tls.origin


def _endpoint_port(service: Service, port: Port) -> int:
    """Where its endpoints answer; the first stands for all."""
    return next((instance.port_for(port) for instance in service.instances_of(port)), port.target_port)
