"""EgressRule: a service outside the mesh, and the ports on which it may be called (inventory ER and ERP)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from meshd.fields import AnyCase, Coded, Count, Message, Needed, ip_or_cidr, is_ip
from meshd.problems import Problem
from meshd.resources.legacy.istio_service import ExternalService
from meshd.resources.legacy.legacy_resource import LegacyResource, PortNumber

EgressProtocol = Literal["HTTP", "HTTPS", "GRPC", "HTTP2", "TCP", "MONGO"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Port(Message):
    """HTTPS is plain HTTP to the application, and TLS to the service (ER-07)."""

    port: Annotated[PortNumber, Needed("E-PORT")]
    protocol: Annotated[EgressProtocol, AnyCase()]

    @property
    def is_tcp(self) -> bool:
        return self.protocol in {"TCP", "MONGO"}


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressRule(LegacyResource):
    """HTTP goes to a domain, a wildcard or an IP address, TCP to an IP address or a CIDR (ER-05, ER-06)."""

    KIND: ClassVar[str] = "EgressRule"

    destination: Annotated[ExternalService, Needed("E-EG-NO-DEST")]
    ports: Annotated[tuple[Port, ...], Coded("E-EG-NO-PORTS", Count(1)), Needed("E-EG-NO-PORTS")]
    use_egress_proxy: bool = False

    def check(self) -> Iterator[Problem]:
        yield from self._check_form()
        counts = Counter(port.port for port in self.ports)
        seen: set[int] = set()
        for port in self.ports:
            if counts[port.port] > 1 and port.port in seen:
                message = f"port {port.port} is given {counts[port.port]} times"
                yield Problem(code="E-EG-DUP-PORT", at=port.origin.at("port"), message=message)
            seen.add(port.port)

    def _check_form(self) -> Iterator[Problem]:
        service = self.destination.service
        is_address = not ip_or_cidr(service)
        for port in self.ports:
            at = port.origin.at("protocol")
            if port.is_tcp and not is_address:
                message = f"{port.protocol} needs an IP address or a CIDR as destination, not {service!r}"
                hint = "a ServiceEntry can have a name and TCP"
                yield Problem(code="E-EG-TCP-DOMAIN", at=at, message=message, hint=hint)
            elif not port.is_tcp and is_address and not is_ip(service):
                message = f"{port.protocol} needs a domain or an IP address as destination, not {service!r}"
                yield Problem(code="E-EG-CIDR-HTTP", at=at, message=message)
