"""The mesh as a proxy sees it that knows no original destination: some services are found by name instead (C-EG-02)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from meshd.memo import Memo
from meshd.mesh.mesh import Mesh
from meshd.names import ServiceHost
from meshd.registry.service import Service

_Services = Mapping[ServiceHost, tuple[Service, ...]]


def uncaptured(mesh: Mesh, memo: Memo) -> Mesh:
    """The very same mesh, mostly: few services have another resolution where nothing is captured."""
    services = memo.recall(_by_name, mesh.services, memo)
    return mesh if services is mesh.services else replace(mesh, services=services)


def _by_name(services: _Services, memo: Memo) -> _Services:
    differing = {
        host: tuple(memo.recall(_resolved, each) for each in found)
        for host, found in services.items()
        if any(each.resolution_without_capture for each in found)
    }
    return {**services, **differing} if differing else services


def _resolved(service: Service) -> Service:
    return replace(service, resolution=service.resolution_without_capture or service.resolution)
