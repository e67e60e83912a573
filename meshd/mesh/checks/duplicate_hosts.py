"""Two VirtualServices that one sidecar sees and that name the same host: one and only one may have it (V-8).

At a gateway they are merged instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from meshd.mesh.survey import Survey
from meshd.mesh.visibility import is_for_mesh
from meshd.names import Namespace, ServiceHost
from meshd.problems import Problem
from meshd.registry.precedence import exports
from meshd.resources.virtual_service import VirtualService


def duplicate_hosts(survey: Survey) -> Iterator[Problem]:
    for host, sharing in survey.mesh.virtual_services.items():
        if len(sharing) > 1:
            yield from _overlaps(host, filter(is_for_mesh, sharing))


def _overlaps(host: ServiceHost, sharing: Iterable[VirtualService]) -> Iterator[Problem]:
    seen_in: dict[str, VirtualService] = {}
    for virtual_service in sharing:
        seen = exports(virtual_service.export_to, Namespace(virtual_service.metadata.namespace))
        owners = [seen_in[to] for to in (seen_in if "*" in seen else ("*", *sorted(seen))) if to in seen_in]
        if owners:
            yield _problem(host, virtual_service, owners[0])
        for to in sorted(seen):
            seen_in.setdefault(to, virtual_service)


def _problem(host: ServiceHost, virtual_service: VirtualService, other: VirtualService) -> Problem:
    return Problem(
        code="E-VS-DUP-HOST",
        at=virtual_service.origin.at("hosts"),
        message=f"{host} is routed by {other.id} ({other.origin}) already",
        hint="put the routes of a host into one VirtualService, or export the two to different namespaces",
    )
