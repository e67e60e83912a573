"""The kinds of the mesh, one module each. `KINDS` is the list: a new kind is one module and one line here."""

from __future__ import annotations

from typing import Final

from meshd.resources.destination_rule import DestinationRule
from meshd.resources.gateway import Gateway
from meshd.resources.legacy import LEGACY_KINDS
from meshd.resources.mesh_config import MeshConfig
from meshd.resources.resource import Resource
from meshd.resources.service_entry import ServiceEntry
from meshd.resources.sidecar import Sidecar
from meshd.resources.virtual_service import VirtualService
from meshd.resources.workload_entry import WorkloadEntry
from meshd.resources.workload_group import WorkloadGroup

KINDS: Final[tuple[type[Resource], ...]] = (
    DestinationRule,
    Gateway,
    MeshConfig,
    ServiceEntry,
    Sidecar,
    VirtualService,
    WorkloadEntry,
    WorkloadGroup,
    *LEGACY_KINDS,
)

NOT_YET: Final[dict[str, tuple[str, ...]]] = {}
"""Kinds of the mission's API that this version does not act on: `E-UNSUPPORTED`, never skipped."""
