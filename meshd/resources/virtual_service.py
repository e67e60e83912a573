"""VirtualService: what becomes of the requests and connections to a host (spec section 5)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from itertools import combinations
from typing import Annotated, ClassVar

from meshd.fields import HostText, export_target, ip_or_cidr, virtual_host
from meshd.problems import Problem
from meshd.resources.answers import Body, HTTPDirectResponse, HTTPRedirect, HTTPRewrite, RegexRewrite
from meshd.resources.cors import CorsPolicy
from meshd.resources.extras import VirtualServiceExtras, check_extras, check_names, extras_place, read_extras
from meshd.resources.fault import FaultAbort, FaultDelay, HTTPFaultInjection, Percentage
from meshd.resources.finding import doubtful, invalid
from meshd.resources.gateway_names import MESH, check_gateways
from meshd.resources.headers import HeaderOperations, Headers
from meshd.resources.host_name import check_exports, wildcards_over
from meshd.resources.http_match import HTTPMatchRequest
from meshd.resources.http_route import Delegate, HTTPMirrorPolicy, HTTPRoute, HTTPRouteDestination, MirrorPercentage
from meshd.resources.l4_routes import TCPRoute, TLSRoute, is_sni_of_a_cluster
from meshd.resources.narrowed import narrowed_connections, narrowed_requests
from meshd.resources.resource import Resource
from meshd.resources.retry import HTTPRetry
from meshd.resources.unreachable import unreachable, unreachable_connections

__all__ = [
    "Body",
    "CorsPolicy",
    "Delegate",
    "FaultAbort",
    "FaultDelay",
    "HTTPDirectResponse",
    "HTTPFaultInjection",
    "HTTPMatchRequest",
    "HTTPMirrorPolicy",
    "HTTPRedirect",
    "HTTPRetry",
    "HTTPRewrite",
    "HTTPRoute",
    "HTTPRouteDestination",
    "HeaderOperations",
    "Headers",
    "MirrorPercentage",
    "Percentage",
    "RegexRewrite",
    "VirtualService",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualService(Resource):
    """One without hosts is a delegate: it does nothing but for the roots that name it (spec 5.9)."""

    KIND: ClassVar[str] = "VirtualService"

    hosts: tuple[HostText, ...] = ()
    gateways: tuple[str, ...] = ()
    http: tuple[HTTPRoute, ...] = ()
    tls: tuple[TLSRoute, ...] = ()
    tcp: tuple[TCPRoute, ...] = ()
    export_to: tuple[Annotated[str, export_target], ...] = ()

    @property
    def extras(self) -> VirtualServiceExtras:
        return read_extras(VirtualServiceExtras, self.metadata)

    @property
    def is_of_gateways_alone(self) -> bool:
        return bool(self.gateways) and MESH not in self.gateways

    def check(self) -> Iterator[Problem]:
        if not (self.http or self.tls or self.tcp):  # V-7
            yield Problem(code="E-REQUIRED", at=self.origin, message="a VirtualService needs http, tls or tcp routes")
        yield from self._check_hosts() if self.hosts else self._check_delegate()
        yield from self._check_server_names()
        yield from self._check_sources()
        yield from check_gateways(self.gateways, self.origin.at("gateways"))
        yield from check_exports(self.origin, self.export_to, self.metadata.namespace)
        extras = self.extras
        yield from unreachable([(route.origin, narrowed_requests(route, extras)) for route in self.http])
        yield from unreachable_connections(narrowed_connections(self.tls, extras.tls))
        yield from unreachable_connections(narrowed_connections(self.tcp, extras.tcp))
        yield from self._check_extras()

    def _check_extras(self) -> Iterator[Problem]:
        yield from check_extras(VirtualServiceExtras, self.metadata)
        yield from check_names(self.metadata, "http route", self.extras.http, (route.name for route in self.http))
        for route in self.http:
            if route.delegate and route.name in self.extras.http:
                message = f"http route {route.name!r} delegates, and nobody would act on its extras"
                yield invalid(extras_place(self.metadata), message, "write its routes here")
        for name, extras, routes in (("tls", self.extras.tls, self.tls), ("tcp", self.extras.tcp, self.tcp)):
            yield from check_names(self.metadata, f"{name} route", extras, map(str, range(len(routes))))

    def _check_delegate(self) -> Iterator[Problem]:
        """5.9."""
        for name, given in (("gateways", self.gateways), ("tls", self.tls), ("tcp", self.tcp)):
            if given:
                yield invalid(self.origin.at(name), f"{name} has no place in a delegate", "give it hosts if it is none")
        for route in self.http:
            if route.delegate:
                yield invalid(route.origin.at("delegate"), "a delegate does not delegate again")
        if self.extras.http:
            yield invalid(extras_place(self.metadata), "extras have no place in a delegate", "give it hosts of its own")

    def _check_hosts(self) -> Iterator[Problem]:
        """V-1."""
        at = self.origin.at("hosts")
        named = Counter(host.lower().removesuffix(".") for host in self.hosts)
        for index, host in enumerate(self.hosts):
            fault = virtual_host(host)
            if fault and not (self._reads_server_names and is_sni_of_a_cluster(host)):
                yield invalid(at.item(index), fault)
        if "*" in named and not self.is_of_gateways_alone:
            yield invalid(at, "'*' is for VirtualServices of gateways only", "name the hosts")
        for host, count in named.items():
            if count > 1:
                yield invalid(at, f"{host!r} is given twice")
            for wildcard in wildcards_over(host):
                if wildcard in named and not (wildcard == "*" and not self.is_of_gateways_alone):
                    yield invalid(at, f"{host!r} lies inside {wildcard!r}", "give each host once")
        for one, other in combinations(_networks(named), 2):
            if one.version == other.version and one.overlaps(other):
                yield invalid(at, f"{one} and {other} overlap", "give each address once")

    @property
    def _reads_server_names(self) -> bool:
        return self.is_of_gateways_alone and bool(self.tls)

    def _check_server_names(self) -> Iterator[Problem]:
        """V-101."""
        for route in self.tls:
            for match in route.match:
                yield from match.check_sni_hosts(self.hosts, at_gateways=self.is_of_gateways_alone)

    def _check_sources(self) -> Iterator[Problem]:
        """V-38: a gateway knows nothing of who called it."""
        if not self.is_of_gateways_alone:
            return
        for match in (match for route in self.http for match in route.match):
            for name, given in (("sourceLabels", match.source_labels), ("sourceNamespace", match.source_namespace)):
                if given and not match.gateways:
                    message = f"{name} is that of the gateway here, not of its callers"
                    yield doubtful(match.origin.at(name), message, "add 'mesh' to gateways")


def _networks(hosts: Iterable[str]) -> Iterator[IPv4Network | IPv6Network]:
    return (ip_network(host, strict=False) for host in hosts if not ip_or_cidr(host))
