"""Tunnels that nothing goes through: only connections are tunnelled, HTTP requests are not (spec D-90)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from meshd.mesh.rules import MergedRule
from meshd.mesh.survey import Survey
from meshd.names import ServiceHost
from meshd.problems import Origin, Problem
from meshd.registry.service import Service


def idle_tunnels(survey: Survey) -> Iterator[Problem]:
    tunnels = survey.memo.recall(_tunnels, survey.mesh.destination_rules)
    if not tunnels:
        return
    for host, services in survey.mesh.services.items():
        for _, rules in survey.rules.covering(host):
            for at in (at for rule in rules for at in tunnels.get(id(rule), ())):
                if not _takes_connections(survey, services):
                    yield _problem(at, services[0])
            break  # no rule inherits from a wider one


def _tunnels(rules: Mapping[ServiceHost, tuple[MergedRule, ...]]) -> dict[int, tuple[Origin, ...]]:
    """The places of the tunnels of each rule, by the rule's identity."""
    return {id(merged): found for group in rules.values() for merged in group if (found := tuple(_places(merged)))}


def _places(merged: MergedRule) -> Iterator[Origin]:
    for policy in (merged.traffic_policy, *(subset.traffic_policy for subset in merged.subsets.values())):
        if policy and policy.tunnel:
            yield policy.tunnel.origin


def _takes_connections(survey: Survey, services: tuple[Service, ...]) -> bool:
    led = survey.leads().get(services[0].host, frozenset())
    return any(port.family != "http" for service in services for port in service.ports) or any(
        lead.speaks != "http" for lead in led
    )


def _problem(at: Origin, service: Service) -> Problem:
    return Problem(
        code="W-VALUE",
        at=at,
        message=f"only connections are tunnelled, but to {service.host} ({service.origin}) go HTTP requests alone",
        hint="give its port protocol TCP or TLS, or lead a tcp or tls route there",
    )
