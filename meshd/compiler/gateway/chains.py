"""The `tcp` and `tls` rules of one VirtualService -> the filter chains of a server of a gateway (spec 4.3)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from meshd.compiler.connections.connections import connection_chain
from meshd.compiler.connections.faults import connection_faults
from meshd.compiler.connections.rules import networks
from meshd.compiler.destinations import Destinations
from meshd.compiler.gateway.server_tls import Termination
from meshd.compiler.host import Host
from meshd.compiler.http.matches import Conditions, Entrance
from meshd.compiler.upstream.upstream import Upstream
from meshd.mesh.gateways import GatewayServer
from meshd.names import Namespace, ServiceHost
from meshd.plan import ChainMatch, ConnectionFaults, DownstreamTls, TcpChain
from meshd.problems import Origin, Problems
from meshd.registry.hosts import canonical, matches, subset_of
from meshd.resources.extras import L4RouteExtras
from meshd.resources.l4_routes import L4MatchAttributes, RouteDestination, TLSMatchAttributes
from meshd.resources.virtual_service import VirtualService


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """`faults`: those of the rule, whichever of its matches this is."""

    route: tuple[RouteDestination, ...]
    match: ChainMatch
    faults: ConnectionFaults | None
    origin: Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class Connections:
    """In the order of the rules; what no rule takes, is closed."""

    chains: tuple[TcpChain, ...]
    problems: Problems


def connections(
    virtual_service: VirtualService,
    host: Host,
    entrance: Entrance,
    termination: Termination | None,
    names: str,
    *upstreams: Upstream,
) -> Connections:
    """The `tcp` rules. `names`: the server names that are meant, with spaces between; empty on a server without TLS."""
    conditions = Conditions(virtual_service, entrance)
    rules = _by_address(virtual_service, conditions, server_names(names.split()), entrance.port)
    destinations = _destinations(virtual_service, host, entrance, upstreams)
    return _chains(rules, destinations, _stat_prefix(virtual_service), termination.tls if termination else None)


def passed_on(
    virtual_service: VirtualService, host: Host, entrance: Entrance, each: GatewayServer, *upstreams: Upstream
) -> Connections:
    """The `tls` rules, for a server that passes TLS on as it comes."""
    rules = _by_name(virtual_service, Conditions(virtual_service, entrance), each, entrance.port)
    destinations = _destinations(virtual_service, host, entrance, upstreams)
    return _chains(rules, destinations, _stat_prefix(virtual_service), None)


def server_names(hosts: Sequence[str]) -> tuple[str, ...]:
    """What Envoy is told: it refuses `*`, which is every name and none."""
    return () if "*" in hosts else tuple(dict.fromkeys(hosts))


def _destinations(
    virtual_service: VirtualService, host: Host, entrance: Entrance, upstreams: tuple[Upstream, ...]
) -> Destinations:
    suffix = host.settings.domain_suffix
    return Destinations(virtual_service, suffix, entrance.port, upstreams, captured=entrance.captured)


def _stat_prefix(virtual_service: VirtualService) -> str:
    return f"{virtual_service.metadata.name}.{virtual_service.metadata.namespace}"


def _chains(
    rules: Iterator[Rule], destinations: Destinations, stat_prefix: str, tls: DownstreamTls | None
) -> Connections:
    found = [
        connection_chain(
            rule.route,
            destinations,
            match=rule.match,
            stat_prefix=stat_prefix,
            tls=tls,
            faults=rule.faults,
            origin=rule.origin,
        )
        for rule in rules
    ]
    return Connections(
        chains=tuple(chain for chain, _ in found),
        problems=tuple(problem for _, problems in found for problem in problems),
    )


# --- rules ----------------------------------------------------------------------------------------------------


def _by_address(
    virtual_service: VirtualService, conditions: Conditions, names: tuple[str, ...], port: int
) -> Iterator[Rule]:
    """A rule for each match that has any meaning here (V-113)."""
    for index, rule in enumerate(virtual_service.tcp):
        extras = virtual_service.extras.of_tcp(index)
        faults = _faults(virtual_service, extras, f"tcp-{index}_{port}")
        if not rule.match and conditions.admit_everything(extras.source):
            yield Rule(route=rule.route, match=ChainMatch(server_names=names), faults=faults, origin=rule.origin)
        for match in rule.match:
            if conditions.admit_connection(match, extras.source):
                yield Rule(route=rule.route, match=_addresses(match, names), faults=faults, origin=match.origin)


def _faults(virtual_service: VirtualService, extras: L4RouteExtras, rule: str) -> ConnectionFaults | None:
    return connection_faults(extras.l4_fault, f"{_stat_prefix(virtual_service)}_{rule}")


def _addresses(match: L4MatchAttributes, names: tuple[str, ...]) -> ChainMatch:
    return ChainMatch(
        prefix_ranges=networks(match.destination_subnets),
        server_names=names,
        source_prefix_ranges=networks((match.source_subnet,) if match.source_subnet else ()),
    )


def _by_name(virtual_service: VirtualService, conditions: Conditions, each: GatewayServer, port: int) -> Iterator[Rule]:
    namespace = Namespace(virtual_service.metadata.namespace)
    offered = [offer.host for offer in each.hosts if offer.admits(namespace)]
    for index, rule in enumerate(virtual_service.tls):
        extras = virtual_service.extras.of_tls(index)
        faults = _faults(virtual_service, extras, f"tls-{index}_{port}")
        for match in rule.match:
            names = list(_narrower(match, offered))
            if names and conditions.admit_connection(match, extras.source):
                wanted = _asked_for(match, names, extras)
                yield Rule(route=rule.route, match=wanted, faults=faults, origin=match.origin)


def _asked_for(match: TLSMatchAttributes, names: list[str], extras: L4RouteExtras) -> ChainMatch:
    """Where every name is meant, the handshake alone must tell TLS from other bytes."""
    by_name = server_names(names)
    return ChainMatch(
        prefix_ranges=networks(match.destination_subnets),
        server_names=by_name,
        transport=None if by_name else "tls",
        source_prefix_ranges=networks(extras.source_subnets),
    )


def _narrower(match: TLSMatchAttributes, offered: list[ServiceHost]) -> Iterator[str]:
    """Of each name that a client may ask for and each host of the server, the narrower; none where they differ."""
    for host in map(canonical, match.sni_hosts):
        yield from (host if subset_of(host, offer) else offer for offer in offered if matches(host, offer))
