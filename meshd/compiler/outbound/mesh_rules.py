"""Which VirtualService has the word on a host, for requests or connections of the mesh's own clients (spec 7.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from meshd.mesh.visibility import Scope, is_for_mesh
from meshd.names import ServiceHost
from meshd.resources.l4_routes import TCPRoute, TLSRoute
from meshd.resources.virtual_service import HTTPRoute, VirtualService

Block = Literal["http", "tls", "tcp"]
"""The block of a VirtualService that holds the rules."""

Rule = HTTPRoute | TLSRoute | TCPRoute


def rules_for_mesh(within: Scope, block: Block) -> dict[ServiceHost, VirtualService]:
    """By each host they name, those that have such rules for sidecars: others leave the host to a wider one."""
    named = within.virtual_services.items()
    return {host: each for host, each in named if _rules(each, block) and is_for_mesh(each)}


def _rules(virtual_service: VirtualService, block: Block) -> Sequence[Rule]:
    match block:
        case "http":
            return virtual_service.http
        case "tls":
            return virtual_service.tls
        case "tcp":
            return virtual_service.tcp
