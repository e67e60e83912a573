"""The `tls` and `tcp` rules of a VirtualService, on this host and port -> chains in the order of the rules (5.10 f.).

Whose connections the rules are about, and so which part of a listener they share out, is the caller's to know.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_network

from meshd.compiler.connections.connections import connection_chain
from meshd.compiler.connections.faults import connection_faults
from meshd.compiler.destinations import Destinations
from meshd.compiler.host import Host
from meshd.compiler.http.matches import Conditions, Entrance
from meshd.compiler.upstream.upstream import Upstream
from meshd.plan import ChainMatch, ConnectionFaults, TcpChain
from meshd.problems import Origin, Problem, Problems
from meshd.registry.hosts import canonical
from meshd.resources.extras import L4RouteExtras, SourceExtras
from meshd.resources.l4_routes import L4MatchAttributes, RouteDestination, TCPRoute
from meshd.resources.virtual_service import VirtualService

_ANY_NAME = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruled:
    """`complete`: the rules take all there is, so that nothing is left for the service's own chain."""

    chains: tuple[TcpChain, ...] = ()
    complete: bool = False
    problems: Problems = ()


def tls_rules(
    virtual_service: VirtualService, host: Host, entrance: Entrance, prefixes: tuple[str, ...], *upstreams: Upstream
) -> Ruled:
    """`prefixes`: the addresses that are meant where a rule names none. One rule that applies is enough: then what
    none of them takes is not the service's (5.11)."""
    place = _Place(virtual_service, host, entrance, upstreams)
    for index, rule in enumerate(virtual_service.tls):
        extras = virtual_service.extras.of_tls(index)
        for match in rule.match:
            if place.conditions.admit_connection(match, extras.source):
                names = () if _ANY_NAME in match.sni_hosts else tuple(dict.fromkeys(map(canonical, match.sni_hosts)))
                wanted = ChainMatch(
                    prefix_ranges=networks(match.destination_subnets) or prefixes,
                    server_names=names,
                    transport=None if names else "tls",
                    source_prefix_ranges=networks(extras.source_subnets),
                )
                place.chain(rule.route, wanted, place.faults(extras, f"tls-{index}"), match.origin)
    return place.ruled(complete=bool(place.chains))


def tcp_rules(
    virtual_service: VirtualService, host: Host, entrance: Entrance, prefixes: tuple[str, ...], *upstreams: Upstream
) -> Ruled:
    """The last rule looked at is one that takes every connection to these addresses."""
    place = _Place(virtual_service, host, entrance, upstreams)
    for index, rule in enumerate(virtual_service.tcp):
        extras = virtual_service.extras.of_tcp(index)
        for match, at in _matches(rule, extras.source, place.conditions):
            subnets = networks(match.destination_subnets)
            sources = networks((match.source_subnet,) if match.source_subnet else ())
            wanted = ChainMatch(prefix_ranges=subnets or prefixes, source_prefix_ranges=sources)
            place.chain(rule.route, wanted, place.faults(extras, f"tcp-{index}"), at)
            if not sources and (not subnets or set(subnets) == set(prefixes)):
                return place.ruled(complete=True)
    return place.ruled(complete=False)


def _matches(
    rule: TCPRoute, source: SourceExtras | None, conditions: Conditions
) -> Iterable[tuple[L4MatchAttributes, Origin]]:
    """Those that apply; a rule without any is one that takes everything."""
    if not rule.match:
        return [(L4MatchAttributes(), rule.origin)] if conditions.admit_everything(source) else []
    return [(match, match.origin) for match in rule.match if conditions.admit_connection(match, source)]


class _Place:
    """Where the rules of a VirtualService are read: on this host, for connections that come in at this entrance."""

    __slots__ = ("_destinations", "_port", "_virtual_service", "chains", "conditions", "problems")

    def __init__(
        self, virtual_service: VirtualService, host: Host, entrance: Entrance, upstreams: tuple[Upstream, ...]
    ) -> None:
        self._virtual_service = virtual_service
        self._port = entrance.port
        self._destinations = Destinations(
            virtual_service, host.settings.domain_suffix, entrance.port, upstreams, captured=entrance.captured
        )
        self.conditions = Conditions(virtual_service, entrance)
        self.chains: list[TcpChain] = []
        self.problems: list[Problem] = []

    def faults(self, extras: L4RouteExtras, rule: str) -> ConnectionFaults | None:
        return connection_faults(extras.l4_fault, f"{self._stat_prefix()}_{rule}_{self._port}")

    def chain(
        self, route: Sequence[RouteDestination], match: ChainMatch, faults: ConnectionFaults | None, origin: Origin
    ) -> None:
        found, problems = connection_chain(
            route, self._destinations, match=match, stat_prefix=self._stat_prefix(), faults=faults, origin=origin
        )
        self.chains.append(found)
        self.problems.extend(problem for problem in problems if problem not in self.problems)

    def ruled(self, *, complete: bool) -> Ruled:
        return Ruled(chains=tuple(self.chains), complete=complete, problems=tuple(self.problems))

    def _stat_prefix(self) -> str:
        metadata = self._virtual_service.metadata
        return f"{metadata.name}.{metadata.namespace}"


def networks(addresses: Iterable[str]) -> tuple[str, ...]:
    """As CIDRs, each once."""
    return tuple(dict.fromkeys(str(ip_network(address, strict=False)) for address in addresses))
