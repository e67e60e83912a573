"""What is wrong between the resources of a mesh: `CHECKS`, one module per theme. A check tells both ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from meshd.mesh.checks.destinations import destinations
from meshd.mesh.checks.duplicate_hosts import duplicate_hosts
from meshd.mesh.checks.hosts import ambiguous_hosts
from meshd.mesh.checks.rules import duplicate_subsets, tls_on_80, unused_rules
from meshd.mesh.checks.sidecars import ambiguous_sidecars
from meshd.mesh.survey import Survey
from meshd.problems import Problem

Check = Callable[[Survey], Iterator[Problem]]

CHECKS: Final[tuple[Check, ...]] = (
    destinations,
    duplicate_hosts,
    ambiguous_hosts,
    ambiguous_sidecars,
    duplicate_subsets,
    unused_rules,
    tls_on_80,
)
