"""Gateways that nobody runs or that get in each other's way, and VirtualServices that do not come to bear at theirs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from meshd.memo import Memo
from meshd.mesh.bindings import Overlapping
from meshd.mesh.gateways import (
    MESH,
    GatewayName,
    GatewayServer,
    ServerHost,
    gateway_name,
    gateways_of,
    name_of,
    selects,
    servers_of,
)
from meshd.mesh.openings import Speaks, conflicts, openings, speaks
from meshd.mesh.survey import Survey
from meshd.mesh.visibility import hosts_of, is_for_mesh
from meshd.names import Namespace, ServiceHost
from meshd.problems import Origin, Problem, Problems, closest
from meshd.resources.gateway import Gateway
from meshd.resources.http_match import HTTPMatchRequest
from meshd.resources.l4_routes import L4MatchAttributes, TLSMatchAttributes
from meshd.resources.virtual_service import VirtualService

Match = HTTPMatchRequest | TLSMatchAttributes | L4MatchAttributes


# --- among Gateways -------------------------------------------------------------------------------------------


def idle_gateways(survey: Survey) -> Iterator[Problem]:
    """G-2."""
    for gateway in survey.mesh.gateways:
        crew = survey.residents.crews.get(name_of(gateway))
        if crew is None or not crew.clients:
            wanted = ", ".join(f"{key}={value}" for key, value in sorted(gateway.selector.items()))
            yield Problem(
                code="W-VALUE",
                at=gateway.origin.at("selector"),
                message=f"no workload has the labels {wanted}" if wanted else "no workload is a gateway",
                hint="a gateway host has a WorkloadEntry with these labels",
            )


def conflicting_servers(survey: Survey) -> Iterator[Problem]:
    """Spec 4.3, for every gateway that there is, and for each that the selectors speak of."""
    labels = [client.labels for crew in survey.residents.crews.values() for client in crew.clients]
    told: dict[Problem, None] = {}
    for together in _selected_together(survey.mesh.gateways, labels):
        told.update(dict.fromkeys(survey.memo.recall(_conflicts, survey.memo, *together)))
    yield from told


def _selected_together(gateways: tuple[Gateway, ...], labels: Iterable[Mapping[str, str]]) -> list[list[Gateway]]:
    """The Gateways that meet on one host; each company once."""
    distinct = {tuple(sorted(gateway.selector.items())): gateway for gateway in gateways}
    hosts = {tuple(sorted(each.items())): each for each in (*labels, *(each.selector for each in distinct.values()))}
    companies: dict[frozenset[object], None] = {}
    for each in hosts.values():
        companies[frozenset(key for key, gateway in distinct.items() if selects(gateway, each))] = None
    by_selector = [(tuple(sorted(gateway.selector.items())), gateway) for gateway in gateways]
    return [[gateway for key, gateway in by_selector if key in company] for company in companies]


def _conflicts(memo: Memo, *gateways: Gateway) -> Problems:
    servers = [server for gateway in gateways for server in memo.recall(servers_of, gateway)]
    return tuple(problem for opening in openings(servers, {}) for problem in conflicts(opening))


# --- between VirtualServices and Gateways ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Door:
    """A Gateway as VirtualServices find it. `offers`: by host, who may bind there and what is spoken."""

    gateway: Gateway
    offers: Mapping[ServiceHost, tuple[tuple[ServerHost, Speaks], ...]]
    hosts: Overlapping


Doors = Mapping[GatewayName, _Door]


def bound_virtual_services(survey: Survey) -> Iterator[Problem]:
    """V-2 and 4.4."""
    memo, suffix = survey.memo, survey.mesh.settings.domain_suffix
    doors = memo.recall(_doors, survey.mesh.gateways, memo)
    for virtual_service in memo.recall(_naming_gateways, survey.virtual_services):
        yield from memo.recall(_verdict, virtual_service, doors, suffix, memo)


def _naming_gateways(virtual_services: tuple[VirtualService, ...]) -> tuple[VirtualService, ...]:
    return tuple(each for each in virtual_services if each.gateways or any(match.gateways for match in _matches(each)))


def _doors(gateways: tuple[Gateway, ...], memo: Memo) -> Doors:
    return {name_of(gateway): memo.recall(_door, gateway) for gateway in gateways}


def _verdict(virtual_service: VirtualService, doors: Doors, suffix: str, memo: Memo) -> Problems:
    found = [*_unknown(virtual_service, doors)]
    for gateway in gateways_of(virtual_service):
        if gateway in doors:
            found.extend(memo.recall(_unfit, virtual_service, doors[gateway], suffix))
    return tuple(found)


def _unknown(virtual_service: VirtualService, doors: Doors) -> Iterator[Problem]:
    namespace = Namespace(virtual_service.metadata.namespace)
    general = frozenset(gateways_of(virtual_service))
    for text, at in _named(virtual_service):
        gateway = gateway_name(text, namespace)
        if gateway != MESH and gateway not in doors:
            hint = _near(text, gateway, namespace, doors)
            yield Problem(code="E-VS-GATEWAY-UNKNOWN", at=at, message=f"no Gateway {gateway}", hint=hint)
        elif gateway not in general:
            message = f"{gateway} is none of this VirtualService's gateways, so that no match can choose it"
            yield Problem(code="W-VALUE", at=at, message=message, hint="name it in spec.gateways")


def _named(virtual_service: VirtualService) -> Iterator[tuple[str, Origin]]:
    at = virtual_service.origin.at("gateways")
    yield from ((text, at.item(index)) for index, text in enumerate(virtual_service.gateways))
    for match in _matches(virtual_service):
        place = match.origin.at("gateways")
        yield from ((text, place.item(index)) for index, text in enumerate(match.gateways))


def _matches(virtual_service: VirtualService) -> Iterator[Match]:
    yield from (match for rule in virtual_service.http for match in rule.match)
    yield from (match for rule in virtual_service.tls for match in rule.match)
    yield from (match for rule in virtual_service.tcp for match in rule.match)


def _near(text: str, gateway: GatewayName, namespace: Namespace, doors: Doors) -> str:
    """The same name in another namespace is likelier than another name."""
    name = gateway.partition("/")[2]
    elsewhere = sorted(known for known in doors if known.partition("/")[2] == name)
    own = [known.partition("/")[2] for known in doors if known.startswith(f"{namespace}/")]
    near = elsewhere[0] if elsewhere else closest(text, [*own, *doors, MESH])
    if near is None:
        return ""
    door = doors.get(gateway_name(near, namespace))
    return f"did you mean {near!r} ({door.gateway.origin})?" if door else f"did you mean {near!r}?"


def _door(gateway: Gateway) -> _Door:
    offers: dict[ServiceHost, tuple[tuple[ServerHost, Speaks], ...]] = {}
    for each in servers_of(gateway):
        for offer in each.hosts:
            offers[offer.host] = (*offers.get(offer.host, ()), (offer, _inside(each)))
    return _Door(gateway=gateway, offers=offers, hosts=Overlapping(offers))


def _inside(each: GatewayServer) -> Speaks:
    """What a VirtualService gets to see there: behind TLS that ends, requests or any bytes."""
    if speaks(each) != "tls" or each.server.tls is None or not each.server.tls.terminates:
        return speaks(each)
    return "http" if each.server.port.protocol.upper() == "HTTPS" else "tcp"


def _unfit(virtual_service: VirtualService, door: _Door, suffix: str) -> Problems:
    """Hosts that no server has, unless they are for sidecars; or rules for other traffic than what comes in."""
    hosts = hosts_of(virtual_service, suffix)
    spoken = [_spoken(host, door, Namespace(virtual_service.metadata.namespace)) for host in hosts]
    given = {name for name in ("http", "tls", "tcp") if getattr(virtual_service, name)}
    every = frozenset().union(*spoken)
    if every and every.isdisjoint(given):
        return (_without_effect(virtual_service, door, given, every),)
    if every and is_for_mesh(virtual_service):
        return ()
    unfit = (index for index, inside in enumerate(spoken) if not inside)
    return tuple(_without_server(virtual_service, door, index, hosts[index]) for index in unfit)


def _spoken(host: ServiceHost, door: _Door, namespace: Namespace) -> frozenset[Speaks]:
    offered = (offer for named in door.hosts.with_host(host) for offer in door.offers[named])
    return frozenset(inside for offer, inside in offered if offer.admits(namespace))


def _without_server(virtual_service: VirtualService, door: _Door, index: int, host: ServiceHost) -> Problem:
    where = f"{door.gateway.id} ({door.gateway.origin})"
    for_others = any(door.hosts.with_host(host))
    namespace = virtual_service.metadata.namespace
    return Problem(
        code="W-VALUE",
        at=virtual_service.origin.at("hosts").item(index),
        message=f"no server of {where} has {host!r} among its hosts{' for this namespace' if for_others else ''}",
        hint=f"add {namespace}/{host} to the hosts of a server" if for_others else "add it to the hosts of a server",
    )


def _without_effect(virtual_service: VirtualService, door: _Door, given: set[str], spoken: frozenset[str]) -> Problem:
    routes = " and ".join(sorted(given))
    return Problem(
        code="W-VALUE",
        at=virtual_service.origin.at(min(given, default="hosts")),
        message=f"{routes} routes see nothing of what comes through {door.gateway.id} ({door.gateway.origin})",
        hint=f"its servers for these hosts take {' and '.join(sorted(spoken))} routes",
    )
