"""The Sidecar's egress listeners and the HTTP proxy port -> bound listeners and their route tables (spec 9.1, 7.2)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from meshd.compiler.tcp_chains import Served, tcp_chains
from meshd.compiler.upstream import is_callable
from meshd.compiler.view import View
from meshd.compiler.virtual_hosts import route_table
from meshd.mesh.visibility import Scope
from meshd.names import ListenerName, RouteTableName
from meshd.plan import Bind, HttpChain, Listener, RouteTable, SocketBind, UnixBind
from meshd.problems import Origin, Problem, Problems
from meshd.resources.protocol import Family, family, port_protocol
from meshd.resources.sidecar import IstioEgressListener, SidecarPort

_LOOPBACK: Final = "127.0.0.1"
_UNIX: Final = "unix://"
_HTTP_PROXY: Final = "HTTP_PROXY"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """One listener, and the table it routes by where it is HTTP. `listener` None: it would have nothing to offer."""

    listener: Listener | None = None
    table: RouteTable | None = None
    problems: Problems = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a listener is bound, what it is called and who asked for it. `port` 0: a Unix socket."""

    bind: Bind
    name: ListenerName
    port: int
    origin: Origin


def listeners(
    view: View, egress: tuple[IstioEgressListener, ...], everything: Scope, http_proxy_port: int
) -> Iterator[Bound]:
    """The ports that entries name are theirs; then comes the HTTP proxy; an entry without port binds what is left."""
    named = [(entry, entry.port) for entry in egress if entry.port]
    taken = {port.number for _, port in named}
    for entry, port in named:
        yield _named(view, entry, port)
    if http_proxy_port and http_proxy_port not in taken:
        place = _socket(_LOOPBACK, http_proxy_port, view.host.settings.origin)
        yield _http(view, everything, place, "http_proxy", absolute_urls=True)
    for entry in egress:
        if entry.port is None:
            yield from _unnamed(view, entry, taken | {http_proxy_port})


# --- entries --------------------------------------------------------------------------------------------------


def _named(view: View, entry: IstioEgressListener, port: SidecarPort) -> Bound:
    within = view.scope(entry)
    place = _place(entry, port)
    if port.protocol.upper() == _HTTP_PROXY:
        return _http(view, within, place, _table_name(place), absolute_urls=True)
    speaks = family(port_protocol(port.protocol, port.name or ""))
    served = list(_served(view, within, place.port))
    problems = [*_uncaptured(entry), *_of_other_families(served, speaks, place)]
    if speaks == "http":
        bound = _http(view, within, place, _table_name(place), absolute_urls=False)
        return Bound(listener=bound.listener, table=bound.table, problems=(*problems, *bound.problems))
    return _tcp([each for each in served if each.port.family == speaks], place, problems)


def _unnamed(view: View, entry: IstioEgressListener, taken: set[int]) -> Iterator[Bound]:
    """SC-11: each service port that nobody else has is bound, on the loopback address."""
    within = view.scope(entry)
    by_port: dict[int, list[Served]] = {}
    for each in _served(view, within, 0):
        by_port.setdefault(each.port.number, []).append(each)
    for number in sorted(by_port.keys() - taken):
        yield _of_service_port(view, within, by_port[number], _socket(_LOOPBACK, number, entry.origin))


def _of_service_port(view: View, within: Scope, served: list[Served], place: Place) -> Bound:
    families = {each.port.family for each in served}
    if families == {"http"}:
        return _http(view, within, place, _table_name(place), absolute_urls=False)
    if "http" in families:
        return Bound(problems=(_mixed(served, place),))
    return _tcp(served, place, [])


def _served(view: View, within: Scope, number: int) -> Iterator[Served]:
    """The ports with this number, or all; of services that can be called without capture."""
    for service in within.services.values():
        if is_callable(service):
            for port in service.ports:
                if number in {0, port.number}:
                    yield Served(view.upstream(service), port)


# --- listeners ------------------------------------------------------------------------------------------------


def _http(view: View, within: Scope, place: Place, name: str, *, absolute_urls: bool) -> Bound:
    """An explicit proxy and a Unix socket have one table for the services of all ports."""
    port = None if absolute_urls or place.port == 0 else place.port
    table = route_table(view, within, RouteTableName(name), port)
    chain = HttpChain(
        route_table=table.routes.name,
        stat_prefix=f"outbound_{place.name}",
        absolute_urls=absolute_urls,
        grpc_web=_has_grpc_web(within, port),
    )
    listener = Listener(name=place.name, bind=place.bind, chains=(chain,), origin=place.origin)
    return Bound(listener=listener, table=table.routes, problems=table.problems)


def _tcp(served: list[Served], place: Place, problems: list[Problem]) -> Bound:
    chains = tcp_chains(served, place.origin, problems)
    if not chains:
        message = f"no service to offer on {place.name}, so it is not bound"
        problems.append(Problem(code="W-SC-EMPTY", at=place.origin, message=message, hint="look at its hosts"))
        return Bound(problems=tuple(problems))
    listener = Listener(name=place.name, bind=place.bind, chains=chains, origin=place.origin)
    return Bound(listener=listener, problems=tuple(problems))


def _place(entry: IstioEgressListener, port: SidecarPort) -> Place:
    bind = entry.bind or _LOOPBACK
    if bind.startswith(_UNIX):
        path = UnixBind(path=bind.removeprefix(_UNIX))
        return Place(bind=path, name=ListenerName(bind), port=0, origin=entry.origin)
    return _socket(str(ipaddress.ip_address(bind)), port.number, entry.origin)


def _socket(ip: str, port: int, origin: Origin) -> Place:
    return Place(bind=SocketBind(ip=ip, port=port), name=ListenerName(f"{ip}_{port}"), port=port, origin=origin)


def _table_name(place: Place) -> str:
    """Spec 11: the port, or the bind of a Unix socket."""
    return str(place.port) if place.port else place.name


def _has_grpc_web(within: Scope, number: int | None) -> bool:
    return any(
        port.protocol == "GRPC-WEB" and number in {None, port.number}
        for service in within.services.values()
        for port in service.ports
    )


# --- what has to be said --------------------------------------------------------------------------------------


def _uncaptured(entry: IstioEgressListener) -> Iterator[Problem]:
    if entry.capture_mode == "IPTABLES":
        message = "nothing captures connections on this host, so the port is bound"
        yield Problem(code="W-SC-CAPTURE", at=entry.origin.at("captureMode"), message=message)


def _of_other_families(served: Iterable[Served], speaks: Family, place: Place) -> Iterator[Problem]:
    if place.port == 0:  # a Unix socket offers whatever speaks its protocol
        return
    for each in served:
        if each.port.family != speaks:
            message = f"port {each.port.number} of {each.host} is {each.port.protocol}, so it is left out here"
            yield Problem(code="W-SC-PORT-PROTOCOL", at=place.origin.at("port"), message=message)


def _mixed(served: list[Served], place: Place) -> Problem:
    http = next(each.host for each in served if each.port.family == "http")
    other = next(each for each in served if each.port.family != "http")
    message = (
        f"HTTP of {http} and {other.port.protocol} of {other.host} on one bound port, {place.port}, is not supported"
    )
    hint = "give one of them an egress listener with a port of its own"
    return Problem(code="E-UNSUPPORTED", at=place.origin, message=message, hint=hint)
