"""IngressRule: what an ingress proxy does with the requests on one of its ports (inventory IR)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

from meshd.fields import Count, Needed, credential_name
from meshd.problems import Problem
from meshd.resources.legacy.istio_service import IstioService
from meshd.resources.legacy.legacy_resource import LegacyResource, PortNumber, Precedence
from meshd.resources.legacy.match import MatchCondition


@dataclass(frozen=True, slots=True, kw_only=True)
class IngressRule(LegacyResource):
    """The RouteRules of the destination apply behind it (IR-05); a destination with one port needs none named."""

    KIND: ClassVar[str] = "IngressRule"
    ONEOFS: ClassVar = (("destination_port", "destination_port_name"),)

    port: PortNumber
    tls_secret: Annotated[str, Count(1), credential_name] | None = None
    precedence: Precedence = 0
    match: MatchCondition | None = None
    destination: Annotated[IstioService, Needed("E-IN-NO-DEST")]
    destination_port: PortNumber | None = None
    destination_port_name: Annotated[str, Count(1)] | None = None

    def check(self) -> Iterator[Problem]:
        """IR-14."""
        yield from self.match.check_udp() if self.match else ()
        if self.destination.labels:
            yield Problem(
                code="E-IN-LABELS",
                at=self.destination.origin.at("labels"),
                message="the destination of an IngressRule is all versions of a service",
                hint="choose versions in a RouteRule",
            )
