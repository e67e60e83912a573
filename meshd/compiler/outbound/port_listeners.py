"""What services offer at one place -> its listener: HTTP by a table, TLS by server name, the rest by address (7.2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from meshd.compiler.connections.chain_order import arrange
from meshd.compiler.connections.groups import ConnectionGroups, Group
from meshd.compiler.connections.server_first import speaks_first
from meshd.compiler.http.faults import delays_exponentially
from meshd.compiler.http.overrides import has_overrides
from meshd.compiler.http.virtual_hosts import Table
from meshd.compiler.outbound.offers import Served
from meshd.compiler.outbound.places import Place
from meshd.compiler.outbound.unknown_traffic import BLACK_HOLE
from meshd.compiler.view import View
from meshd.names import ClusterName, RouteTableName
from meshd.plan import ChainMatch, FilterChain, Forward, HttpChain, Listener, RouteTable, TcpChain
from meshd.problems import Problem, Problems

_HTTP_ALPN: Final = ("http/1.1", "h2c")  # as Envoy's HTTP inspector calls what it finds
_ANYTHING: Final = ChainMatch()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A listener, and the tables it routes by where it is HTTP. `listener` None: it would have nothing to offer."""

    listener: Listener | None = None
    tables: tuple[RouteTable, ...] = ()
    problems: Problems = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Requests:
    """HTTP at a place: `blocks` are the tables for all requests to single networks.

    `finds_unknown`: hosts that are not in the table are looked up by the name that a request gives.
    """

    table: Table | None = None
    blocks: tuple[tuple[str, Table], ...] = ()
    has_grpc_web: bool = False
    finds_unknown: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Connections:
    """All else at a place: TLS, and plain TCP in the order of spec 2.6. `unregistered`: of hosts without a service."""

    groups: ConnectionGroups
    tls: tuple[Served, ...] = ()
    tcp: tuple[Served, ...] = ()
    unregistered: tuple[Group, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not (self.tls or self.tcp or self.unregistered)


def listener(
    view: View, place: Place, requests: Requests, connections: Connections | None, rest: TcpChain | None
) -> Bound:
    """`connections` None: all there is, is HTTP. `rest` takes the connections of no service; None closes them."""
    if connections is None or connections.is_empty:
        return _assembled(view, place, requests, (), rest)
    problems: list[Problem] = []
    groups = (
        *_tls_groups(place, connections),
        *connections.unregistered,
        *_tcp_groups(place, connections, problems),
    )
    if requests.table or requests.blocks or connections.tls or connections.unregistered:
        problems.extend(_server_first(connections.tcp))
    bound = _assembled(view, place, requests, tuple(group for group in groups if group.chains), rest)
    said = (problem for group in groups for problem in group.problems)
    return Bound(listener=bound.listener, tables=bound.tables, problems=(*problems, *said, *bound.problems))


# --- connections ----------------------------------------------------------------------------------------------


def _tls_groups(place: Place, connections: Connections) -> Iterator[Group]:
    """At an address of their own services need no name; where they share it, the first has those without one."""
    alone = len(connections.tls) == 1 and not connections.tcp and not connections.unregistered
    for index, each in enumerate(connections.tls):
        prefixes = each.networks if place.captured and not place.virtual else ()
        by_name = not place.virtual or not alone
        yield connections.groups.tls(each, prefixes, by_name=by_name, nameless=place.virtual and index == 0)


def _tcp_groups(place: Place, connections: Connections, problems: list[Problem]) -> Iterator[Group]:
    """Each address belongs to the first service that has it."""
    owners: dict[str, Served] = {}
    for each in connections.tcp:
        wanted = each.networks if place.captured and not place.virtual else ()
        free = [prefix for prefix in wanted or ("",) if prefix not in owners]
        if len(free) < len(wanted or ("",)):
            taken = next(prefix for prefix in wanted or ("",) if prefix in owners)
            problems.extend(_shadowed(each, taken, owners[taken], place))
        owners.update(dict.fromkeys(free, each))
        if free:
            yield connections.groups.tcp(each, filter(None, free))


def _shadowed(served: Served, network: str, owner: Served, place: Place) -> Iterator[Problem]:
    service, other = served.upstream.service, owner.upstream.service
    if service.resolution == "NONE" == other.resolution and service.origin == other.origin:
        return  # hosts of one entry, all of which lead to where the connection was going anyway
    number = served.port.number
    where = f"{network or 'TCP'} port {number}"
    message = f"{where} leads to {other.host}; {service.host} has that port too, and nothing leads there"
    hint = "give each an address of its own" if place.captured else "give each an egress listener of its own"
    at = served.port.origin if place.captured else place.origin
    yield Problem(code="W-SC-SHADOWED", at=at, message=message, hint=hint)


def _server_first(served: Iterable[Served]) -> Iterator[Problem]:
    for each in served:
        port = each.port
        if speaks_first(port, port.number):
            message = (
                f"clients of {each.host} wait for the server to speak, but whoever shares port {port.number} with it "
                "waits for the client"
            )
            hint = "move one to another port, or give this service an address of its own"
            yield Problem(code="E-PORT-SERVER-FIRST", at=port.origin, message=message, hint=hint)


# --- the listener ---------------------------------------------------------------------------------------------


def _assembled(view: View, place: Place, requests: Requests, groups: tuple[Group, ...], rest: TcpChain | None) -> Bound:
    memo = view.memo
    http = [_http_chain(view, place, requests, network, table.routes) for network, table in _tables(requests)]
    made = memo.recall(_listener, place, rest, len(http), *http, *groups) if http or groups else None
    tables = [table for _, table in _tables(requests)]
    return Bound(
        listener=made,
        tables=tuple(table.routes for table in tables),
        problems=tuple(problem for table in tables for problem in table.problems),
    )


def _tables(requests: Requests) -> Iterator[tuple[str, Table]]:
    yield from requests.blocks
    if requests.table:
        yield "", requests.table


def _http_chain(view: View, place: Place, requests: Requests, network: str, table: RouteTable) -> HttpChain:
    """Depends on few words about the table, not on the table: it must outlive changed routes."""
    names = " ".join(sorted(view.dynamic_clusters))
    dynamic_dns = requests.finds_unknown or view.memo.recall(_leads_to, table, names)
    delays = view.memo.recall(delays_exponentially, table)
    overridden = view.memo.recall(has_overrides, table)
    return view.memo.recall(
        _made_http_chain, place, table.name, network, requests.has_grpc_web, dynamic_dns, delays, overridden
    )


def _made_http_chain(  # noqa: PLR0917 (a memo knows inputs by their place)
    place: Place,
    table: RouteTableName,
    network: str,
    grpc_web: bool,  # noqa: FBT001
    dynamic_dns: bool,  # noqa: FBT001
    exponential_delays: bool,  # noqa: FBT001
    header_overrides: bool,  # noqa: FBT001
) -> HttpChain:
    return HttpChain(
        route_table=table,
        stat_prefix=f"outbound_{table}" if network else f"outbound_{place.name}",
        match=ChainMatch(prefix_ranges=(network,) if network else ()),
        absolute_urls=place.proxy,
        grpc_web=grpc_web,
        dynamic_dns=dynamic_dns,
        exponential_delays=exponential_delays,
        header_overrides=header_overrides,
        origin=place.origin,
    )


def _leads_to(table: RouteTable, names: str) -> bool:
    """Whether some route of a table leads to one of these clusters, or sends it copies."""
    clusters = frozenset(map(ClusterName, names.split()))
    forwards = [
        route.action
        for host in (table.virtual_hosts if clusters else ())
        for route in host.routes
        if isinstance(route.action, Forward)
    ]
    led_to = (each.cluster for forward in forwards for each in forward.destinations)
    copied_to = (each.cluster for forward in forwards for each in forward.mirrors)
    return not clusters.isdisjoint((*led_to, *copied_to))


def _listener(place: Place, rest: TcpChain | None, http: int, *parts: HttpChain | Group) -> Listener:
    """`parts`: chains of HTTP, `http` of them, then groups of others."""
    requests = [part for part in parts[:http] if isinstance(part, HttpChain)]
    if http < len(parts):  # bytes that no chain of HTTP may take for a request
        requests = [replace(chain, match=_only_http(chain.match)) for chain in requests]
    arranged = arrange(part.chains for part in parts[http:] if isinstance(part, Group))
    connections = [chain for chain in arranged.chains if chain.match != _ANYTHING]
    last = [chain for chain in arranged.chains if chain.match == _ANYTHING]
    chains: list[FilterChain] = [*connections, *requests, *last]
    if rest:
        chains.extend(_left_over(chains, rest))
    return Listener(
        name=place.name,
        bind=place.bind,
        chains=tuple(chains),
        bound=not place.captured,
        ordered=arranged.ordered,
        origin=place.origin,
    )


def _left_over(chains: list[FilterChain], rest: TcpChain) -> Iterator[TcpChain]:
    """Where requests take the whole port, TLS is none of them: unknown traffic, which may be let pass (C-EG-06)."""
    last = next((chain for chain in chains if chain.match == _ANYTHING), None)
    if last is None:
        yield rest
    elif isinstance(last, HttpChain) and all(to.cluster != BLACK_HOLE for to in rest.destinations):
        yield replace(rest, match=ChainMatch(transport="tls"))


def _only_http(match: ChainMatch) -> ChainMatch:
    return replace(match, transport="raw_buffer", alpn=_HTTP_ALPN)
