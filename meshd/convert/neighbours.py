"""What the conversion of an object has to know of the hosts that it names: little, and the same while that is.

So an edit costs what depends on the hosts it is about, however large the mesh.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from meshd.convert.outside import Outside
from meshd.convert.surroundings import Surroundings
from meshd.memo import Memo, together
from meshd.names import Namespace, ServiceHost
from meshd.registry.hosts import canonical, complete, covering, is_wildcard
from meshd.registry.service import Service
from meshd.registry.settings import MeshSettings
from meshd.registry.workloads import labels_of
from meshd.resources.destination_rule import DestinationRule
from meshd.resources.gateway_names import MESH
from meshd.resources.legacy import DestinationPolicy, IngressRule, RouteRule
from meshd.resources.legacy.istio_service import IstioService
from meshd.resources.service_entry import ServiceEntry
from meshd.resources.virtual_service import VirtualService
from meshd.resources.workload_entry import WorkloadEntry

Speaker = RouteRule | DestinationPolicy | IngressRule
Name = tuple[str, ServiceHost]
"""The text by which an EgressRule may know the host too, if the name is such; and the host otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """A host as it stands in a revision. Of today's objects, those that are for it by exactly this name.

    `wider`: rules of today for the closest wildcards over it, one group after the other.
    """

    host: ServiceHost
    outside: Outside | None = None
    services: tuple[Service, ...] = ()
    entries: tuple[ServiceEntry, ...] = ()
    virtual_service: VirtualService | None = None
    rules: tuple[DestinationRule, ...] = ()
    wider: tuple[DestinationRule, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What concerns all of a conversion. `workloads`: the ingress and egress gateways; no other is looked at."""

    settings: MeshSettings
    workloads: tuple[WorkloadEntry, ...] = ()
    is_whole: bool = True


class Neighbourhood:
    """All hosts of a revision, each looked up when it is asked for, and once."""

    __slots__ = (
        "_entries",
        "_found",
        "_hosts",
        "_memo",
        "_named",
        "_rules",
        "_services",
        "_suffix",
        "_there",
        "_virtual_services",
        "_wildcards",
        "frame",
    )

    def __init__(self, stage: Surroundings, there: Iterable[Outside], memo: Memo) -> None:
        suffix = stage.settings.domain_suffix
        self._memo = memo
        self._suffix = suffix
        self._named: dict[int, list[ServiceHost]] = {}
        self._found: dict[ServiceHost, Neighbour] = {}
        self._hosts = {each.text: each.host for each in there}
        self._there = {each.host: each for each in there}
        self._services = stage.services
        self._entries = memo.recall(entries_by_host, stage.service_entries, memo)
        self._virtual_services = memo.recall(_virtual_services, stage.virtual_services, suffix)
        self._rules = memo.recall(_rules, stage.destination_rules, suffix, memo)
        self._wildcards = memo.recall(_wildcards, self._rules)
        gateways = memo.recall(_gateways, stage.settings, stage.workloads, memo)
        self.frame = memo.recall(_frame, stage.settings, gateways, stage.is_whole)

    def is_missing(self, host: ServiceHost) -> bool:
        return self.frame.is_whole and host not in self._there and host not in self._services

    def is_outside(self, host: ServiceHost) -> bool:
        return host in self._there

    def rules_of(self, host: ServiceHost) -> tuple[DestinationRule, ...]:
        """Today's, for every client."""
        return self._rules.get(host, ())

    def named_by(self, each: Speaker) -> list[ServiceHost]:
        """The host that it is for, and then all others that it names."""
        named = self._named.get(id(each))
        if named is None:
            names = self._memo.recall(_names, each, self._suffix)
            named = [self._hosts.get(text, host) for text, host in names]
            self._named[id(each)] = named
        return named

    def around(self, hosts: Iterable[ServiceHost]) -> list[Neighbour]:
        """Each once; and the egress gateway, to which any of them may lead."""
        wanted = sorted({*hosts, canonical(self.frame.settings.egress_gateway_host)})
        return [self._neighbour(host) for host in wanted]

    def _neighbour(self, host: ServiceHost) -> Neighbour:
        found = self._found.get(host)
        if found is None:
            found = self._memo.recall(
                _neighbour,
                host,
                self._there.get(host),
                self._services.get(host, ()),
                self._entries.get(host, ()),
                self._virtual_services.get(host),
                self._rules.get(host, ()),
                self._wider(host),
            )
            self._found[host] = found
        return found

    def _wider(self, host: ServiceHost) -> tuple[DestinationRule, ...]:
        found = [rules for wildcard, rules in covering(host, self._wildcards) if wildcard != host]
        return self._memo.recall(together, *(rule for rules in found for rule in rules)) if found else ()


def host_of(service: IstioService, namespace: str, suffix: str) -> ServiceHost:
    """C-HOST-01 to C-HOST-03, but for names of EgressRules. `namespace`: of the object that names it."""
    if service.service is not None:
        return canonical(service.service.lower())
    suffix = (service.domain or suffix).lower().removesuffix(".")
    return ServiceHost(f"{service.name}.{service.namespace or namespace}.{suffix}".lower())


def text_of(service: IstioService) -> str:
    """ER-12: by which an EgressRule may name the same."""
    return (service.service or "").lower()


# --- recalled -------------------------------------------------------------------------------------------------


def _neighbour(  # noqa: PLR0917  (a recalled function has no keywords)
    host: ServiceHost,
    outside: Outside | None,
    services: tuple[Service, ...],
    entries: tuple[ServiceEntry, ...],
    virtual_service: VirtualService | None,
    rules: tuple[DestinationRule, ...],
    wider: tuple[DestinationRule, ...],
) -> Neighbour:
    return Neighbour(
        host=host,
        outside=outside,
        services=services,
        entries=entries,
        virtual_service=virtual_service,
        rules=rules,
        wider=wider,
    )


def _frame(settings: MeshSettings, gateways: tuple[WorkloadEntry, ...], is_whole: bool) -> Frame:  # noqa: FBT001
    return Frame(settings=settings, workloads=gateways, is_whole=is_whole)


def _gateways(settings: MeshSettings, workloads: tuple[WorkloadEntry, ...], memo: Memo) -> tuple[WorkloadEntry, ...]:
    selectors = (settings.ingress_gateway_selector.items(), settings.egress_gateway_selector.items())
    found = [each for each in workloads if any(selector <= labels_of(each).items() for selector in selectors)]
    return memo.recall(together, *found)


def _names(each: Speaker, suffix: str) -> tuple[Name, ...]:
    namespace = each.metadata.namespace
    return tuple((text_of(service), host_of(service, namespace, suffix)) for service in _services(each))


def _services(each: Speaker) -> Iterable[IstioService]:
    yield each.destination
    if isinstance(each, RouteRule):
        yield from (entry.destination for entry in each.route if entry.destination)
        if each.mirror:
            yield each.mirror
    source = each.source if isinstance(each, DestinationPolicy) else each.match.source if each.match else None
    if source:
        yield source


def entries_by_host(
    service_entries: tuple[ServiceEntry, ...], memo: Memo
) -> Mapping[ServiceHost, tuple[ServiceEntry, ...]]:
    found: dict[ServiceHost, list[ServiceEntry]] = {}
    for entry in service_entries:
        for host in entry.hosts:
            found.setdefault(canonical(host), []).append(entry)
    return {host: memo.recall(together, *entries) for host, entries in found.items()}


def _virtual_services(
    virtual_services: tuple[VirtualService, ...], suffix: str
) -> Mapping[ServiceHost, VirtualService]:
    named: dict[ServiceHost, VirtualService] = {}
    for each in virtual_services:
        if each.hosts and (not each.gateways or MESH in each.gateways):
            for host in each.hosts:
                named.setdefault(complete(host, Namespace(each.metadata.namespace), suffix), each)
    return named


def _rules(
    rules: tuple[DestinationRule, ...], suffix: str, memo: Memo
) -> Mapping[ServiceHost, tuple[DestinationRule, ...]]:
    """Those for every client."""
    ruled: dict[ServiceHost, list[DestinationRule]] = {}
    for rule in rules:
        if rule.workload_selector is None and rule.extras.source is None:
            ruled.setdefault(complete(rule.host, Namespace(rule.metadata.namespace), suffix), []).append(rule)
    return {host: memo.recall(together, *found) for host, found in ruled.items()}


def _wildcards(
    rules: Mapping[ServiceHost, tuple[DestinationRule, ...]],
) -> Mapping[ServiceHost, tuple[DestinationRule, ...]]:
    return {host: found for host, found in rules.items() if is_wildcard(host)}
