"""The endpoints of a plan -> the same, each cluster with the listeners of this very proxy that lead to it again.

Who calls such a listener's own address calls himself, again and again, until memory is used up. Of an address that
stands in the mesh it is known now, and told; what names stand for, whoever looks them up sees.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from meshd.compiler.host import Host
from meshd.compiler.itself import reached_at
from meshd.memo import Memo, together
from meshd.names import ClusterName, RouteTableName
from meshd.plan import (
    Circle,
    ClusterEndpoints,
    DnsAddress,
    Endpoint,
    Forward,
    HttpChain,
    IpAddress,
    Listener,
    RouteTable,
    SocketBind,
    TcpChain,
)
from meshd.problems import Problem

Assigned = dict[ClusterName, ClusterEndpoints]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entrance:
    """`leads_to` None: nobody but the kernel has any business there, whatever it leads to."""

    circle: Circle
    leads_to: frozenset[ClusterName] | None


def knowing_circles(
    host: Host, listeners: Iterable[Listener], tables: Iterable[RouteTable], endpoints: Assigned, memo: Memo
) -> Assigned:
    named = {table.name: table for table in tables}
    entrances = [entrance for each in listeners for entrance in _entrances(host, each, named, memo)]
    suspicious = set(_suspicious(endpoints.values(), frozenset(each.circle.port for each in entrances)))
    found = {name: memo.recall(together, *_circles(name, entrances)) for name in suspicious}
    return endpoints | {name: memo.recall(_knowing, endpoints[name], found[name]) for name in found}


def told(endpoints: Iterable[ClusterEndpoints]) -> Iterator[Problem]:
    """Once for each address, however many clusters have it."""
    seen = set[tuple[object, ...]]()
    for each in endpoints:
        for circle, address, port in _certain(each):
            if (each.origin, address, port) not in seen:
                seen.add((each.origin, address, port))
                yield Problem(
                    code="W-ENDPOINT-LOOP",
                    at=each.origin,
                    message=f"{address} at port {port} is this very proxy ({circle.listener}), which would call itself "
                    "for ever: this endpoint is left out",
                    hint="name the address and port where the application listens",
                )


def _entrances(
    host: Host, listener: Listener, tables: Mapping[RouteTableName, RouteTable], memo: Memo
) -> Iterator[_Entrance]:
    """What others call to reach an application of this host is no entrance: whoever calls that leaves the proxy."""
    if not listener.bound or not isinstance(listener.bind, SocketBind):
        return
    if listener.captures:
        yield memo.recall(_entrance, host, listener)
    elif listener.side != "inbound":
        used = [tables[chain.route_table] for chain in listener.chains if isinstance(chain, HttpChain)]
        yield memo.recall(_entrance, host, listener, *(memo.recall(_of_table, table) for table in used))


def _entrance(host: Host, listener: Listener, *of_tables: frozenset[ClusterName]) -> _Entrance:
    assert isinstance(listener.bind, SocketBind)
    circle = Circle(listener=listener.name, blocks=reached_at(host, listener.bind), port=listener.bind.port)
    chains = (chain for chain in listener.chains if isinstance(chain, TcpChain))
    passed_to = (each.cluster for chain in chains for each in chain.destinations)
    leads_to = None if listener.captures else frozenset(passed_to).union(*of_tables)
    return _Entrance(circle=circle, leads_to=leads_to)


def _of_table(table: RouteTable) -> frozenset[ClusterName]:
    actions = (route.action for virtual_host in table.virtual_hosts for route in virtual_host.routes)
    return frozenset(cluster for action in actions if isinstance(action, Forward) for cluster in _called(action))


def _called(action: Forward) -> Iterator[ClusterName]:
    yield from (each.cluster for each in action.destinations)
    yield from (each.cluster for each in action.mirrors)


def _suspicious(endpoints: Iterable[ClusterEndpoints], ports: Collection[int]) -> Iterator[ClusterName]:
    """Few: of ten thousand clusters all but these are done with."""
    for each in endpoints:
        if any(endpoint.port in ports or _says_its_port(endpoint) for endpoint in each.endpoints):
            yield each.cluster


def _says_its_port(endpoint: Endpoint) -> bool:
    return isinstance(endpoint.address, DnsAddress) and endpoint.address.is_srv


def _circles(cluster: ClusterName, entrances: Iterable[_Entrance]) -> Iterator[Circle]:
    return (each.circle for each in entrances if each.leads_to is None or cluster in each.leads_to)


def _knowing(endpoints: ClusterEndpoints, circles: tuple[Circle, ...]) -> ClusterEndpoints:
    """Only those to which its endpoints may lead."""
    possible = tuple(circle for circle in circles if any(_may_lead(each, circle) for each in endpoints.endpoints))
    return replace(endpoints, circles=possible) if possible else endpoints


def _may_lead(endpoint: Endpoint, circle: Circle) -> bool:
    match endpoint.address:
        case IpAddress(ip=ip):
            return circle.takes(ip, endpoint.port)
        case DnsAddress():
            return endpoint.port == circle.port or _says_its_port(endpoint)
        case _:
            return False


def _certain(endpoints: ClusterEndpoints) -> Iterator[tuple[Circle, str, int]]:
    for each in endpoints.endpoints:
        address = each.address
        if isinstance(address, IpAddress):
            circle = next((circle for circle in endpoints.circles if circle.takes(address.ip, each.port)), None)
            if circle is not None:
                yield circle, address.ip, each.port
