"""The mesh of one revision: all its resources, indexed for the questions the compiler asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from meshd.mesh.rules import MergedRule
from meshd.names import HostName, Namespace, ServiceHost
from meshd.registry.service import Service
from meshd.registry.settings import MeshSettings
from meshd.resources.gateway import Gateway
from meshd.resources.sidecar import Sidecar
from meshd.resources.virtual_service import VirtualService
from meshd.resources.workload_entry import WorkloadEntry
from meshd.resources.workload_group import WorkloadGroup


@dataclass(frozen=True, slots=True, kw_only=True)
class Mesh:
    """Every tuple is in the order of spec 2.6. Hosts are complete (spec 3.1) and lower case wherever they are keys.

    `services`: by host; several when the host is found in several namespaces.
    `virtual_services` and `destination_rules`: by each complete host they name, wildcards included; rules for one
    host that speak with one voice are merged already. `selection.py` and `visibility.py` ask them for a client.
    `workload_groups`: by namespace and name.
    `workloads`: by the name of the VM, from the entry's name or its `meshd.io/host` annotation.
    """

    settings: MeshSettings = field(default_factory=MeshSettings)
    services: Mapping[ServiceHost, tuple[Service, ...]] = field(default_factory=dict)
    virtual_services: Mapping[ServiceHost, tuple[VirtualService, ...]] = field(default_factory=dict)
    destination_rules: Mapping[ServiceHost, tuple[MergedRule, ...]] = field(default_factory=dict)
    gateways: tuple[Gateway, ...] = ()
    sidecars: tuple[Sidecar, ...] = ()
    workloads: Mapping[HostName, tuple[WorkloadEntry, ...]] = field(default_factory=dict)
    workload_groups: Mapping[tuple[Namespace, str], WorkloadGroup] = field(default_factory=dict)
