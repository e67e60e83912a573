"""What is wrong between the resources of a mesh: `CHECKS`, one module per theme. A check tells both ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from meshd.mesh.checks.destinations import destinations
from meshd.mesh.checks.duplicate_hosts import duplicate_hosts
from meshd.mesh.checks.egress_loops import egress_loops
from meshd.mesh.checks.egress_proxies import egress_proxies
from meshd.mesh.checks.gateways import bound_virtual_services, conflicting_servers, idle_gateways
from meshd.mesh.checks.hosts import ambiguous_hosts
from meshd.mesh.checks.http2_errors import http2_errors
from meshd.mesh.checks.namesakes import namesakes
from meshd.mesh.checks.networks import unreachable_networks
from meshd.mesh.checks.outbound_proxies import idle_exemptions
from meshd.mesh.checks.rules import duplicate_subsets, unused_rules
from meshd.mesh.checks.selectors import idle_selectors
from meshd.mesh.checks.sidecars import ambiguous_sidecars
from meshd.mesh.checks.tls import doubtful_tls
from meshd.mesh.checks.tunnels import idle_tunnels
from meshd.mesh.survey import Survey
from meshd.problems import Problem

Check = Callable[[Survey], Iterator[Problem]]

CHECKS: Final[tuple[Check, ...]] = (
    destinations,
    egress_proxies,
    egress_loops,
    bound_virtual_services,
    conflicting_servers,
    idle_gateways,
    duplicate_hosts,
    ambiguous_hosts,
    ambiguous_sidecars,
    namesakes,
    unreachable_networks,
    duplicate_subsets,
    unused_rules,
    idle_selectors,
    idle_tunnels,
    idle_exemptions,
    http2_errors,
    doubtful_tls,
)
