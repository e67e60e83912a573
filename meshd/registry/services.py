"""ServiceEntries and WorkloadEntries become services and their instances (spec 2.3, 7 and 8)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from meshd.memo import Memo, together
from meshd.names import Namespace, ServiceHost
from meshd.problems import Problem, Problems
from meshd.registry.hosts import canonical
from meshd.registry.instances import instances, passed_over
from meshd.registry.precedence import exports
from meshd.registry.service import Port, Service
from meshd.registry.workload_index import WorkloadIndex
from meshd.resources.protocol import family, port_protocol
from meshd.resources.service_entry import ServiceEntry, ServicePort
from meshd.resources.workload_entry import WorkloadEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """All services by host; those of one host in the order of spec 2.6."""

    services: Mapping[ServiceHost, tuple[Service, ...]]
    problems: Problems


@dataclass(frozen=True, slots=True, kw_only=True)
class _Built:
    service: Service
    problems: Problems


def registry(entries: Iterable[ServiceEntry], workloads: Iterable[WorkloadEntry], memo: Memo) -> Registry:
    """Every (host, namespace) as one service: the very same object as in the last pass while its parts are.

    Entries and workloads come in the order of spec 2.6.
    """
    index = WorkloadIndex(workloads)
    services: dict[ServiceHost, list[Service]] = {}
    problems: list[Problem] = []
    for (host, _), sharing in _by_host(entries).items():
        united = [entry for entry in sharing if _agree(entry, sharing[0])]
        built = memo.recall(_build, host, len(united), *united, *index.selected_by(united[0]))
        services.setdefault(host, []).append(built.service)
        problems.extend(built.problems)
        problems.extend(_left_out(host, sharing))
    return Registry(
        services={host: memo.recall(together, *found) for host, found in services.items()}, problems=tuple(problems)
    )


def _by_host(entries: Iterable[ServiceEntry]) -> dict[tuple[ServiceHost, str], list[ServiceEntry]]:
    groups: dict[tuple[ServiceHost, str], list[ServiceEntry]] = {}
    for entry in entries:
        for host in dict.fromkeys(map(canonical, entry.hosts)):
            groups.setdefault((host, entry.metadata.namespace), []).append(entry)
    return groups


def _agree(one: ServiceEntry, other: ServiceEntry) -> bool:
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
        if not _agree(entry, first):
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
        location=first.location,
        addresses=_united(entry.addresses for entry in entries),
        subject_alt_names=_united(entry.subject_alt_names for entry in entries),
        export_to=exports(first.export_to, Namespace(first.metadata.namespace)),
        origin=first.origin,
    )
    return _Built(service=service, problems=(*_port_conflicts(host, entries, ports), *passed_over(first, selected)))


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
