"""Tunnels that nothing goes through: only connections are tunnelled, HTTP requests are not (spec D-90)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from meshd.mesh.rules import MergedRule
from meshd.mesh.survey import Survey
from meshd.problems import Origin, Problem
from meshd.registry.service import Service


def idle_tunnels(survey: Survey) -> Iterator[Problem]:
    if survey.has("tunnel"):
        for host, services in survey.mesh.services.items():
            for _, rules in islice(survey.rules.covering(host), 1):  # no rule inherits from a wider one
                places = [at for rule in rules if "tunnel" in rule.traits for at in _places(rule)]
                if places and not _takes_connections(survey, services):
                    yield from (_problem(at, services[0]) for at in places)


def _places(merged: MergedRule) -> Iterator[Origin]:
    return (policy.tunnel.origin for policy in merged.policies if policy.tunnel)


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
