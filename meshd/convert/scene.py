"""What the conversion of one object has to know of the others: hosts, who implements them, and what is named today."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from meshd.convert.outside import Outside
from meshd.convert.report import Report
from meshd.convert.surroundings import Surroundings
from meshd.names import Namespace, ServiceHost
from meshd.registry.hosts import canonical, complete
from meshd.registry.service import Port
from meshd.registry.settings import MeshSettings
from meshd.resources.destination_rule import DestinationRule
from meshd.resources.gateway_names import MESH
from meshd.resources.legacy.istio_service import IstioService
from meshd.resources.service_entry import ServiceEntry
from meshd.resources.virtual_service import VirtualService


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A service that calls, perhaps a version of it. `selector`: the labels of its workloads; None: there are none.

    `contradicts`: a label that the service's workloads have with another value, so that nobody is such a source.
    """

    host: ServiceHost
    namespace: str
    labels: Mapping[str, str]
    selector: Mapping[str, str] | None
    contradicts: str = ""


class Scene:
    """Of one revision; `report` takes what is found on the way."""

    __slots__ = ("_by_host", "_by_text", "_entries", "_mixed", "_rules", "report", "settings", "stage")

    def __init__(self, stage: Surroundings, outside: Iterable[Outside], report: Report) -> None:
        self.stage = stage
        self.settings: MeshSettings = stage.settings
        self.report = report
        self._by_text = {each.text: each for each in outside}
        self._by_host = {each.host: each for each in self._by_text.values()}
        self._entries = _by_host(stage.service_entries)
        self._mixed = self._named_today(stage.virtual_services)
        self._rules = self._ruled_today(stage.destination_rules)

    # --- hosts --------------------------------------------------------------------------------------------------

    def host_of(self, service: IstioService, namespace: str) -> ServiceHost:
        """C-HOST-01 to C-HOST-03. `namespace`: of the object that names it."""
        if service.service is not None:
            text = service.service.lower()
            there = self._by_text.get(text)
            return there.host if there else canonical(text)
        suffix = (service.domain or self.settings.domain_suffix).lower().removesuffix(".")
        return ServiceHost(f"{service.name}.{service.namespace or namespace}.{suffix}".lower())

    def outside(self, host: ServiceHost) -> Outside | None:
        return self._by_host.get(host)

    def is_missing(self, host: ServiceHost) -> bool:
        return self.stage.is_whole and host not in self._by_host and host not in self.stage.services

    def ports(self, host: ServiceHost) -> tuple[Port, ...]:
        there = self._by_host.get(host)
        services = self.stage.services.get(host, ())
        return (*(there.service_ports if there else ()), *(port for service in services for port in service.ports))

    def home(self, host: ServiceHost) -> str | None:
        """The namespace whose DestinationRules everybody obeys who calls the host; None: it is unknown."""
        there = self._by_host.get(host)
        services = self.stage.services.get(host)
        return there.namespace if there else str(services[0].namespace) if services else None

    # --- what today's objects say of a host ---------------------------------------------------------------------

    def virtual_service_of(self, host: ServiceHost) -> VirtualService | None:
        """C-GEN-05: one for sidecars that names this very host."""
        return self._mixed.get(host)

    def rules_of(self, host: ServiceHost) -> tuple[DestinationRule, ...]:
        """Those for every client."""
        return tuple(self._rules.get(host, ()))

    def _named_today(self, virtual_services: Iterable[VirtualService]) -> dict[ServiceHost, VirtualService]:
        named: dict[ServiceHost, VirtualService] = {}
        for each in virtual_services:
            if each.hosts and (not each.gateways or MESH in each.gateways):
                for host in each.hosts:
                    named.setdefault(self._complete(host, each.metadata.namespace), each)
        return named

    def _ruled_today(self, rules: Iterable[DestinationRule]) -> dict[ServiceHost, list[DestinationRule]]:
        ruled: dict[ServiceHost, list[DestinationRule]] = {}
        for rule in rules:
            if rule.workload_selector is None:
                ruled.setdefault(self._complete(rule.host, rule.metadata.namespace), []).append(rule)
        return ruled

    def _complete(self, host: str, namespace: str) -> ServiceHost:
        return complete(host, Namespace(namespace), self.settings.domain_suffix)

    # --- who calls ----------------------------------------------------------------------------------------------

    def source(self, service: IstioService, namespace: str) -> Source:
        """C-RR-05."""
        host = self.host_of(service, namespace)
        entries = self._entries.get(host, [])
        own = _labels_of(entries[0]) if entries else {}
        differing = sorted(key for key, value in service.labels.items() if own.get(key, value) != value)
        return Source(
            host=host,
            namespace=entries[0].metadata.namespace if entries else service.namespace or namespace,
            labels=service.labels,
            selector={**own, **service.labels} if own else None,
            contradicts=differing[0] if differing else "",
        )


def _by_host(entries: Iterable[ServiceEntry]) -> dict[ServiceHost, list[ServiceEntry]]:
    found: dict[ServiceHost, list[ServiceEntry]] = {}
    for entry in entries:
        for host in entry.hosts:
            found.setdefault(canonical(host), []).append(entry)
    return found


def _labels_of(entry: ServiceEntry) -> Mapping[str, str]:
    """Those that select its workloads, or that all of its endpoints have."""
    if entry.workload_selector:
        return entry.workload_selector.labels
    every = [set(endpoint.labels.items()) for endpoint in entry.endpoints]
    return dict(sorted(set.intersection(*every))) if every else {}
