"""Services of one host in several namespaces: who is in neither of them must know which one it calls (spec 2.3)."""

from __future__ import annotations

from collections.abc import Iterator

from meshd.mesh.survey import Survey
from meshd.problems import Problem
from meshd.registry.service import Service


def namesakes(survey: Survey) -> Iterator[Problem]:
    for services in survey.mesh.services.values():
        if len(services) > 1:
            yield from _hidden(services)


def _hidden(services: tuple[Service, ...]) -> Iterator[Problem]:
    for index, service in enumerate(services):
        for first in services[:index]:
            if _both_seen(first, service) and _meaning(first) != _meaning(service):
                yield Problem(
                    code="W-VALUE",
                    at=service.origin.at("hosts"),
                    message=f"outside of namespace {service.namespace}, {service.host} is the other one, of namespace "
                    f"{first.namespace} ({first.origin})",
                    hint="export this one to its own namespace only: exportTo: ['.']",
                )
                break


def _both_seen(one: Service, other: Service) -> bool:
    """In some third namespace. Each namespace calls its own."""
    if "*" in one.export_to and "*" in other.export_to:
        return True
    names = one.export_to & other.export_to
    names |= other.export_to if "*" in one.export_to else one.export_to if "*" in other.export_to else frozenset()
    return bool(names - {"*", one.namespace, other.namespace})


def _meaning(service: Service) -> tuple[object, ...]:
    """Whatever a client could notice."""
    ports = {(port.number, port.protocol) for port in service.ports}
    places = {(each.address, each.port_for(port)) for port in service.ports for each in service.instances_of(port)}
    return (ports, places, service.resolution, service.location, set(service.addresses))
