"""Services and VirtualServices of a scope -> the virtual hosts of one route table, each domain with one owner."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from meshd.compiler.domains import Domains, Naming, domains, naming
from meshd.compiler.host import Host
from meshd.compiler.routes import REASON, Routes, default_routes
from meshd.compiler.upstream import Upstream, is_callable
from meshd.compiler.view import View, speaks_http_to_mesh
from meshd.memo import Memo
from meshd.mesh.visibility import Scope
from meshd.names import RouteTableName, ServiceHost
from meshd.plan import Respond, Route, RouteMatch, RouteTable, VirtualHost
from meshd.problems import Problems
from meshd.registry.host_table import HostTable
from meshd.registry.service import Port
from meshd.resources.virtual_service import VirtualService

_NONE: Final = (None, None)
_UNKNOWN: Final = Respond(status=502, headers=((REASON, "host is not in the registry"),))
_BLOCK_ALL: Final = VirtualHost(
    name="block_all", domains=("*",), routes=(Route(name="block_all", match=RouteMatch(), action=_UNKNOWN),)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    routes: RouteTable
    problems: Problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A virtual host with all the domains it would like to have. `full`: those that are its host's own name."""

    virtual_host: VirtualHost
    full: tuple[str, ...]
    problems: Problems = ()


def route_table(view: View, within: Scope, name: RouteTableName, port: int | None) -> Table:
    """The table of one port; with `port` None one for all ports, where a Host says which it means.

    Who is not in it is refused (REGISTRY_ONLY).
    """
    entries = sorted(_Entries(view, within, port).all(), key=lambda entry: entry.virtual_host.name)
    virtual_hosts = (*_without_rivals(entries, view.memo), _BLOCK_ALL)
    return Table(
        routes=view.memo.recall(_table, name, port is not None, *virtual_hosts),
        problems=tuple(problem for entry in entries for problem in entry.problems),
    )


def _table(name: RouteTableName, ignore_port: bool, *virtual_hosts: VirtualHost) -> RouteTable:  # noqa: FBT001
    return RouteTable(name=name, virtual_hosts=virtual_hosts, ignore_port=ignore_port)


class _Entries:
    """Who is in a table: the services of a scope, then the hosts that only a VirtualService knows (spec V-1)."""

    __slots__ = ("_naming", "_port", "_rules", "_view", "_within")

    def __init__(self, view: View, within: Scope, port: int | None) -> None:
        host = view.host
        self._view = view
        self._within = within
        self._port = port
        self._rules = {host: each for host, each in within.virtual_services.items() if speaks_http_to_mesh(each)}
        self._naming = view.memo.recall(naming, host.client.namespace, host.settings.domain_suffix, port)

    def all(self) -> Iterator[Entry]:
        view, rules = self._view, HostTable(self._rules)
        beside: dict[int, set[int]] = {}
        for service in self._within.services.values():
            _, rule = next(rules.covering(service.host), _NONE)
            if rule is None:
                yield from view.memo.recall(_plain, view.upstream(service), view.host, self._naming)
            else:
                ports = {port.number for port in service.ports if _is_http(port)}
                beside.setdefault(id(rule), set()).update(ports)
                yield from self._ruled(service.host, service.addresses, rule, ports)
        for host, rule in self._rules.items():
            if host not in self._within.services:
                # On the ports of the services that the rule has beside this host; without any, on port 80.
                yield from self._ruled(host, (), rule, beside.get(id(rule)) or {80})

    def _ruled(
        self, host: ServiceHost, addresses: tuple[str, ...], rule: VirtualService, ports: set[int]
    ) -> Iterator[Entry]:
        for port in sorted(ports):
            if self._port in {None, port}:
                routes = self._view.routes(rule, port, self._within)
                yield self._view.memo.recall(_ruled, host, addresses, port, self._naming, routes)


def _is_http(port: Port) -> bool:
    return port.family == "http"


def _plain(upstream: Upstream, host: Host, how: Naming) -> tuple[Entry, ...]:
    """The ports of a service that no VirtualService speaks of."""
    service = upstream.service
    ports = [port for port in service.ports if _is_http(port) and how.port in {None, port.number}]
    return tuple(_plain_port(upstream, port, host, how) for port in ports if is_callable(service))


def _plain_port(upstream: Upstream, port: Port, host: Host, how: Naming) -> Entry:
    service = upstream.service
    routes = Routes(routes=default_routes(upstream, port, host.settings), origin=service.origin)
    return _entry(service.host, port.number, domains(service.host, service.addresses, port.number, how), routes)


def _ruled(host: ServiceHost, addresses: tuple[str, ...], port: int, how: Naming, routes: Routes) -> Entry:
    return _entry(host, port, domains(host, addresses, port, how), routes)


def _entry(host: ServiceHost, port: int, names: Domains, routes: Routes) -> Entry:
    wanted = tuple(dict.fromkeys((*names.full, *names.other)))
    virtual_host = VirtualHost(name=f"{host}:{port}", domains=wanted, routes=routes.routes, origin=routes.origin)
    return Entry(virtual_host=virtual_host, full=names.full, problems=routes.problems)


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
