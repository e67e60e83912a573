"""What stands around the older objects in a revision, as far as their conversion depends on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from meshd.names import ServiceHost
from meshd.registry.service import Service
from meshd.registry.settings import MeshSettings
from meshd.resources.destination_rule import DestinationRule
from meshd.resources.gateway import Gateway
from meshd.resources.service_entry import ServiceEntry
from meshd.resources.virtual_service import VirtualService
from meshd.resources.workload_entry import WorkloadEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """All of today's objects in the order of spec 2.6; `services` are made of the `service_entries`.

    `workloads` have what their groups give them. `is_whole`: what is not here is not there; else rules are converted
    without the services that they are about, of which nothing is said then.
    """

    settings: MeshSettings = field(default_factory=MeshSettings)
    services: Mapping[ServiceHost, tuple[Service, ...]] = field(default_factory=dict)
    service_entries: tuple[ServiceEntry, ...] = ()
    virtual_services: tuple[VirtualService, ...] = ()
    destination_rules: tuple[DestinationRule, ...] = ()
    gateways: tuple[Gateway, ...] = ()
    workloads: tuple[WorkloadEntry, ...] = ()
    is_whole: bool = True


def surroundings(  # noqa: PLR0917  (a recalled function has no keywords)
    settings: MeshSettings,
    services: Mapping[ServiceHost, tuple[Service, ...]],
    service_entries: tuple[ServiceEntry, ...],
    virtual_services: tuple[VirtualService, ...],
    destination_rules: tuple[DestinationRule, ...],
    gateways: tuple[Gateway, ...],
    workloads: tuple[WorkloadEntry, ...],
    is_whole: bool,  # noqa: FBT001
) -> Surroundings:
    """To be recalled: the very same object while its parts are."""
    return Surroundings(
        settings=settings,
        services=services,
        service_entries=service_entries,
        virtual_services=virtual_services,
        destination_rules=destination_rules,
        gateways=gateways,
        workloads=workloads,
        is_whole=is_whole,
    )
