"""The servers that share an address of a gateway -> one listener, and the tables it routes by (spec 4.3)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from meshd.compiler.connections.chain_order import arrange
from meshd.compiler.gateway.chains import Connections, server_names
from meshd.compiler.gateway.hosts import GatewayTable, http_table, https_table
from meshd.compiler.gateway.misdirected import Ended, demand, stricter
from meshd.compiler.gateway.passthrough import Passed
from meshd.compiler.gateway.server_tls import Termination, server_tls
from meshd.compiler.gateway.traffic import Traffic
from meshd.compiler.http.faults import delays_exponentially
from meshd.compiler.http.matches import Entrance
from meshd.compiler.http.overrides import has_overrides
from meshd.mesh.gateways import GatewayServer
from meshd.mesh.openings import Opening, compatible, has_requests, speaks
from meshd.names import ListenerName, RouteTableName
from meshd.plan import (
    Bind,
    ChainMatch,
    Cluster,
    ClusterEndpoints,
    FilterChain,
    HttpChain,
    Listener,
    RouteTable,
    Secret,
    SocketBind,
    TcpChain,
    UnixBind,
)
from meshd.problems import Origin, Problem, Problems
from meshd.resources.server_tls import ServerTLSSettings

_UNIX = "unix://"


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """`listener` None: nothing could come in there. `clusters`: those that no route names (AUTO_PASSTHROUGH)."""

    listener: Listener | None
    tables: tuple[RouteTable, ...]
    secrets: tuple[Secret, ...]
    clusters: tuple[Cluster, ...]
    endpoints: tuple[ClusterEndpoints, ...]
    problems: Problems


def opened(traffic: Traffic, opening: Opening, *, proxy_protocol: bool) -> Opened:
    """`proxy_protocol`: clients send a PROXY header first, which says where they were going (X-10)."""
    return _Opening(traffic, opening, proxy_protocol=proxy_protocol).opened()


class _Opening:
    """Collects what the servers of one address come to."""

    __slots__ = (
        "_connections",
        "_opening",
        "_passed",
        "_problems",
        "_proxy_protocol",
        "_requests",
        "_secrets",
        "_strict",
        "_tables",
        "_traffic",
    )

    def __init__(self, traffic: Traffic, opening: Opening, *, proxy_protocol: bool) -> None:
        self._traffic = traffic
        self._opening = opening
        self._proxy_protocol = proxy_protocol
        self._requests: list[HttpChain] = []
        self._connections: list[Sequence[TcpChain]] = []
        self._tables: list[RouteTable] = []
        self._secrets: list[Secret] = []
        self._passed: list[Passed] = []
        self._problems: list[Problem] = []
        self._strict = self._asking_for_certificates()

    def opened(self) -> Opened:
        servers = compatible(self._opening)
        if speaks(servers[0]) == "http":
            self._http(servers)
        for each in servers:
            if speaks(each) == "tls":
                self._tls(each)
            elif speaks(each) == "tcp":
                self._tcp(each, None)
        return Opened(
            listener=self._listener(),
            tables=tuple(self._tables),
            secrets=tuple(self._secrets),
            clusters=tuple(cluster for each in self._passed for cluster in each.clusters),
            endpoints=tuple(assigned for each in self._passed for assigned in each.endpoints),
            problems=tuple(self._problems),
        )

    def _listener(self) -> Listener | None:
        """A server is a group of chains, of which the first that fits is meant; among servers the name decides."""
        requests = [(chain,) for chain in self._requests]
        arranged = arrange([*requests, *(self._without_requests(chains) for chains in self._connections)])
        if not arranged.chains:
            return None
        place, origin = self._opening, self._opening.servers[0].server.origin
        return self._traffic.memo.recall(
            _listener, place.bind, place.port, self._proxy_protocol, arranged.ordered, origin, *arranged.chains
        )

    def _without_requests(self, chains: Sequence[TcpChain]) -> list[TcpChain]:
        """What one server ends, another's wildcard does not pass on: Envoy refuses a name in two chains."""
        taken = {name for chain in self._requests for name in chain.match.server_names}
        kept = [_without_names(chain, taken) for chain in chains]
        self._problems.extend(_ended(chain) for chain, left in zip(chains, kept, strict=True) if left is not chain)
        return [left for left in kept if left]

    # --- requests ---------------------------------------------------------------------------------------------

    def _http(self, servers: tuple[GatewayServer, ...]) -> None:
        """All of them are one, told apart by Host."""
        bind = next((each.server.bind for each in servers if each.server.bind), None)
        table = http_table(self._traffic, _http_table_name(self._opening.port, bind), servers)
        prefix = f"outbound_{self._opening.name}"
        grpc_web = any(_speaks_grpc_web(each) for each in servers)
        self._add_http(table, prefix, servers[0].server.origin, "", None, grpc_web=grpc_web)

    def _https(self, each: GatewayServer, termination: Termination) -> None:
        elsewhere = stricter(each, termination, self._strict)
        table = https_table(self._traffic, _https_table_name(each), each, elsewhere)
        prefix = each.server.name or f"outbound_{self._opening.name}"
        names = " ".join(offer.host for offer in each.hosts)
        self._add_http(table, prefix, each.server.origin, names, termination, grpc_web=_speaks_grpc_web(each))

    def _add_http(
        self,
        table: GatewayTable,
        prefix: str,
        origin: Origin,
        names: str,
        termination: Termination | None,
        *,
        grpc_web: bool,
    ) -> None:
        memo, routes = self._traffic.memo, table.routes
        chain = memo.recall(
            _http_chain,
            routes.name,
            prefix,
            origin,
            names,
            termination,
            grpc_web,
            table.dynamic_dns,
            memo.recall(delays_exponentially, routes),
            memo.recall(has_overrides, routes),
        )
        self._requests.append(chain)
        self._tables.append(table.routes)
        self._problems.extend(table.problems)

    # --- connections ------------------------------------------------------------------------------------------

    def _tls(self, each: GatewayServer) -> None:
        tls = each.server.tls
        if tls is None or tls.mode == "PASSTHROUGH":
            self._pass_on(each)
        elif tls.mode == "AUTO_PASSTHROUGH":
            found = self._traffic.passthroughs(each)
            self._passed.extend(found)
            self._connections.extend(passed.chains for passed in found)
        else:
            self._terminate(each, tls)

    def _terminate(self, each: GatewayServer, tls: ServerTLSSettings) -> None:
        termination = self._termination(each, tls)
        self._secrets.extend(termination.secrets)
        if has_requests(each):
            self._https(each, termination)
        else:
            self._tcp(each, termination)

    def _termination(self, each: GatewayServer, tls: ServerTLSSettings) -> Termination:
        inside = "http" if has_requests(each) else "tcp"
        return self._traffic.memo.recall(server_tls, tls, self._traffic.host.settings, inside)

    def _asking_for_certificates(self) -> tuple[Ended, ...]:
        """The servers that take requests only from clients who show one."""
        found = [(each, each.server.tls) for each in self._opening.servers if has_requests(each)]
        ended = [(each, self._termination(each, tls)) for each, tls in found if tls and tls.terminates]
        return tuple((each, end) for each, end in ended if demand(end.tls))

    def _pass_on(self, each: GatewayServer) -> None:
        bindings = [binding for binding in self._traffic.bindings(each) if binding.virtual_service.tls]
        entrance = self._entrance_of(each)
        self._add(self._traffic.passed_on(binding.virtual_service, entrance, each) for binding in bindings)

    def _tcp(self, each: GatewayServer, termination: Termination | None) -> None:
        """Behind TLS each VirtualService has the names that it is for; what nobody names, the first one has."""
        bindings = [binding for binding in self._traffic.bindings(each) if binding.virtual_service.tcp]
        every = tuple(offer.host for offer in each.hosts)
        wanted = [(binding, binding.hosts if termination else ()) for binding in bindings]
        if termination:
            wanted = [*(wanted if len(wanted) > 1 else ()), *((binding, every) for binding in bindings[:1])]
        entrance = self._entrance_of(each)
        self._add(
            self._traffic.connections(binding.virtual_service, entrance, termination, " ".join(names))
            for binding, names in wanted
        )

    def _entrance_of(self, each: GatewayServer) -> Entrance:
        return self._traffic.entrance((each.name,), each.server.port.number, "http", captured=self._proxy_protocol)

    def _add(self, found: Iterable[Connections]) -> None:
        """The chains of one server."""
        each_of = list(found)
        self._connections.append([chain for each in each_of for chain in each.chains])
        self._problems.extend(problem for each in each_of for problem in each.problems)


