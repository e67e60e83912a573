"""The hosts that an object names, while it is converted: who implements them, and what is said of them today."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal

from meshd.convert.neighbours import Frame, Neighbour, host_of, text_of
from meshd.convert.outside import Outside
from meshd.convert.report import Report
from meshd.fields import is_ip
from meshd.names import ServiceHost
from meshd.problems import Origin
from meshd.registry.hosts import canonical
from meshd.registry.service import Instance, Port, Service
from meshd.registry.settings import MeshSettings
from meshd.registry.workloads import labels_of, workload_name
from meshd.resources.destination_rule import DestinationRule
from meshd.resources.extras import SourceExtras
from meshd.resources.legacy.istio_service import IstioService
from meshd.resources.service_entry import ServiceEntry
from meshd.resources.virtual_service import VirtualService
from meshd.resources.workload_entry import WorkloadEntry

Share = Literal["all", "some", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A service that calls, perhaps a version of it. `selector`: the labels of its workloads; None: there are none.

    `contradicts`: a label that no workload of the service can have, so that nobody is such a source. `is_missing`: no
    such service is there.
    """

    host: ServiceHost
    namespace: str
    labels: Mapping[str, str]
    selector: Mapping[str, str] | None
    contradicts: str = ""
    is_missing: bool = False


class Scene:
    """`neighbours`: the only hosts that may be asked for, so that a result depends on no others. `report` takes what
    is found on the way."""

    __slots__ = ("_by_text", "_frame", "_neighbours", "report")

    def __init__(self, frame: Frame, neighbours: Iterable[Neighbour], report: Report) -> None:
        self._frame = frame
        self._neighbours = {each.host: each for each in neighbours}
        self._by_text = {each.outside.text: each.host for each in self._neighbours.values() if each.outside}
        self.report = report

    @property
    def settings(self) -> MeshSettings:
        return self._frame.settings

    @property
    def is_whole(self) -> bool:
        """What is not here is not there; else the objects came without the services that they are about."""
        return self._frame.is_whole

    @property
    def gateways(self) -> tuple[WorkloadEntry, ...]:
        """The workloads that the mesh's settings call ingress or egress gateways."""
        return self._frame.workloads

    # --- hosts --------------------------------------------------------------------------------------------------

    def host_of(self, service: IstioService, namespace: str) -> ServiceHost:
        """C-HOST-01 to C-HOST-03. `namespace`: of the object that names it."""
        known = self._by_text.get(text_of(service))
        return known or host_of(service, namespace, self.settings.domain_suffix)

    def outside(self, host: ServiceHost) -> Outside | None:
        return self._neighbours[host].outside

    def services(self, host: ServiceHost) -> tuple[Service, ...]:
        return self._neighbours[host].services

    def leads_past_proxy(self, host: ServiceHost, at: Origin) -> bool:
        """What leaves by the egress proxy leaves by it alone: only rules for the service itself lead there (ER-17)."""
        there = self.outside(host)
        if there is None or not there.uses_proxy:
            return False
        message = f"{there.text} is reached by the egress proxy ({there.origin}), and this would go past it"
        hint = f"write a rule for {there.text} itself, or take useEgressProxy away"
        self.report.add("E-EG-PAST-PROXY", at, message, hint)
        return True

    def is_missing(self, host: ServiceHost) -> bool:
        return self.is_whole and not self.outside(host) and not self.services(host)

    def ports(self, host: ServiceHost) -> tuple[Port, ...]:
        there = self.outside(host)
        return (
            *(there.service_ports if there else ()),
            *(port for service in self.services(host) for port in service.ports),
        )

    def home(self, host: ServiceHost) -> str | None:
        """The namespace whose DestinationRules everybody obeys who calls the host; None: it is unknown."""
        there, services = self.outside(host), self.services(host)
        return there.namespace if there else str(services[0].namespace) if services else None

    # --- what today's objects say of a host ---------------------------------------------------------------------

    def virtual_service_of(self, host: ServiceHost) -> VirtualService | None:
        """C-GEN-05: one for sidecars that names this very host."""
        return self._neighbours[host].virtual_service

    def rules_of(self, host: ServiceHost) -> tuple[DestinationRule, ...]:
        """Those for every client."""
        return self._neighbours[host].rules

    def wider_rule_of(self, host: ServiceHost, namespace: str) -> DestinationRule | None:
        """The one for every client that everybody obeys who calls the host, as long as `namespace` has none for it."""
        near = {namespace, self.settings.root_namespace}
        return next((rule for rule in self._neighbours[host].wider if rule.metadata.namespace in near), None)

    # --- who calls ----------------------------------------------------------------------------------------------

    def source(self, service: IstioService, namespace: str) -> Source:
        """C-RR-05."""
        host = self.host_of(service, namespace)
        entries = self._neighbours[host].entries
        own = _labels_of(entries[0]) if entries else {}
        contradicted = [_contradicted(entry, service.labels) for entry in entries]
        return Source(
            host=host,
            namespace=entries[0].metadata.namespace if entries else service.namespace or namespace,
            labels=service.labels,
            selector={**own, **service.labels} if own else None,
            contradicts=contradicted[0] if contradicted and all(contradicted) else "",
            is_missing=self.is_missing(host),
        )

    def gateways_among(self, source: SourceExtras) -> Share:
        """How many of the ingress gateways are this source, as far as can be told here."""
        if not self.is_whole:
            return "some"
        selector = self.settings.ingress_gateway_selector.items()
        crew = [each for each in self.gateways if selector <= labels_of(each).items()]
        instances = tuple(self._instances(source))
        found = {_is_among(each, instances) for each in crew}
        if found <= {"none"}:
            return "none"
        return "all" if found == {"all"} else "some"

    def _instances(self, source: SourceExtras) -> Iterator[Instance]:
        for service in self.services(canonical(source.host)):
            yield from (each for each in service.instances if source.labels.items() <= each.labels.items())


def _is_among(entry: WorkloadEntry, instances: Iterable[Instance]) -> Share:
    """Whose an inline endpoint is, only the whole VM can tell."""
    name, address = workload_name(entry), entry.workload.address
    shares: set[Share] = {"all" if each.workload == name else "some" for each in instances
                          if each.workload == name or (not each.workload and _same(each.address, address))}  # fmt: skip
    return "all" if "all" in shares else "some" if shares else "none"


def _same(one: str, other: str) -> bool:
    return is_ip(one) and is_ip(other) and ip_address(one) == ip_address(other)


def _labels_of(entry: ServiceEntry) -> Mapping[str, str]:
    """Those that select its workloads, or that all of its endpoints have."""
    if entry.workload_selector:
        return entry.workload_selector.labels
    every = [set(endpoint.labels.items()) for endpoint in entry.endpoints]
    return dict(sorted(set.intersection(*every))) if every else {}


def _contradicted(entry: ServiceEntry, wanted: Mapping[str, str]) -> str:
    """The first of the labels, if they cannot be those of any workload of the entry."""
    if entry.workload_selector:
        own = entry.workload_selector.labels
        return next((key for key in sorted(wanted) if own.get(key, wanted[key]) != wanted[key]), "")
    if not wanted or not entry.endpoints or any(wanted.items() <= each.labels.items() for each in entry.endpoints):
        return ""
    values = {pair for endpoint in entry.endpoints for pair in endpoint.labels.items()}
    return next((key for key in sorted(wanted) if (key, wanted[key]) not in values), min(wanted))
