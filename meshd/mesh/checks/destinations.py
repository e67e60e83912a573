"""The destinations of all VirtualServices: whether each leads anywhere (spec V-50 to V-52, 3.5, 5.12 and 7.1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from meshd.memo import Memo
from meshd.mesh.audience import Audience, Crew
from meshd.mesh.checks.fronts import Fronts
from meshd.mesh.checks.judge import Asker, Judge
from meshd.mesh.client import Client
from meshd.mesh.gateways import GatewayName
from meshd.mesh.named import Named, named_by
from meshd.mesh.rules import MergedRule
from meshd.mesh.survey import Residents, Survey
from meshd.mesh.visibility import hosts_of
from meshd.names import Namespace, ServiceHost
from meshd.problems import Origin, Problem, Problems
from meshd.registry.did_you_mean import Known
from meshd.registry.host_table import HostTable
from meshd.registry.hosts import complete
from meshd.registry.precedence import exports
from meshd.registry.service import Service
from meshd.registry.settings import MeshSettings
from meshd.resources.destination import Destination
from meshd.resources.virtual_service import VirtualService

_Part = tuple[Service, ...] | tuple[MergedRule, ...] | Client | Crew


@dataclass(frozen=True, slots=True, kw_only=True)
class _Verdict:
    """`unknown`: the destinations whose host no service has, each with its complete host."""

    problems: Problems
    unknown: tuple[tuple[ServiceHost, Origin], ...]


def destinations(survey: Survey) -> Iterator[Problem]:
    mesh, memo = survey.mesh, survey.memo
    known = Known(mesh.services)
    restores = survey.has("proxyProtocol")
    ground = memo.recall(_ground, mesh.services, survey.rules, survey.residents, mesh.settings, restores)
    for verdict in memo.recall(_verdicts, survey.virtual_services, ground, memo):
        yield from verdict.problems
        yield from (unknown_host(host, at, known) for host, at in verdict.unknown)


def unknown_host(host: ServiceHost, at: Origin, known: Known) -> Problem:
    """A wildcard service is a destination by its own name only, as everywhere in Istio."""
    message = f"no ServiceEntry has the host {host!r}"
    wider = known.covering(host)
    hint = f"one has {wider!r}: write that, or add an entry for this host" if wider else known.near(host)
    return Problem(code="E-VS-DEST-UNKNOWN", at=at, message=message, hint=hint)


# --- one VirtualService, remembered while all that it leads to is unchanged -----------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ground:
    """All of the mesh that a VirtualService may lead to. `restores`: some rule makes use of PROXY headers."""

    services: Mapping[ServiceHost, tuple[Service, ...]]
    rules: HostTable[tuple[MergedRule, ...]]
    residents: Residents
    settings: MeshSettings
    restores: bool


def _ground(
    services: Mapping[ServiceHost, tuple[Service, ...]],
    rules: HostTable[tuple[MergedRule, ...]],
    residents: Residents,
    settings: MeshSettings,
    restores: bool,  # noqa: FBT001
) -> _Ground:
    return _Ground(services=services, rules=rules, residents=residents, settings=settings, restores=restores)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Names:
    """`hosts`: the complete hosts of all that is named, each once; `fronts`: the VirtualService's own besides."""

    named: tuple[tuple[ServiceHost, Named], ...]
    hosts: tuple[ServiceHost, ...]
    fronts: tuple[ServiceHost, ...]
    gateways: tuple[GatewayName, ...]


def _names(virtual_service: VirtualService, settings: MeshSettings) -> _Names:
    named = tuple((_full(each.destination, virtual_service, settings), each) for each in named_by(virtual_service))
    hosts = tuple(dict.fromkeys(host for host, _ in named))
    return _Names(
        named=named,
        hosts=hosts,
        fronts=tuple(host for host in hosts_of(virtual_service, settings.domain_suffix) if host not in hosts),
        gateways=tuple(sorted({gateway for _, each in named for gateway in each.asking.through})),
    )


def _full(destination: Destination, virtual_service: VirtualService, settings: MeshSettings) -> ServiceHost:
    return complete(destination.host, Namespace(virtual_service.metadata.namespace), settings.domain_suffix)


def _verdicts(virtual_services: tuple[VirtualService, ...], ground: _Ground, memo: Memo) -> tuple[_Verdict, ...]:
    """Of those who have any problem, in the order given."""
    found = (_verdict(each, ground, memo) for each in virtual_services)
    return tuple(verdict for verdict in found if verdict is not None)


def _verdict(virtual_service: VirtualService, ground: _Ground, memo: Memo) -> _Verdict | None:
    """Where something of the mesh changed, but nothing of what this one leads to, its problems are recalled."""
    services, residents, settings = ground.services, ground.residents, ground.settings
    names = memo.recall(_names, virtual_service, settings)
    groups = [services[host] for host in (*names.hosts, *names.fronts) if host in services]
    covering = {of: group for host in names.hosts for of, group in ground.rules.covering(host)}
    picky = {rule.namespace for group in covering.values() for rule in group if rule.is_for_labels}
    clients = residents.clients(sorted(picky), memo) if picky else ()
    crews = [residents.crews[gateway] for gateway in names.gateways if gateway in residents.crews]
    parts: tuple[_Part, ...] = (*groups, *covering.values(), *clients, *crews)
    problems = memo.recall(_problems, virtual_service, residents.homes, settings, ground.restores, *parts)
    unknown = [(host, each.destination.origin.at("host")) for host, each in names.named if host not in services]
    return _Verdict(problems=problems, unknown=tuple(unknown)) if problems or unknown else None


def _problems(
    virtual_service: VirtualService,
    homes: tuple[Namespace, ...],
    settings: MeshSettings,
    restores: bool,  # noqa: FBT001
    *parts: _Part,
) -> Problems:
    """`parts`: the services of each host that it names, the rules of each host that covers a destination, the
    sidecars for which labels decide which rule is in force, and the crews of its gateways."""
    namespace = Namespace(virtual_service.metadata.namespace)
    services = _by_host(each for part in parts if isinstance(part, tuple) for each in part if isinstance(each, Service))
    rules = _by_host(each for part in parts if isinstance(part, tuple) for each in part if isinstance(each, MergedRule))
    audience = Audience(
        homes=homes,
        clients=tuple(part for part in parts if isinstance(part, Client)),
        crews={part.gateway: part for part in parts if isinstance(part, Crew)},
    )
    asker = Asker(namespace=namespace, exported=exports(virtual_service.export_to, namespace))
    fronts = Fronts(virtual_service, services, settings.domain_suffix)
    judge = Judge(asker, audience, Namespace(settings.root_namespace), services, HostTable(rules), restores=restores)
    found = (
        judge.problem(
            each.destination,
            _full(each.destination, virtual_service, settings),
            each.asking,
            fronts.asked(each.asking),
            acts=not fronts.never_acts(each.asking),
        )
        for each in named_by(virtual_service)
    )
    return (*fronts.problems(), *(problem for problem in found if problem))


Placed = TypeVar("Placed", Service, MergedRule)


def _by_host(found: Iterable[Placed]) -> dict[ServiceHost, tuple[Placed, ...]]:
    groups: dict[ServiceHost, list[Placed]] = {}
    for each in found:
        groups.setdefault(each.host, []).append(each)
    return {host: tuple(group) for host, group in groups.items()}
