"""Whether one destination leads anywhere for those who ask for it: service, port, protocol and subset."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from meshd.mesh.audience import Audience
from meshd.mesh.client import Client
from meshd.mesh.gateways import MESH
from meshd.mesh.named import Asking
from meshd.mesh.rules import MergedRule
from meshd.mesh.selection import rule_among
from meshd.mesh.visibility import service_for
from meshd.names import Namespace, ServiceHost
from meshd.problems import Problem, nearest
from meshd.registry.host_table import HostTable
from meshd.registry.hosts import canonical
from meshd.registry.precedence import exported_to
from meshd.registry.service import Service
from meshd.resources.destination import Destination
from meshd.resources.extras import SourceExtras


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """The object that names destinations: its namespace, and to whom it is exported."""

    namespace: Namespace
    exported: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a destination means to one client; `service` None: it sees none."""

    client: Client
    service: Service | None
    at_gateway: bool


class Judge:
    """`restores`: some rule of the mesh has PROXY headers, by which a gateway may learn an original destination."""

    __slots__ = ("_asker", "_audience", "_restores", "_root", "_rules", "_services")

    def __init__(
        self,
        asker: Asker,
        audience: Audience,
        root: Namespace,
        services: Mapping[ServiceHost, tuple[Service, ...]],
        rules: HostTable[tuple[MergedRule, ...]],
        *,
        restores: bool,
    ) -> None:
        self._asker = asker
        self._audience = audience
        self._root = root
        self._services = services
        self._rules = rules
        self._restores = restores

    def problem(
        self, destination: Destination, host: ServiceHost, asking: Asking, asked: frozenset[int], *, acts: bool
    ) -> Problem | None:
        """What is wrong for the first client that it is wrong for; an unknown host is told elsewhere.

        `asked`: ports that requests may have been sent to, if known. `acts`: False where no request comes here, which
        is told already.
        """
        services = self._services.get(host)
        if services is None:
            return None
        seen = list(self._seen(services, asking))
        if all(each.service is None for each in seen):
            return _hidden(destination, services[0], seen)
        found = (
            self._for_client(destination, each.service, each, asking, asked, acts=acts) for each in seen if each.service
        )
        return next((problem for problem in found if problem), None)

    def _seen(self, services: Sequence[Service], asking: Asking) -> Iterator[Seen]:
        """Where no VM asks for it, one in the asker's own namespace is supposed to."""
        rules = [rule for service in services for rule in self._covering(service)]
        picky = any(rule.is_for_labels for rule in rules)
        sources = [client for rule in rules if rule.source for client in self._sources(rule.source, rule)]
        clients = [*self._sidecars(services, rules), *sources] if MESH in asking.through else []
        crew = list(self._audience.gateways(self._asker.exported, asking.through, by_labels=picky))
        if crew:
            crew.extend(sources)
        if not clients and not crew:
            clients.append(Client(namespace=self._asker.namespace))
        for client in clients:
            yield Seen(client=client, service=service_for(services, client), at_gateway=MESH not in asking.through)
        for client in crew:
            service = service_for(services, client, self._asker.namespace)
            yield Seen(client=client, service=service, at_gateway=True)

    def _sidecars(self, services: Sequence[Service], rules: Sequence[MergedRule]) -> Iterator[Client]:
        """`special`: the namespaces for which a destination may mean something else than for others."""
        special: set[str] = {self._asker.namespace, self._root, *self._asker.exported}
        special.update(name for service in services for name in (service.namespace, *service.export_to))
        special.update(name for rule in rules for name in (rule.namespace, *rule.export_to))
        yield from self._audience.sidecars(self._asker.exported, special)

    def _sources(self, source: SourceExtras, rule: MergedRule) -> Iterator[Client]:
        """Somebody who is that source: whether any VM is, may change without the routes."""
        if exported_to(self._asker.exported, rule.namespace):
            here = (canonical(source.host), frozenset(source.labels.items()))
            yield Client(namespace=rule.namespace, implements=frozenset({here}))

    def _covering(self, service: Service) -> Iterator[MergedRule]:
        return (rule for _, rules in self._rules.covering(service.host) for rule in rules)

    def _for_client(
        self,
        destination: Destination,
        service: Service,
        seen: Seen,
        asking: Asking,
        asked: frozenset[int],
        *,
        acts: bool,
    ) -> Problem | None:
        needs_capture = service.resolution == "NONE" and service.resolution_without_capture is None
        if seen.at_gateway and needs_capture and not (self._restores and asking.speaks != "http"):
            return _needs_capture(destination, service)
        return (
            port_problem(destination, service, asked)
            or (protocol_problem(destination, service) if acts and asking.speaks == "http" else None)
            or self._subset_problem(destination, service, seen.client)
        )

    def _subset_problem(self, destination: Destination, service: Service, client: Client) -> Problem | None:
        """V-51."""
        if destination.subset is None:
            return None
        if service.resolution == "DYNAMIC_DNS":
            return _has_no_subsets(destination, service)
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


def port_problem(destination: Destination, service: Service, asked: frozenset[int]) -> Problem | None:
    """V-52: the port that is named, else the only one, else the one that the request was sent to."""
    numbers = [port.number for port in service.ports]
    choice = f"its ports are {_listed(numbers)}" if numbers else "it has none"
    if destination.port:
        wanted, at = destination.port.number, destination.port.origin.at("number")
        message = f"{service.host} ({service.origin}) has no port {wanted}"
        return None if wanted in numbers else Problem(code="E-VALUE", at=at, message=message, hint=choice)
    if len(numbers) == 1 or not asked or asked & set(numbers):
        return None
    message = f"which port of {service.host} ({service.origin})? None of it is called here: {_listed(sorted(asked))}"
    return Problem(code="E-VALUE", at=destination.origin, message=message, hint=f"name the port: {choice}")


def protocol_problem(destination: Destination, service: Service) -> Problem | None:
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


def _choice_of_subsets(subset: str, rule: MergedRule | None) -> str:
    if rule is None or not rule.subsets:
        return ""
    return nearest(subset, rule.subsets) or f"its subsets are {', '.join(list(rule.subsets)[:10])}"


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


def _hidden(destination: Destination, service: Service, seen: Iterable[Seen]) -> Problem:
    names = sorted({each.client.namespace for each in seen})
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
        message=f"{service.host} ({service.origin}) has resolution NONE, but a gateway knows no original destination",
        hint="set its resolution: DNS, STATIC or DYNAMIC_DNS",
    )


def _has_no_subsets(destination: Destination, service: Service) -> Problem:
    return Problem(
        code="E-VS-SUBSET-UNDEFINED",
        at=destination.origin.at("subset"),
        message=f"{service.host} ({service.origin}) has resolution DYNAMIC_DNS, and so no endpoints to choose from",
        hint="leave the subset out",
    )
