"""Whether the destinations of routes lead anywhere: service, port, subset (spec V-50 to V-52, 3.5 and 7.1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from meshd.memo import Memo
from meshd.mesh.audience import Audience
from meshd.mesh.checks.did_you_mean import Known
from meshd.mesh.client import Client
from meshd.mesh.rules import MergedRule
from meshd.mesh.selection import rule_among
from meshd.mesh.survey import Residents, Survey
from meshd.mesh.visibility import hosts_of, service_for
from meshd.names import Namespace, ServiceHost
from meshd.problems import Origin, Problem, Problems, nearest
from meshd.registry.host_table import HostTable
from meshd.registry.hosts import complete, is_wildcard
from meshd.registry.precedence import exports
from meshd.registry.service import Port, Service
from meshd.registry.settings import MeshSettings
from meshd.resources.destination import Destination
from meshd.resources.virtual_service import VirtualService

_Part = tuple[Service, ...] | tuple[MergedRule, ...] | Client


@dataclass(frozen=True, slots=True, kw_only=True)
class _Verdict:
    """`unknown`: the destinations whose host no service has, each with its complete host."""

    problems: Problems
    unknown: tuple[tuple[ServiceHost, Origin], ...]


def destinations(survey: Survey) -> Iterator[Problem]:
    mesh, memo = survey.mesh, survey.memo
    known = Known(mesh.services)
    ground = memo.recall(_ground, mesh.services, survey.rules, survey.residents, mesh.settings, memo)
    for virtual_service in survey.virtual_services:
        verdict = memo.recall(_verdict, virtual_service, ground)
        yield from verdict.problems
        for host, at in verdict.unknown:
            message = f"no ServiceEntry has the host {host!r}"
            yield Problem(code="E-VS-DEST-UNKNOWN", at=at, message=message, hint=known.near(host))


def named_by(virtual_service: VirtualService) -> Iterator[Destination]:
    """Every destination of its routes and mirrors."""
    for route in virtual_service.http:
        yield from (weighted.destination for weighted in route.route)
        yield from (mirror.destination for mirror in route.mirrors)
        if route.mirror:
            yield route.mirror


def _full(destination: Destination, virtual_service: VirtualService, settings: MeshSettings) -> ServiceHost:
    return complete(destination.host, Namespace(virtual_service.metadata.namespace), settings.domain_suffix)


# --- one VirtualService, remembered while all that it leads to is unchanged -----------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ground:
    """All of the mesh that a VirtualService may lead to."""

    services: Mapping[ServiceHost, tuple[Service, ...]]
    rules: HostTable[tuple[MergedRule, ...]]
    residents: Residents
    settings: MeshSettings
    memo: Memo


def _ground(
    services: Mapping[ServiceHost, tuple[Service, ...]],
    rules: HostTable[tuple[MergedRule, ...]],
    residents: Residents,
    settings: MeshSettings,
    memo: Memo,
) -> _Ground:
    return _Ground(services=services, rules=rules, residents=residents, settings=settings, memo=memo)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Names:
    """`destinations`: complete host and place of each; `hosts`: those, each once; `fronts`: its own besides."""

    destinations: tuple[tuple[ServiceHost, Origin], ...]
    hosts: tuple[ServiceHost, ...]
    fronts: tuple[ServiceHost, ...]


def _names(virtual_service: VirtualService, settings: MeshSettings) -> _Names:
    named = tuple(
        (_full(each, virtual_service, settings), each.origin.at("host")) for each in named_by(virtual_service)
    )
    hosts = tuple(dict.fromkeys(host for host, _ in named))
    fronts = tuple(host for host in hosts_of(virtual_service, settings.domain_suffix) if host not in hosts)
    return _Names(destinations=named, hosts=hosts, fronts=fronts)


def _verdict(virtual_service: VirtualService, ground: _Ground) -> _Verdict:
    """Where something of the mesh changed, but nothing of what this one leads to, its problems are recalled."""
    services, settings, memo = ground.services, ground.settings, ground.memo
    names = memo.recall(_names, virtual_service, settings)
    groups = [services[host] for host in (*names.hosts, *names.fronts) if host in services]
    covering = {of: group for host in names.hosts for of, group in ground.rules.covering(host)}
    picky = {rule.namespace for group in covering.values() for rule in group if rule.selector is not None}
    clients = ground.residents.clients(sorted(picky), memo)
    parts: tuple[_Part, ...] = (*groups, *covering.values(), *clients)
    return _Verdict(
        problems=memo.recall(_problems, virtual_service, ground.residents.homes, settings, *parts),
        unknown=tuple((host, at) for host, at in names.destinations if host not in services),
    )


def _problems(
    virtual_service: VirtualService,
    homes: tuple[Namespace, ...],
    settings: MeshSettings,
    *parts: _Part,
) -> Problems:
    """`parts`: the services of each host that it names, the rules of each host that covers a destination, and the
    clients for whom labels decide which rule is in force."""
    found = [each for part in parts if isinstance(part, tuple) for each in part]
    audience = Audience(homes=homes, clients=tuple(part for part in parts if isinstance(part, Client)))
    services = [each for each in found if isinstance(each, Service)]
    rules = [each for each in found if isinstance(each, MergedRule)]
    routes = _Routes(virtual_service, audience, settings, services, rules)
    return (*routes.front_problems(), *(problem for each in named_by(virtual_service) for problem in routes.of(each)))


class _Routes:
    """One VirtualService with all that its hosts and destinations mean to those who see it."""

    __slots__ = ("_audience", "_exported", "_ports", "_root", "_rules", "_services", "_settings", "_virtual_service")

    def __init__(
        self,
        virtual_service: VirtualService,
        audience: Audience,
        settings: MeshSettings,
        services: list[Service],
        rules: list[MergedRule],
    ) -> None:
        self._virtual_service = virtual_service
        self._audience = audience
        self._settings = settings
        self._root = Namespace(settings.root_namespace)
        self._services = _by_host(services)
        self._rules = HostTable(_by_host(rules))
        self._exported = exports(virtual_service.export_to, self._namespace)
        self._ports = self._front_ports()

    @property
    def _namespace(self) -> Namespace:
        return Namespace(self._virtual_service.metadata.namespace)

    def _front_ports(self) -> tuple[Port, ...]:
        """The ports at which the hosts of the VirtualService are called; none where that cannot be told here."""
        hosts = hosts_of(self._virtual_service, self._settings.domain_suffix)
        found = [service for host in hosts for service in self._services.get(host, ())]
        if any(is_wildcard(host) or host not in self._services for host in hosts):
            return ()
        return tuple(port for service in found for port in service.ports)

    @property
    def _never_acts(self) -> bool:
        return bool(self._ports) and all(port.family != "http" for port in self._ports)

    def front_problems(self) -> Iterator[Problem]:
        """Spec 3.5: `http` routes act on requests to HTTP ports only."""
        if self._never_acts:
            ports = ", ".join(f"{port.number} is {port.protocol} ({port.origin})" for port in self._ports)
            yield Problem(
                code="E-VS-PORT-PROTOCOL",
                at=self._virtual_service.origin.at("http"),
                message=f"no port of these hosts is HTTP, so that http routes never act: port {ports}",
                hint="give the port protocol HTTP, HTTP2 or GRPC, or a name such as 'http-web'",
            )

    def of(self, destination: Destination) -> Iterator[Problem]:
        """What is wrong for the first client that it is wrong for; an unknown host is told elsewhere."""
        services = self._services.get(_full(destination, self._virtual_service, self._settings))
        if services is None:
            return
        clients = list(self._audience.seeing(self._exported, self._special(services), self._namespace))
        seen = [(client, service_for(services, client)) for client in clients]
        if all(service is None for _, service in seen):
            yield _hidden(destination, services[0], clients)
        for client, service in seen:
            problem = service and self._for_client(destination, service, client)
            if problem:
                yield problem
                return

    def _special(self, services: Sequence[Service]) -> set[str]:
        """The namespaces for which a destination may mean something else than for others."""
        rules = [rule for service in services for rule in self._covering(service)]
        names: set[str] = {self._namespace, self._root, *self._exported}
        names.update(name for service in services for name in (service.namespace, *service.export_to))
        names.update(name for rule in rules for name in (rule.namespace, *rule.export_to))
        return names

    def _covering(self, service: Service) -> Iterator[MergedRule]:
        return (rule for _, rules in self._rules.covering(service.host) for rule in rules)

    def _for_client(self, destination: Destination, service: Service, client: Client) -> Problem | None:
        if service.resolution == "NONE":
            return _needs_capture(destination, service)
        return (
            self._port_problem(destination, service)
            or (None if self._never_acts else _protocol_problem(destination, service))
            or self._subset_problem(destination, service, client)
        )

    def _port_problem(self, destination: Destination, service: Service) -> Problem | None:
        """V-52: the port that is named, else the only one, else the one that the request was sent to."""
        numbers = [port.number for port in service.ports]
        choice = f"its ports are {_listed(numbers)}" if numbers else "it has none"
        if destination.port:
            wanted, at = destination.port.number, destination.port.origin.at("number")
            message = f"{service.host} ({service.origin}) has no port {wanted}"
            return None if wanted in numbers else Problem(code="E-VALUE", at=at, message=message, hint=choice)
        asked = {port.number for port in self._ports}
        if len(numbers) == 1 or not asked or asked & set(numbers):
            return None
        message = (
            f"which port of {service.host} ({service.origin})? None of it is called here: {_listed(sorted(asked))}"
        )
        return Problem(code="E-VALUE", at=destination.origin, message=message, hint=f"name the port: {choice}")

    def _subset_problem(self, destination: Destination, service: Service, client: Client) -> Problem | None:
        """V-51."""
        if destination.subset is None:
            return None
        candidates = [rules for _, rules in self._rules.covering(service.host)]
        rule = rule_among(candidates, service, client, self._root)
        if rule and destination.subset in rule.subsets:
            return None
        where = f"in {rule.rules[0].id} ({rule.origin})" if rule else "for no DestinationRule is in force"
        return Problem(
            code="E-VS-SUBSET-UNDEFINED",
            at=destination.origin.at("subset"),
            message=f"{service.host} has no subset {destination.subset!r} for clients in {client.namespace}, {where}",
            hint=_choice_of_subsets(destination.subset, rule),
        )


Placed = TypeVar("Placed", Service, MergedRule)


def _by_host(found: list[Placed]) -> dict[ServiceHost, tuple[Placed, ...]]:
    groups: dict[ServiceHost, list[Placed]] = {}
    for each in found:
        groups.setdefault(each.host, []).append(each)
    return {host: tuple(group) for host, group in groups.items()}


def _choice_of_subsets(subset: str, rule: MergedRule | None) -> str:
    if rule is None or not rule.subsets:
        return ""
    return nearest(subset, rule.subsets) or f"its subsets are {', '.join(list(rule.subsets)[:10])}"


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


def _hidden(destination: Destination, service: Service, clients: list[Client]) -> Problem:
    names = sorted({client.namespace for client in clients})
    return Problem(
        code="E-VS-DEST-UNKNOWN",
        at=destination.origin.at("host"),
        message=f"{service.host} ({service.origin}) is not exported to {', '.join(names[:3])}, which see this route",
        hint="add the namespace to its exportTo",
    )


def _needs_capture(destination: Destination, service: Service) -> Problem:
    return Problem(
        code="E-SE-NONE-NOCAPTURE",
        at=destination.origin.at("host"),
        message=f"{service.host} ({service.origin}) has resolution NONE, but without capture no address is known",
        hint="set its resolution: DNS or STATIC",
    )


def _protocol_problem(destination: Destination, service: Service) -> Problem | None:
    """Spec 3.5; a TLS port is well: a DestinationRule may originate TLS to it."""
    wanted = [port for port in service.ports if destination.port is None or port.number == destination.port.number]
    if not wanted or any(port.family != "tcp" for port in wanted):
        return None
    return Problem(
        code="E-VS-PORT-PROTOCOL",
        at=destination.origin.at("port" if destination.port else "host"),
        message=f"an http route cannot lead to port {wanted[0].number} of {service.host}: it is {wanted[0].protocol} "
        f"({wanted[0].origin})",
        hint="give the port protocol HTTP, HTTP2 or GRPC, or a name such as 'http-web'",
    )