def _without_names(chain: TcpChain, taken: set[str]) -> TcpChain | None:
    """Only where nothing else would tell the two chains apart."""
    names = chain.match.server_names
    if taken.isdisjoint(names) or chain.match != ChainMatch(server_names=names):
        return chain
    left = tuple(name for name in names if name not in taken)
    return replace(chain, match=ChainMatch(server_names=left)) if left else None


def _ended(chain: TcpChain) -> Problem:
    return Problem(
        code="W-VS-UNREACHABLE",
        at=chain.origin,
        message="another server of this port has some of these names, and ends their TLS there",
        hint="leave them out here",
    )


def _listener(
    bind: str,
    port: int,
    proxy_protocol: bool,  # noqa: FBT001
    ordered: bool,  # noqa: FBT001
    origin: Origin,
    *chains: FilterChain,
) -> Listener:
    return Listener(
        name=ListenerName(f"{bind}_{port}"),
        bind=_bind(bind, port),
        chains=chains,
        side="gateway",
        proxy_protocol=proxy_protocol,
        ordered=ordered,
        origin=origin,
    )


def _bind(bind: str, port: int) -> Bind:
    if bind.startswith(_UNIX):
        return UnixBind(path=bind.removeprefix(_UNIX))
    return SocketBind(ip=bind, port=port)


def _http_chain(  # noqa: PLR0917 (a memo knows inputs by their place)
    table: RouteTableName,
    stat_prefix: str,
    origin: Origin,
    names: str,
    termination: Termination | None,
    grpc_web: bool,  # noqa: FBT001
    dynamic_dns: bool,  # noqa: FBT001
    exponential_delays: bool,  # noqa: FBT001
    header_overrides: bool,  # noqa: FBT001
) -> HttpChain:
    return HttpChain(
        route_table=table,
        stat_prefix=stat_prefix,
        match=ChainMatch(server_names=server_names(names.split())),
        tls=termination.tls if termination else None,
        side="gateway",
        keep_timeout_header=False,
        grpc_web=grpc_web,
        dynamic_dns=dynamic_dns,
        exponential_delays=exponential_delays,
        header_overrides=header_overrides,
        origin=origin,
    )


def _speaks_grpc_web(each: GatewayServer) -> bool:
    return each.server.port.protocol.upper() == "GRPC-WEB"


def _http_table_name(port: int, bind: str | None) -> RouteTableName:
    """Spec 4.3."""
    return RouteTableName(f"http.{port}" + (f".{bind}" if bind else ""))


def _https_table_name(each: GatewayServer) -> RouteTableName:
    metadata, port, bind = each.gateway.metadata, each.server.port, each.server.bind
    name = f"https.{port.number}.{port.name}.{metadata.name}.{metadata.namespace}"
    return RouteTableName(name + (f".{bind}" if bind else ""))
