"""What holds of every plan, whatever the mesh: names stand once, and what is named is there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

from meshd.envoy.chain_matches import match_of
from meshd.envoy.connection_faults import inside
from meshd.plan import (
    Action,
    ByEds,
    Cluster,
    DnsAddress,
    Forward,
    HttpChain,
    InternalAddress,
    InternalBind,
    Listener,
    ProxyPlan,
    RouteTable,
    SocketBind,
    TcpChain,
)
from meshd.problems import NOWHERE


def faults(plan: ProxyPlan) -> Iterator[str]:
    yield from _twice("cluster", (each.name for each in plan.clusters))
    yield from _twice("listener", (each.name for each in plan.listeners))
    yield from _twice("bind", (each.bind for each in plan.listeners if each.bound and each.bind != InternalBind()))
    yield from _twice("route table", (each.name for each in plan.route_tables))
    yield from _twice("endpoints of", (each.cluster for each in plan.endpoints))
    yield from _twice("secret", (each.name for each in plan.secrets))
    yield from _differ("route tables", {each.name for each in plan.route_tables}, set(_tables(plan.listeners)))
    yield from _differ(
        "assignments", {each.cluster for each in plan.endpoints} - {"local"}, set(_by_eds(plan.clusters))
    )
    yield from _missing("cluster", {each.name for each in plan.clusters}, _led_to(plan))
    yield from _missing("secret", {each.name for each in plan.secrets}, _shown(plan))
    yield from _differ("internal listeners", set(_internal(plan.listeners)) - {"outboundProxy"}, set(_led_inside(plan)))
    yield from _differ("DNS names", set(plan.dns_names), set(_looked_up(plan)))
    yield from _twice("inside", (each.name for each in _inside(plan.listeners)))
    for table in plan.route_tables:
        yield from _faults_of_table(table)
    for listener in plan.listeners:
        yield from _faults_of_listener(listener)


def _faults_of_table(table: RouteTable) -> Iterator[str]:
    hosts = table.virtual_hosts
    yield from _twice(f"{table.name}: virtual host", (each.name for each in hosts))
    yield from _twice(f"{table.name}: domain", (domain.lower() for each in hosts for domain in each.domains))
    yield from (f"{table.name}: {each.name} has no domain" for each in hosts if not each.domains)


def _faults_of_listener(listener: Listener) -> Iterator[str]:
    """Envoy refuses two chains for the same connections."""
    if not listener.chains:
        yield f"{listener.name} has no chain"
    if not listener.ordered:
        yield from _twice(f"{listener.name}: chain", (match_of(chain, listener) for chain in listener.chains))
    if isinstance(listener.bind, SocketBind) and not 0 < listener.bind.port < 65536:
        yield f"{listener.name}: port {listener.bind.port}"


def _tables(listeners: Iterable[Listener]) -> Iterator[str]:
    yield from (chain.route_table for each in listeners for chain in each.chains if isinstance(chain, HttpChain))


def _by_eds(clusters: Iterable[Cluster]) -> Iterator[str]:
    yield from (each.name for each in clusters if isinstance(each.discovery, ByEds))


def _led_to(plan: ProxyPlan) -> Iterator[str]:
    for listener in plan.listeners:
        for chain in listener.chains:
            if isinstance(chain, TcpChain):
                yield from (to.cluster for to in chain.destinations)
    for table in plan.route_tables:
        for host in table.virtual_hosts:
            for route in host.routes:
                yield from _forwarded(route.action)


def _forwarded(action: Action) -> Iterator[str]:
    if isinstance(action, Forward):
        yield from (to.cluster for to in action.destinations)
        yield from (mirror.cluster for mirror in action.mirrors)


def _shown(plan: ProxyPlan) -> Iterator[str]:
    ended = (chain.tls for each in plan.listeners for chain in each.chains if chain.tls)
    for tls in ended:
        yield from (*tls.certificates, *filter(None, [tls.validation]))
    opened = (tls for each in plan.clusters for tls in (each.tls, each.mesh_tls) if tls)
    for opening in opened:
        yield from filter(None, (opening.certificate, opening.validation))


def _internal(listeners: Iterable[Listener]) -> Iterator[str]:
    yield from (each.name for each in listeners if each.bind == InternalBind())


def _inside(listeners: Iterable[Listener]) -> set[Listener]:
    """What faults of connections ask for: the same for all of a rule, whichever line of it they come from."""
    found = (each for listener in listeners for each in inside(listener))
    return {
        replace(each, origin=NOWHERE, chains=tuple(replace(chain, origin=NOWHERE) for chain in each.chains))
        for each in found
    }


def _led_inside(plan: ProxyPlan) -> Iterator[str]:
    """But for the one that stands ready wherever there is an outbound proxy."""
    places = (endpoint.address for each in plan.endpoints for endpoint in each.endpoints)
    names = {place.listener for place in places if isinstance(place, InternalAddress)}
    yield from names - {"outboundProxy"}


def _looked_up(plan: ProxyPlan) -> Iterator[str]:
    places = (endpoint.address for each in plan.endpoints for endpoint in each.endpoints)
    yield from (place.name for place in places if isinstance(place, DnsAddress))


def _twice(what: str, names: Iterable[object]) -> Iterator[str]:
    yield from (f"{what} {name} stands {count} times" for name, count in Counter(names).items() if count > 1)


def _missing(what: str, there: set[str], named: Iterable[str]) -> Iterator[str]:
    yield from (f"{what} {name} is not there" for name in sorted(set(named) - there))


def _differ(what: str, there: set[str], wanted: set[str]) -> Iterator[str]:
    if there != wanted:
        yield f"{what}: {sorted(there - wanted)} are of no use, {sorted(wanted - there)} are missing"
