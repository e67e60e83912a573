"""TLSRoute and TCPRoute: what becomes of connections (spec 5.10 and 5.11)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Annotated, Self

from meshd.fields import (
    Between,
    Count,
    EmptyIsAbsent,
    HostText,
    Int32,
    LabelMap,
    Message,
    Old,
    fqdn,
    ip_or_cidr,
    is_ip,
    namespace_label,
)
from meshd.problems import Origin, Problem
from meshd.resources.destination import Destination, check_weights
from meshd.resources.finding import doubtful, invalid, legacy
from meshd.resources.gateway_names import check_gateways
from meshd.resources.host_name import subset_of

Subnet = Annotated[str, ip_or_cidr]


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteDestination(Message):
    destination: Destination
    weight: Int32 = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TLSMatchAttributes(Message):
    sni_hosts: Annotated[tuple[HostText, ...], Count(1)]
    destination_subnets: tuple[Subnet, ...] = ()
    port: Annotated[int, Between(0, 65535)] = 0
    source_labels: LabelMap = field(default_factory=dict)
    gateways: tuple[str, ...] = ()
    source_namespace: Annotated[str, namespace_label, EmptyIsAbsent()] | None = None

    def check(self) -> Iterator[Problem]:
        yield from check_gateways(self.gateways, self.origin.at("gateways"))

    def check_sni_hosts(self, hosts: tuple[str, ...], *, at_gateways: bool) -> Iterator[Problem]:
        """V-101. `hosts`: of the VirtualService; `at_gateways`: it is bound to gateways alone."""
        for index, sni_host in enumerate(self.sni_hosts):
            yield from _check_sni_host(sni_host, hosts, self.origin.at("sniHosts").item(index), at_gateways=at_gateways)

    def conditions(self) -> tuple[object, ...]:
        """All that is asked, so that equal conditions are equal values."""
        return (tuple(sorted(host.lower() for host in self.sni_hosts)), *_asked(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class TLSRoute(Message):
    match: Annotated[tuple[TLSMatchAttributes, ...], Count(1)]
    route: Annotated[tuple[RouteDestination, ...], Count(1)]

    def check(self) -> Iterator[Problem]:
        yield from check_weights(tuple(to.weight for to in self.route), self.origin.at("route"))


@dataclass(frozen=True, slots=True, kw_only=True)
class L4MatchAttributes(Message):
    """`destination_subnet` is what `destination_subnets` was in 2018: one, or several."""

    destination_subnets: tuple[Subnet, ...] = ()
    port: Annotated[int, Between(0, 65535)] = 0
    source_subnet: Annotated[str, ip_or_cidr, EmptyIsAbsent()] | None = None
    source_labels: LabelMap = field(default_factory=dict)
    gateways: tuple[str, ...] = ()
    source_namespace: Annotated[str, namespace_label, EmptyIsAbsent()] | None = None
    destination_subnet: Annotated[Subnet | tuple[Subnet, ...], Old("destinationSubnets")] = ()

    def check(self) -> Iterator[Problem]:
        yield from check_gateways(self.gateways, self.origin.at("gateways"))
        if self.destination_subnet:
            at = self.origin.at("destinationSubnet")
            yield legacy(at, "this is an old name", "write 'destinationSubnets', which is a list")

    def settled(self) -> Self:
        old = self.destination_subnet
        if not old:
            return self
        subnets = (*self.destination_subnets, *((old,) if isinstance(old, str) else old))
        return replace(self, destination_subnets=subnets, destination_subnet=())

    def conditions(self) -> tuple[object, ...]:
        """All that is asked, so that equal conditions are equal values; falsy ones where nothing is."""
        return (self.source_subnet, *_asked(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class TCPRoute(Message):
    route: Annotated[tuple[RouteDestination, ...], Count(1)]
    match: tuple[L4MatchAttributes, ...] = ()

    def check(self) -> Iterator[Problem]:
        yield from check_weights(tuple(to.weight for to in self.route), self.origin.at("route"))


def is_sni_of_a_cluster(host: str) -> bool:
    """`outbound_.<port>_.<subset>_.<host>`, which AUTO_PASSTHROUGH and mesh mTLS use (spec 4.2 and 6.4)."""
    direction, *rest = host.split("_.", 3)
    if direction != "outbound" or len(rest) != 3:
        return False
    port, _, service = rest
    return port.isdecimal() and not fqdn(service)


def _check_sni_host(sni_host: str, hosts: tuple[str, ...], at: Origin, *, at_gateways: bool) -> Iterator[Problem]:
    name = sni_host.lower().removesuffix(".")
    if is_ip(name):
        yield doubtful(at, f"{sni_host!r} is an address: no client sends it as server name", "use destinationSubnets")
        return
    if name != "*" and fqdn(name.removeprefix("*.")) and not (at_gateways and is_sni_of_a_cluster(name)):
        yield invalid(at, f"{sni_host!r} is not a host name, '*.' and a domain, or '*'")
    elif not any(subset_of(name, host.lower().removesuffix(".")) for host in hosts):
        yield invalid(at, f"{sni_host!r} lies in no host of this VirtualService", f"its hosts are {', '.join(hosts)}")


def _asked(match: TLSMatchAttributes | L4MatchAttributes) -> tuple[object, ...]:
    return (
        tuple(sorted(match.destination_subnets)),
        match.port,
        tuple(sorted(match.source_labels.items())),
        tuple(sorted(match.gateways)),
        match.source_namespace,
    )
