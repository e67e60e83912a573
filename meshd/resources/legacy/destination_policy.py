"""DestinationPolicy: how the hosts of a service, or of a version of it, are called (inventory DP)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

from meshd.fields import Needed
from meshd.problems import Problem
from meshd.resources.finding import doubtful
from meshd.resources.legacy.circuit_breaker import CircuitBreaker
from meshd.resources.legacy.custom import IN_POLICY, Custom, check_custom
from meshd.resources.legacy.istio_service import IstioService
from meshd.resources.legacy.legacy_resource import LegacyResource
from meshd.resources.legacy.load_balancing import LoadBalancing


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationPolicy(LegacyResource):
    """The labels of the destination are one version of it; `source` limits the policy to its callers (DP-05, DP-06)."""

    KIND: ClassVar[str] = "DestinationPolicy"

    destination: Annotated[IstioService, Needed("E-DP-NO-DEST")]
    source: IstioService | None = None
    load_balancing: LoadBalancing | None = None
    circuit_breaker: CircuitBreaker | None = None
    custom: Custom | None = None

    def check(self) -> Iterator[Problem]:
        if not (self.load_balancing or self.circuit_breaker or self.custom is not None):
            yield doubtful(self.origin, "a policy without loadBalancing and circuitBreaker sets only the defaults")
        yield from check_custom(self.custom, self.origin.at("custom"), IN_POLICY)
