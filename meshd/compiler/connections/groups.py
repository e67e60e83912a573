"""Services that are not HTTP, and the `tls` and `tcp` rules of a scope -> groups of chains (spec 5.11, 7.2).

A group is what becomes of the connections of one service, rules first. Which connections those are at some place,
its `Ground` says.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from meshd.compiler.connections.connections import service_chain
from meshd.compiler.connections.rules import Ruled, networks, tcp_rules, tls_rules
from meshd.compiler.destinations import is_callable
from meshd.compiler.outbound.mesh_rules import rules_for_mesh
from meshd.compiler.outbound.offers import Served
from meshd.compiler.upstream.upstream import Upstream
from meshd.compiler.view import View
from meshd.fields import is_ip
from meshd.memo import Memo
from meshd.mesh.visibility import Scope
from meshd.names import ServiceHost
from meshd.plan import ChainMatch, TcpChain
from meshd.problems import Problem, Problems
from meshd.registry.host_table import HostTable
from meshd.registry.hosts import is_wildcard
from meshd.registry.service import Family, Port
from meshd.resources.virtual_service import VirtualService

_NONE: Final = (None, None)
_UNREGISTERED_PORT: Final = 80  # V-1


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """Which connections of a listener are a service's own: to these networks; without any, to all addresses.

    Of TLS, `by_name`: with the service's server name; `nameless`: with any other or none.
    """

    prefixes: tuple[str, ...]
    by_name: bool = False
    nameless: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    chains: tuple[TcpChain, ...]
    problems: Problems = ()


class ConnectionGroups:
    """The rules of one scope. Each group is the same object as in the last pass while what it is made of is.

    `unregistered`: by port, those of hosts that no service has, of the families that are asked for.
    """

    __slots__ = ("_captured", "_tcp", "_tls", "_view", "_within", "unregistered")

    def __init__(
        self, view: View, within: Scope, *, captured: bool, families: Collection[Family] = ("tls", "tcp")
    ) -> None:
        self._view = view
        self._within = within
        self._captured = captured
        tls, tcp = rules_for_mesh(within, "tls"), rules_for_mesh(within, "tcp")
        self._tls, self._tcp = HostTable(tls), HostTable(tcp)
        by_name = self._tls_of_unregistered(tls) if "tls" in families else ()
        by_address = self._tcp_of_unregistered(tcp) if "tcp" in families else ()
        self.unregistered = _by_port((*by_name, *by_address))

    def tls(self, served: Served, prefixes: Iterable[str], *, by_name: bool, nameless: bool) -> Group:
        ground = self._ground(prefixes, by_name=by_name, nameless=nameless)
        _, rule = next(self._tls.covering(served.upstream.service.host), _NONE)
        ruled = self._tls_ruled(rule, served.port.number, ground) if rule else None
        own = self._is_callable(served)
        return self._view.memo.recall(_tls_group, self._view.memo, served.upstream, served.port, ground, ruled, own)

    def tcp(self, served: Served, prefixes: Iterable[str]) -> Group:
        ground = self._ground(prefixes)
        _, rule = next(self._tcp.covering(served.upstream.service.host), _NONE)
        ruled = self._tcp_ruled(rule, served.port.number, ground) if rule else None
        own = self._is_callable(served)
        return self._view.memo.recall(_tcp_group, self._view.memo, served.upstream, served.port, ground, ruled, own)

    def _is_callable(self, served: Served) -> bool:
        return is_callable(served.upstream, served.port, captured=self._captured)

    def _ground(self, prefixes: Iterable[str], *, by_name: bool = False, nameless: bool = False) -> Ground:
        return self._view.memo.recall(_ground, " ".join(prefixes), by_name, nameless)

    def _tls_ruled(self, rule: VirtualService, port: int, ground: Ground) -> Ruled:
        view = self._view
        upstreams = view.destinations(rule, self._within)
        entrance = view.entrance(port, self._captured)
        return view.memo.recall(tls_rules, rule, view.host, entrance, ground.prefixes, *upstreams)

    def _tcp_ruled(self, rule: VirtualService, port: int, ground: Ground) -> Ruled:
        view = self._view
        upstreams = view.destinations(rule, self._within)
        entrance = view.entrance(port, self._captured)
        return view.memo.recall(tcp_rules, rule, view.host, entrance, ground.prefixes, *upstreams)

    # --- hosts that no service has (V-1) ---

    def _tls_of_unregistered(self, rules: Mapping[ServiceHost, VirtualService]) -> Iterator[tuple[int, Group]]:
        """By server name a host needs no service, but a port: of a service beside it, or one that a match names."""
        beside = self._ports_beside(rules, self._tls, "tls")
        for rule in _each_once(rules, self._within):
            named = {match.port for tls in rule.tls for match in tls.match if match.port}
            for port in sorted(beside.get(id(rule), set()) | named):
                ruled = self._tls_ruled(rule, port, self._ground(()))
                yield port, self._view.memo.recall(_ruled_group, ruled)

    def _tcp_of_unregistered(self, rules: Mapping[ServiceHost, VirtualService]) -> Iterator[tuple[int, Group]]:
        """Only addresses can be told without a service, and only where it is known who was addressed."""
        addresses = {host: rule for host, rule in rules.items() if self._captured and ("/" in host or is_ip(host))}
        beside = self._ports_beside(addresses, self._tcp, "tcp")
        for host, rule in addresses.items():
            named = {match.port for tcp in rule.tcp for match in tcp.match if match.port}
            for port in sorted(beside.get(id(rule), set()) | named or {_UNREGISTERED_PORT}):
                ruled = self._tcp_ruled(rule, port, self._ground(networks((host,))))
                yield port, self._view.memo.recall(_ruled_group, ruled)

    def _ports_beside(
        self,
        rules: Mapping[ServiceHost, VirtualService],
        table: HostTable[VirtualService],
        family: Literal["tls", "tcp"],
    ) -> dict[int, set[int]]:
        """The ports of the services that have the same VirtualService, by its identity."""
        ports: dict[int, set[int]] = {}
        for service in self._within.services.values() if rules else ():
            _, rule = next(table.covering(service.host), _NONE)
            if rule is not None:
                ports.setdefault(id(rule), set()).update(p.number for p in service.ports if p.family == family)
        return ports


def _each_once(rules: Mapping[ServiceHost, VirtualService], within: Scope) -> Iterable[VirtualService]:
    """Those that name a host which no service has."""
    return {id(rule): rule for host, rule in rules.items() if host not in within.services}.values()


def _by_port(groups: Iterable[tuple[int, Group]]) -> dict[int, list[Group]]:
    by_port: dict[int, list[Group]] = {}
    for port, group in groups:
        if group.chains:
            by_port.setdefault(port, []).append(group)
    return by_port


# --- groups ---------------------------------------------------------------------------------------------------


def _ground(prefixes: str, by_name: bool, nameless: bool) -> Ground:  # noqa: FBT001
    return Ground(prefixes=tuple(prefixes.split()), by_name=by_name, nameless=nameless)


def _ruled_group(ruled: Ruled) -> Group:
    return Group(chains=ruled.chains, problems=ruled.problems)


def _tls_group(  # noqa: PLR0917 (a memo knows inputs by their place)
    memo: Memo,
    upstream: Upstream,
    port: Port,
    ground: Ground,
    ruled: Ruled | None,
    reachable: bool,  # noqa: FBT001
) -> Group:
    """Endpoints come and go, and their service with them; its chains stay."""
    if ruled and ruled.complete:
        return memo.same(_ruled_group(ruled))
    if not reachable:
        return Group(chains=())
    own = tuple(service_chain(upstream, port, match=match) for match in _tls_matches(upstream.service.host, ground))
    return memo.same(Group(chains=own, problems=() if own else (_no_server_name(upstream, port),)))


def _tls_matches(host: ServiceHost, ground: Ground) -> Iterator[ChainMatch]:
    """Envoy refuses wildcards such as `*foo.com` as server names."""
    if ground.by_name and (host.startswith("*.") or not is_wildcard(host)):
        yield ChainMatch(prefix_ranges=ground.prefixes, server_names=(host,))
    if ground.nameless:
        yield ChainMatch(prefix_ranges=ground.prefixes, transport="tls" if ground.by_name else None)


def _tcp_group(  # noqa: PLR0917 (a memo knows inputs by their place)
    memo: Memo,
    upstream: Upstream,
    port: Port,
    ground: Ground,
    ruled: Ruled | None,
    reachable: bool,  # noqa: FBT001
) -> Group:
    found = ruled or Ruled()
    rest = reachable and not found.complete
    own = (service_chain(upstream, port, match=ChainMatch(prefix_ranges=ground.prefixes)),) if rest else ()
    return memo.same(Group(chains=(*found.chains, *own), problems=found.problems))


def _no_server_name(upstream: Upstream, port: Port) -> Problem:
    host = upstream.service.host
    message = f"TLS to {host} cannot be told by server name, so port {port.number} is left out"
    return Problem(code="W-SC-SERVER-NAME", at=port.origin, message=message, hint="name the hosts, or use '*.'")
