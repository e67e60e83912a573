"""ServiceEntry: a service, and where it runs (spec section 7)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar, Final, Literal

from meshd.fields import (
    Between,
    Count,
    HostText,
    Message,
    Port,
    dns_label,
    export_target,
    fqdn,
    ip_or_cidr,
    is_ip,
    service_host,
)
from meshd.problems import Problem, nearest
from meshd.resources.extras import ServiceEntryExtras, check_extras, read_extras
from meshd.resources.finding import doubtful, invalid
from meshd.resources.host_name import check_exports, is_partial_wildcard, is_wildcard
from meshd.resources.protocol import PROTOCOLS, Family, Protocol, family, named_protocol, port_protocol
from meshd.resources.resource import Resource, WorkloadSelector
from meshd.resources.workload_entry import Workload

Location = Literal["MESH_EXTERNAL", "MESH_INTERNAL"]
Resolution = Literal["NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS"]

_WITH_A_NAME: Final[frozenset[Protocol]] = frozenset({"HTTP", "HTTP2", "GRPC", "TLS"})
"""Whose clients say, by Host or SNI, the name that they want (spec 7.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePort(Message):
    number: Port
    name: Annotated[str, dns_label]
    protocol: str = ""
    target_port: Annotated[int, Between(0, 65535)] | None = None

    def check(self) -> Iterator[Problem]:
        """Spec 3.5."""
        at = self.origin.at("protocol")
        if self.protocol and self.protocol.upper() not in PROTOCOLS:
            yield invalid(at, f"{self.protocol!r} is not a protocol", nearest(self.protocol.upper(), PROTOCOLS))
        elif not self.protocol and named_protocol(self.name) is None:
            hint = "give it a protocol, or a name such as 'http-web'"
            yield Problem(code="W-PORT-PROTOCOL", at=at, message=f"port {self.number} is taken for TCP", hint=hint)
        elif self.speaks == "udp":
            yield Problem(code="W-UDP-IGNORED", at=at, message=f"UDP port {self.number} is left out")

    @property
    def settled_protocol(self) -> Protocol:
        return port_protocol(self.protocol, self.name)

    @property
    def speaks(self) -> Family:
        return family(self.settled_protocol)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceEntry(Resource):
    KIND: ClassVar[str] = "ServiceEntry"

    hosts: Annotated[tuple[Annotated[HostText, service_host], ...], Count(1, 256)]
    addresses: Annotated[tuple[Annotated[str, ip_or_cidr, Count(0, 64)], ...], Count(0, 256)] = ()
    ports: Annotated[tuple[ServicePort, ...], Count(0, 256)] = ()
    location: Location = "MESH_EXTERNAL"
    resolution: Resolution = "NONE"
    endpoints: Annotated[tuple[Workload, ...], Count(0, 4096)] = ()
    workload_selector: WorkloadSelector | None = None
    export_to: tuple[Annotated[str, export_target], ...] = ()
    subject_alt_names: tuple[str, ...] = ()

    @property
    def extras(self) -> ServiceEntryExtras:
        return read_extras(ServiceEntryExtras, self.metadata)

    @property
    def looks_up_names(self) -> bool:
        return self.resolution in {"DNS", "DNS_ROUND_ROBIN"}

    def check(self) -> Iterator[Problem]:
        yield from check_exports(self.origin, self.export_to, self.metadata.namespace, nobody=True)
        yield from self._check_hosts()
        yield from self._check_addresses()
        yield from self._check_ports()
        yield from self._check_selector()
        yield from self._check_endpoints()
        yield from check_extras(ServiceEntryExtras, self.metadata)

    def _check_hosts(self) -> Iterator[Problem]:
        """S-1, and 7.1: where no endpoint is named, the hosts themselves are looked up."""
        for index, host in enumerate(self.hosts):
            at = self.origin.at("hosts").item(index)
            if is_partial_wildcard(host) and self.resolution != "DYNAMIC_DNS":
                yield doubtful(
                    at, f"{host!r} is not a whole label", f"write '*.{host.lstrip('*-.')}' for names below it"
                )
            if fqdn(host) and self.looks_up_names and not self.endpoints:
                yield invalid(at, f"{host!r} cannot be looked up", "name endpoints, or the hosts one by one")
            if not is_wildcard(host) and self.resolution == "DYNAMIC_DNS":
                yield invalid(at, f"{host!r} is no wildcard, which DYNAMIC_DNS is for", "set resolution: DNS")

    def _check_addresses(self) -> Iterator[Problem]:
        """S-2. As in Istio, what is written as a CIDR is one, be it of one address only."""
        if self.addresses and self.resolution == "DYNAMIC_DNS":
            yield invalid(self.origin.at("addresses"), "resolution DYNAMIC_DNS goes by names: it has no addresses")
            return
        for index, address in enumerate(self.addresses):
            if "/" in address and self.looks_up_names:
                at = self.origin.at("addresses").item(index)
                yield invalid(at, f"a range ({address}) needs resolution NONE or STATIC, not {self.resolution}")

    def _check_ports(self) -> Iterator[Problem]:
        """S-3, S-4 and S-13."""
        numbers: set[int] = set()
        names: set[str] = set()
        for port in self.ports:
            if port.number in numbers:
                yield invalid(port.origin.at("number"), f"port {port.number} is given twice")
            if port.name in names:
                yield invalid(port.origin.at("name"), f"port name {port.name!r} is given twice")
            numbers.add(port.number)
            names.add(port.name)
            yield from self._check_protocol(port)
            yield from self._check_port_of_many(port)

    def _check_protocol(self, port: ServicePort) -> Iterator[Problem]:
        """S-5, and 7.1."""
        protocol = port.settled_protocol
        if self.resolution == "DYNAMIC_DNS" and protocol not in _WITH_A_NAME:
            message = f"{protocol} says no name to look up: DYNAMIC_DNS is for {', '.join(sorted(_WITH_A_NAME))}"
            yield invalid(port.origin.at("protocol"), message)
        elif protocol == "TCP" and not self.addresses:
            message = f"without addresses this service takes every TCP connection to port {port.number}"
            yield doubtful(port.origin, message, "give it addresses")

    def _check_port_of_many(self, port: ServicePort) -> Iterator[Problem]:
        if len(self.hosts) == 1 or self.resolution == "NONE":
            return
        if not port.protocol or port.speaks in {"tcp", "udp"}:  # an empty protocol counts as TCP, whatever its name
            yield Problem(
                code="E-SE-TCP-MULTIHOST",
                at=port.origin,
                message=f"port {port.number} is not said to be HTTP or TLS: calls to the hosts look alike",
                hint="give it such a protocol, or write one ServiceEntry for each host",
            )
        elif port.speaks == "tls" and self.addresses and self.looks_up_names:
            yield doubtful(port.origin, "several hosts share addresses: a client without SNI reaches any of them")

    def _check_selector(self) -> Iterator[Problem]:
        """S-9 and S-10."""
        if self.workload_selector is None:
            return
        at = self.workload_selector.origin
        if self.endpoints:
            yield Problem(code="E-ONEOF", at=at, message="workloadSelector does not go with endpoints")
        if self.resolution in {"NONE", "DYNAMIC_DNS"}:
            yield doubtful(at, f"with resolution {self.resolution} nobody is selected: the client says where calls go")
        if self.location == "MESH_EXTERNAL":
            yield doubtful(at, "selects workloads of the mesh", "set location: MESH_INTERNAL")

    def _check_endpoints(self) -> Iterator[Problem]:
        """7.1."""
        at = self.origin.at("endpoints")
        if self.endpoints and self.resolution in {"NONE", "DYNAMIC_DNS"}:
            yield invalid(at, f"resolution {self.resolution} has no endpoints", "set resolution: STATIC or DNS")
            return
        if self.resolution == "DNS_ROUND_ROBIN" and len(self.endpoints) > 1:
            yield invalid(at, "resolution DNS_ROUND_ROBIN has one endpoint at most", "set resolution: DNS")
        for endpoint in self.endpoints:
            yield from self._check_endpoint(endpoint)

    def _check_endpoint(self, endpoint: Workload) -> Iterator[Problem]:
        at = endpoint.origin.at("address")
        if endpoint.is_unix and self.looks_up_names:
            yield invalid(at, f"a unix address needs resolution STATIC, not {self.resolution}")
        elif endpoint.is_unix and len(self.ports) != 1:
            yield invalid(at, f"a unix address serves exactly one port, not {len(self.ports)}")
        elif self.looks_up_names and not endpoint.address:
            yield invalid(at, f"without an address there is nothing for resolution {self.resolution} to look up")
        elif self.resolution == "STATIC" and endpoint.address and not endpoint.is_unix and not is_ip(endpoint.address):
            yield invalid(at, f"{endpoint.address!r} is a name, which resolution STATIC does not look up", "set DNS")
        if endpoint.is_srv and len(self.ports) > 1:
            message = f"the SRV records say one port, and calls to all {len(self.ports)} go there"
            yield doubtful(at, message, "write a ServiceEntry for each port")
        known = [port.name for port in self.ports]
        for name in endpoint.ports:
            if name not in known:
                place = endpoint.origin.at("ports").item(name)
                yield invalid(place, f"no port {name!r} in this ServiceEntry", nearest(name, known))
