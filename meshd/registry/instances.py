"""Where a service runs: its inline endpoints, the workloads it selects, or the host's own name (spec 7.1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from meshd.fields import is_ip
from meshd.names import Locality, ServiceHost
from meshd.problems import Problem
from meshd.registry.service import Instance
from meshd.registry.workloads import labels_of, locality_of, workload_name
from meshd.resources.service_entry import ServiceEntry, ServicePort
from meshd.resources.workload_entry import Workload, WorkloadEntry

Ports = Mapping[int, ServicePort]


def instances(
    host: ServiceHost, entries: list[ServiceEntry], selected: list[WorkloadEntry], ports: Ports
) -> tuple[Instance, ...]:
    """`ports`: those of the united service. The selected workloads serve the ports of all entries.

    DYNAMIC_DNS has none: each request says itself where it goes.
    """
    if entries[0].resolution == "DYNAMIC_DNS":
        return ()
    found = [*_inline(host, entries, ports), *_selected(entries, selected, ports)]
    return tuple(_first_of_each_port(found)) if entries[0].resolution == "DNS_ROUND_ROBIN" else tuple(found)


def passed_over(entry: ServiceEntry, selected: list[WorkloadEntry]) -> Iterator[Problem]:
    """The selected workloads that this kind of service cannot call."""
    for workload in selected:
        reason = _unfit(entry, workload.workload.address)
        if reason:
            yield Problem(
                code="W-VALUE",
                at=workload.origin.at("address"),
                message=f"{entry.id} ({entry.origin}) selects this workload, but passes it over: {reason}",
            )


def _inline(host: ServiceHost, entries: list[ServiceEntry], ports: Ports) -> Iterator[Instance]:
    for entry in entries:
        serves = _serves([entry], ports)
        for endpoint in entry.endpoints:
            yield _instance(endpoint, endpoint.labels, serves)
        if _is_its_own_endpoint(entry):
            yield Instance(
                address=host, ports={}, serves=serves, labels={}, locality=Locality(), weight=1, origin=entry.origin
            )


def _is_its_own_endpoint(entry: ServiceEntry) -> bool:
    return entry.looks_up_names and not entry.endpoints and entry.workload_selector is None


def _selected(entries: list[ServiceEntry], selected: list[WorkloadEntry], ports: Ports) -> Iterator[Instance]:
    serves = _serves(entries, ports)
    for workload in selected:
        if not _unfit(entries[0], workload.workload.address):
            instance = _instance(workload.workload, labels_of(workload), serves)
            yield replace(instance, workload=workload_name(workload))


def _unfit(entry: ServiceEntry, address: str) -> str:
    if entry.resolution == "DYNAMIC_DNS":
        return "with resolution DYNAMIC_DNS each request says itself where it goes"
    if not address:  # behind the gateway of its network (W-1)
        return "without an address there is nothing to look up" if entry.looks_up_names else ""
    if address.startswith("unix://"):
        if entry.looks_up_names:
            return "a unix address needs resolution STATIC"
        return "" if len(entry.ports) == 1 else "a unix address serves exactly one port"
    if entry.resolution in {"NONE", "STATIC"} and not is_ip(address):
        return f"a name needs resolution DNS, not {entry.resolution}"
    return ""


def _serves(entries: Iterable[ServiceEntry], ports: Ports) -> frozenset[int]:
    return frozenset(port.number for entry in entries for port in entry.ports if ports.get(port.number) == port)


def _instance(workload: Workload, labels: Mapping[str, str], serves: frozenset[int]) -> Instance:
    return Instance(
        address=workload.address,
        ports=workload.ports,
        serves=serves,
        labels=labels,
        locality=locality_of(workload, labels),
        weight=workload.weight or 1,
        network=workload.network or "",
        service_account=workload.service_account or "",
        origin=workload.origin,
    )


def _first_of_each_port(found: list[Instance]) -> Iterator[Instance]:
    """DNS_ROUND_ROBIN calls one endpoint only, also where several entries are united (spec 7.1)."""
    taken: set[int] = set()
    for instance in found:
        serves = instance.serves - taken
        taken |= instance.serves
        if serves:
            yield replace(instance, serves=serves)
