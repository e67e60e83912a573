"""TLS that DestinationRules open where it hardly belongs: to port 80, or around TLS of the application itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from meshd.mesh.named import Lead
from meshd.mesh.rules import MergedRule
from meshd.mesh.survey import Survey
from meshd.names import ServiceHost
from meshd.problems import Origin, Problem, Problems
from meshd.registry.service import Port, Service
from meshd.resources.destination_rule import TrafficPolicy
from meshd.resources.traffic_policy import ClientTLSSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class _Twice:
    """TLS opened to a port at which applications speak TLS already."""

    service: Service
    port: Port
    at: Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    to_80: Problems
    twice: tuple[_Twice, ...]


_NOTHING = _Opened(to_80=(), twice=())


def doubtful_tls(survey: Survey) -> Iterator[Problem]:
    if survey.has("tls"):
        for host, services in survey.mesh.services.items():
            for _, rules in islice(survey.rules.covering(host), 1):  # no rule inherits from a wider one
                opened = survey.memo.recall(_opened, services, rules)
                yield from opened.to_80
                yield from _inside_tls(opened.twice, survey.leads)


def _opened(services: tuple[Service, ...], rules: tuple[MergedRule, ...]) -> _Opened:
    policies = [policy for merged in rules if "tls" in merged.traits for policy in merged.policies]
    if not policies:
        return _NOTHING
    opened = [
        (service, port, tls)
        for policy in policies
        for service in services
        for port in service.ports
        for tls in _tls_to(policy, port)
    ]
    return _Opened(
        to_80=tuple(
            _to_80(service, port, tls)
            for service, port, tls in opened
            if tls.mode != "ISTIO_MUTUAL" and _endpoint_port(service, port) == 80  # a proxy of the mesh listens there
        ),
        twice=tuple(
            _Twice(service=service, port=port, at=tls.origin)
            for service, port, tls in opened
            if port.family == "tls" and tls.mode != "ISTIO_MUTUAL"  # the peer's proxy takes off what this one put on
        ),
    )


def _to_80(service: Service, port: Port, tls: ClientTLSSettings) -> Problem:
    return Problem(
        code="W-TLS-ON-80",
        at=tls.origin,
        message=f"opens TLS to port 80 of {service.host} ({port.origin})",
        hint="set targetPort: 443 there, or portLevelSettings here",
    )


def _inside_tls(
    twice: tuple[_Twice, ...], leads: Callable[[], Mapping[ServiceHost, frozenset[Lead]]]
) -> Iterator[Problem]:
    """Where requests in plain text are led to the port, or a gateway may have ended the TLS, it is just right."""
    for each in twice:
        led = leads().get(each.service.host, frozenset())
        if not any(lead.is_to(each.service, each.port) and (lead.speaks == "http" or lead.by_gateway) for lead in led):
            yield Problem(
                code="W-TLS-TWICE",
                at=each.at,
                message=f"opens TLS to port {each.port.number} of {each.service.host}, which is {each.port.protocol} "
                f"({each.port.origin}): applications speak TLS there already, and it would be TLS inside TLS",
                hint="leave it to the application, or make it an HTTP port that is called in plain text",
            )


def _tls_to(policy: TrafficPolicy, port: Port) -> Iterator[ClientTLSSettings]:
    """Spec 6.2: what is said of a port replaces the whole policy."""
    level = next((each for each in policy.port_level_settings if each.port.number == port.number), policy)
    if level.tls is not None and level.tls.mode != "DISABLE":
        yield level.tls


def _endpoint_port(service: Service, port: Port) -> int:
    """Where its endpoints answer; the first stands for all."""
    return next((instance.port_for(port) for instance in service.instances_of(port)), port.target_port)
