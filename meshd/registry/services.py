"""ServiceEntries and WorkloadEntries become services and their instances (spec 2.3, 7 and 8)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from meshd.memo import Memo, together
from meshd.names import Namespace, ServiceHost
from meshd.problems import Problem, Problems
from meshd.registry.hosts import canonical
from meshd.registry.instances import instances, passed_over
from meshd.registry.precedence import exports, precedence
from meshd.registry.service import Port, Service
from meshd.registry.workload_index import WorkloadIndex
from meshd.resources.protocol import family, port_protocol
from meshd.resources.resource import Resource
from meshd.resources.service_entry import ServiceEntry, ServicePort
from meshd.resources.workload_entry import WorkloadEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """All services by host; those of one host in the order of spec 2.6."""

    services: Mapping[ServiceHost, tuple[Service, ...]]
    problems: Problems


@dataclass(frozen=True, slots=True, kw_only=True)
class _Built:
    """One service; `entry` is the first of those that it came from."""

    service: Service
    entry: ServiceEntry
    problems: Problems


def registry(entries: Iterable[ServiceEntry], workloads: Iterable[WorkloadEntry], memo: Memo) -> Registry:
    """Every (host, namespace) as one service: the very same object as in the last pass while its parts are.

    Entries and workloads come in the order of spec 2.6. No service has parts in two namespaces, so that what
    happens in one costs the others nothing.
    """
    at_home = _by_namespace(workloads)
    built: dict[ServiceHost, list[_Built]] = {}
    for namespace, own in _by_namespace(entries).items():
        for each in memo.recall(_in_namespace, memo, len(own), *own, *at_home.get(namespace, ())):
            built.setdefault(each.service.host, []).append(each)
    services = {host: memo.recall(together, *_in_order(sharing)) for host, sharing in built.items()}
    problems = (problem for sharing in built.values() for each in sharing for problem in each.problems)
    return Registry(services=services, problems=tuple(problems))


R = TypeVar("R", bound=Resource)


def _by_namespace(resources: Iterable[R]) -> dict[str, list[R]]:
    namespaces: dict[str, list[R]] = {}
    for resource in resources:
        namespaces.setdefault(resource.metadata.namespace, []).append(resource)
    return namespaces


def _in_order(sharing: list[_Built]) -> Iterable[Service]:
    if len(sharing) > 1:
        sharing.sort(key=lambda built: precedence(built.entry.metadata))
    return (built.service for built in sharing)


def _in_namespace(memo: Memo, count: int, *parts: ServiceEntry | WorkloadEntry) -> tuple[_Built, ...]:
    """`parts`: the entries of a namespace, `count` of them, then its workloads."""
    index = WorkloadIndex(part for part in parts[count:] if isinstance(part, WorkloadEntry))
    hosts = _by_host(part for part in parts[:count] if isinstance(part, ServiceEntry))
    return tuple(_recalled(memo, index, host, sharing) for host, sharing in hosts.items())


def _recalled(memo: Memo, index: WorkloadIndex, host: ServiceHost, sharing: list[ServiceEntry]) -> _Built:
    first = sharing[0]
    if len(sharing) == 1:
        return memo.recall(_build, host, 1, first, *index.selected_by(first))
    united = [entry for entry in sharing if agree(entry, first)]
    built = memo.recall(_build, host, len(united), *united, *index.selected_by(first))
    return replace(built, problems=(*built.problems, *_left_out(host, sharing)))


def _by_host(entries: Iterable[ServiceEntry]) -> dict[ServiceHost, list[ServiceEntry]]:
    groups: dict[ServiceHost, list[ServiceEntry]] = {}
    for entry in entries:
        for host in dict.fromkeys(map(canonical, entry.hosts)):
            groups.setdefault(host, []).append(entry)
    return groups


def agree(one: ServiceEntry, other: ServiceEntry) -> bool:
    """Spec 2.3: whether two entries of one host and namespace can be one service."""
    namespace = Namespace(one.metadata.namespace)
    return one is other or (
        one.resolution == other.resolution
        and exports(one.export_to, namespace) == exports(other.export_to, namespace)
        and one.metadata.labels == other.metadata.labels
        and one.workload_selector == other.workload_selector
    )


def _left_out(host: ServiceHost, sharing: list[ServiceEntry]) -> Iterator[Problem]:
    first = sharing[0]
    for entry in sharing[1:]:
        if not agree(entry, first):
            yield Problem(
                code="W-SE-DUP-HOST",
                at=entry.origin.at("hosts"),
                message=f"{host} is left out here: {first.id} ({first.origin}) has it already, and differs",
                hint="entries of one host are united when resolution, exportTo, labels and selector are the same",
            )


def _build(host: ServiceHost, count: int, *parts: ServiceEntry | WorkloadEntry) -> _Built:
    """`parts`: the entries that are one service, `count` of them, then the workloads they select."""
    entries = [part for part in parts[:count] if isinstance(part, ServiceEntry)]
    selected = [part for part in parts[count:] if isinstance(part, WorkloadEntry)]
    ports = _united_ports(entries)
    first = entries[0]
    service = Service(
        host=host,
        namespace=Namespace(first.metadata.namespace),
        ports=tuple(_port(port) for port in ports.values() if port_protocol(port.protocol, port.name) != "UDP"),
        instances=instances(host, entries, selected, ports),
        resolution=first.resolution,
        resolution_without_capture=first.extras.resolution_without_capture,
        location=first.location,
        addresses=_united(entry.addresses for entry in entries),
        subject_alt_names=_united(entry.subject_alt_names for entry in entries),
        export_to=exports(first.export_to, Namespace(first.metadata.namespace)),
        precedence=precedence(first.metadata),
        origin=first.origin,
    )
    return _Built(
        service=service,
        entry=first,
        problems=(
            *_port_conflicts(host, entries, ports),
            *passed_over(first, selected),
            *_selects_nobody(first, selected),
        ),
    )


def _selects_nobody(entry: ServiceEntry, selected: list[WorkloadEntry]) -> Iterator[Problem]:
    """With resolution NONE it is of no use anyway, which is told where the entry is checked."""
    if entry.workload_selector and not selected and entry.resolution != "NONE":
        wanted = ", ".join(f"{key}={value}" for key, value in sorted(entry.workload_selector.labels.items()))
        yield Problem(
            code="W-VALUE",
            at=entry.workload_selector.origin,
            message=f"no WorkloadEntry of namespace {entry.metadata.namespace} has the labels {wanted}"
            if wanted
            else f"there is no WorkloadEntry in namespace {entry.metadata.namespace}",
            hint="look at the spelling of the labels, and at the namespace",
        )


def _united(lists: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for each in lists for text in each))


def _united_ports(entries: list[ServiceEntry]) -> dict[int, ServicePort]:
    """By number. Where a number or a name is given to two different ports, the first counts."""
    ports: dict[int, ServicePort] = {}
    names: set[str] = set()
    for port in (port for entry in entries for port in entry.ports):
        if port.number not in ports and port.name not in names:
            ports[port.number] = port
            names.add(port.name)
    return ports


def _port_conflicts(
    host: ServiceHost, entries: list[ServiceEntry], ports: Mapping[int, ServicePort]
) -> Iterator[Problem]:
    by_name = {port.name: port for port in ports.values()}
    for port in (port for entry in entries for port in entry.ports):
        other = ports.get(port.number) or by_name[port.name]
        if port != other:
            yield Problem(
                code="W-SE-DUP-HOST",
                at=port.origin,
                message=f"port {port.number} of {host} is another at {other.origin}, and that one counts",
                hint="give it the same number, name, protocol and targetPort, or others altogether",
            )


def _port(port: ServicePort) -> Port:
    protocol = port_protocol(port.protocol, port.name)
    return Port(
        number=port.number,
        name=port.name,
        protocol=protocol,
        family=family(protocol),
        target_port=port.target_port or port.number,
        origin=port.origin,
    )
