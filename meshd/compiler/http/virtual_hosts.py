"""Services and VirtualServices of a scope -> virtual hosts by port, and tables in which each domain has one owner."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from meshd.compiler.destinations import is_callable
from meshd.compiler.host import Host
from meshd.compiler.http.domains import Domains, Naming, domains, naming
from meshd.compiler.http.routes import Routes, default_routes
from meshd.compiler.outbound.mesh_rules import rules_for_mesh
from meshd.compiler.upstream.upstream import Upstream
from meshd.compiler.view import View
from meshd.fields import is_ip
from meshd.memo import Memo
from meshd.mesh.visibility import Scope
from meshd.names import RouteTableName, ServiceHost
from meshd.plan import RouteTable, VirtualHost
from meshd.problems import Problems
from meshd.registry.host_table import HostTable
from meshd.registry.service import Port
from meshd.resources.virtual_service import VirtualService

_NONE: Final = (None, None)
_UNREGISTERED_PORT: Final = 80
"""Where hosts that no service has are called, unless their VirtualService has services beside them (V-1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    routes: RouteTable
    problems: Problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A virtual host with all the domains it would like to have. `full`: those that are its host's own name."""

    virtual_host: VirtualHost
    port: int
    full: tuple[str, ...]
    problems: Problems = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """What a VirtualService does with all requests to the addresses of a network, on one port (V-1)."""

    network: str
    port: int
    virtual_host: VirtualHost
    problems: Problems = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entries:
    """By port. The blocks have meaning only where it is known to which address a connection was going."""

    hosts: Mapping[int, list[Entry]]
    blocks: Mapping[int, list[Block]]

    @property
    def all(self) -> Iterator[Entry]:
        for entries in self.hosts.values():
            yield from entries


def entries(view: View, within: Scope, *, with_port: bool = False, captured: bool = False) -> Entries:
    """One walk over a scope, for all ports. `with_port`: for a table in which a Host says which port it means."""
    how = view.memo.recall(naming, view.host.client.namespace, view.host.settings.domain_suffix, with_port)
    walk = _Walk(view, within, how, captured=captured)
    hosts: dict[int, list[Entry]] = {}
    for entry in walk.hosts():
        hosts.setdefault(entry.port, []).append(entry)
    blocks: dict[int, list[Block]] = {}
    for block in walk.blocks() if captured else ():
        blocks.setdefault(block.port, []).append(block)
    return Entries(hosts=hosts, blocks=blocks)


def route_table(view: View, name: str, found: Iterable[Entry], rest: VirtualHost, *, ignore_port: bool = True) -> Table:
    """`rest`: what becomes of requests to hosts that are not in the table."""
    listed = sorted(found, key=lambda entry: entry.virtual_host.name)
    virtual_hosts = (*_without_rivals(listed, view.memo), rest)
    return Table(
        routes=view.memo.recall(_table, RouteTableName(name), ignore_port, *virtual_hosts),
        problems=tuple(problem for entry in listed for problem in entry.problems),
    )


def block_table(view: View, block: Block) -> Table:
    name = RouteTableName(f"{block.port}|{block.network}")
    return Table(routes=view.memo.recall(_table, name, True, block.virtual_host), problems=block.problems)


def _table(name: RouteTableName, ignore_port: bool, *virtual_hosts: VirtualHost) -> RouteTable:  # noqa: FBT001
    return RouteTable(name=name, virtual_hosts=virtual_hosts, ignore_port=ignore_port)


# --- who is in a table ----------------------------------------------------------------------------------------


class _Walk:
    """The services of a scope, then the hosts that only a VirtualService knows (spec V-1)."""

    __slots__ = ("_beside", "_captured", "_naming", "_rules", "_view", "_within")

    def __init__(self, view: View, within: Scope, how: Naming, *, captured: bool) -> None:
        self._view = view
        self._within = within
        self._captured = captured
        self._naming = how
        self._rules = rules_for_mesh(within, "http")
        self._beside: dict[int, set[int]] = {}

    def hosts(self) -> Iterator[Entry]:
        view, rules = self._view, HostTable(self._rules)
        for service in self._within.services.values():
            _, rule = next(rules.covering(service.host), _NONE)
            if rule is None:
                yield from view.memo.recall(
                    _plain, view.memo, view.upstream(service), view.host, self._naming, self._captured
                )
            else:
                ports = {port.number for port in service.ports if _is_http(port)}
                self._beside.setdefault(id(rule), set()).update(ports)
                for port in sorted(ports):
                    yield self._ruled(service.host, service.addresses, rule, port)
        for host, rule in self._unregistered():
            if "/" not in host:
                for port in self._ports(rule):
                    yield self._ruled(host, (), rule, port)

    def blocks(self) -> Iterator[Block]:
        """Once the hosts are known: it is their ports that count."""
        for host, rule in self._unregistered():
            if "/" in host or is_ip(host):
                for port in self._ports(rule):
                    routes = self._view.routes(rule, port, self._within, captured=True)
                    yield self._view.memo.recall(_block, host, port, routes)

    def _unregistered(self) -> Iterator[tuple[ServiceHost, VirtualService]]:
        return ((host, rule) for host, rule in self._rules.items() if host not in self._within.services)

    def _ports(self, rule: VirtualService) -> list[int]:
        """Those of the services that the rule has beside this host; without any, port 80."""
        return sorted(self._beside.get(id(rule)) or {_UNREGISTERED_PORT})

    def _ruled(self, host: ServiceHost, addresses: tuple[str, ...], rule: VirtualService, port: int) -> Entry:
        memo = self._view.memo
        routes = self._view.routes(rule, port, self._within, captured=self._captured)
        names = memo.recall(domains, host, addresses, port, self._naming)
        return memo.recall(_ruled, memo, host, port, names, routes)


def _is_http(port: Port) -> bool:
    return port.family == "http"


def _plain(memo: Memo, upstream: Upstream, host: Host, how: Naming, captured: bool) -> tuple[Entry, ...]:  # noqa: FBT001
    """The ports of a service that no VirtualService speaks of."""
    ports = (port for port in upstream.service.ports if _is_http(port))
    offered = (port for port in ports if is_callable(upstream, port, captured=captured))
    return tuple(memo.same(_plain_port(upstream, port, host, how)) for port in offered)


def _plain_port(upstream: Upstream, port: Port, host: Host, how: Naming) -> Entry:
    service = upstream.service
    routes = Routes(routes=default_routes(upstream, port, host.settings), origin=service.origin)
    return _entry(service.host, port.number, domains(service.host, service.addresses, port.number, how), routes)


def _ruled(memo: Memo, host: ServiceHost, port: int, names: Domains, routes: Routes) -> Entry:
    return memo.same(_entry(host, port, names, routes))


def _entry(host: ServiceHost, port: int, names: Domains, routes: Routes) -> Entry:
    wanted = tuple(dict.fromkeys((*names.full, *names.other)))
    virtual_host = VirtualHost(name=f"{host}:{port}", domains=wanted, routes=routes.routes, origin=routes.origin)
    return Entry(virtual_host=virtual_host, port=port, full=names.full, problems=routes.problems)


def _block(network: str, port: int, routes: Routes) -> Block:
    virtual_host = VirtualHost(name=f"{network}:{port}", domains=("*",), routes=routes.routes, origin=routes.origin)
    return Block(network=network, port=port, virtual_host=virtual_host, problems=routes.problems)


# --- whose a domain is ----------------------------------------------------------------------------------------


def _without_rivals(entries: list[Entry], memo: Memo) -> Iterator[VirtualHost]:
    lost = memo.recall(_lost, *entries)
    for index, entry in enumerate(entries):
        if index in lost:
            yield memo.recall(_without, entry.virtual_host, lost[index])
        else:
            yield entry.virtual_host


def _lost(*entries: Entry) -> dict[int, str]:
    """The domains that entries must leave to others, by the entry's index, a line each.

    A short form or address never takes what is the full name of another; else the first entry has it.
    """
    if len({domain for entry in entries for domain in entry.virtual_host.domains}) == sum(
        len(entry.virtual_host.domains) for entry in entries
    ):
        return {}
    owners: dict[str, int] = {}
    for index, entry in enumerate(entries):
        for domain in entry.full:
            owners.setdefault(domain, index)
    for index, entry in enumerate(entries):
        for domain in entry.virtual_host.domains:
            owners.setdefault(domain, index)
    return {
        index: "\n".join(others)
        for index, entry in enumerate(entries)
        if (others := [domain for domain in entry.virtual_host.domains if owners[domain] != index])
    }


def _without(virtual_host: VirtualHost, lost: str) -> VirtualHost:
    others = lost.splitlines()
    return replace(virtual_host, domains=tuple(domain for domain in virtual_host.domains if domain not in others))
