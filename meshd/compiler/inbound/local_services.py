"""Which ports of which services this host answers itself (spec section 10)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from operator import attrgetter

from meshd.compiler.host import Host
from meshd.memo import Memo
from meshd.mesh.gateways import is_gateway, workloads_on
from meshd.mesh.mesh import Mesh
from meshd.mesh.rules import MergedRule
from meshd.problems import Problem
from meshd.registry.host_table import HostTable
from meshd.registry.service import Instance, Port, Service
from meshd.registry.workloads import workload_name


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalService:
    """`instances`: those on this host. `rules`: all that may have a say, the most specific host first."""

    service: Service
    instances: tuple[Instance, ...]
    rules: tuple[tuple[MergedRule, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalPort:
    """A port of a service that is answered here at `number`, by these instances."""

    number: int
    local: LocalService
    port: Port
    instances: tuple[Instance, ...]


def local_services(mesh: Mesh, host: Host, memo: Memo) -> tuple[LocalService, ...]:
    """In the order of spec 2.6; each is the same object on the next pass while it and its rules are.

    What a gateway of this host answers is the gateway's: its traffic is none of the sidecar's.
    """
    entries = workloads_on(mesh, host.name, memo)
    gateways = " ".join(workload_name(entry) for entry in entries if is_gateway(mesh, entry))
    services = (service for found in mesh.services.values() for service in found)
    here = memo.recall(_here, host, gateways, *services)
    table = HostTable(mesh.destination_rules)
    return tuple(
        memo.recall(_local, service, host, gateways, *(rules for _, rules in table.covering(service.host)))
        for service in here
    )


def local_ports(local: LocalService) -> Iterator[LocalPort]:
    """A service may be answered at several numbers, one for each of its ports and instances."""
    for port in local.service.ports:
        by_number: dict[int, list[Instance]] = {}
        for instance in local.instances:
            if port.number in instance.serves:
                by_number.setdefault(instance.port_for(port), []).append(instance)
        by_number.pop(0, None)  # a Unix socket: nobody comes to it from elsewhere
        for number, instances in by_number.items():
            yield LocalPort(number=number, local=local, port=port, instances=tuple(instances))


def _here(host: Host, gateways: str, *services: Service) -> tuple[Service, ...]:
    candidates = (service for service in services if _might_be_here(service, host.workloads, host.addresses))
    here = (service for service in candidates if any(_instances(service, host, gateways)))
    return tuple(sorted(here, key=attrgetter("precedence")))


def _might_be_here(service: Service, workloads: frozenset[str], addresses: frozenset[str]) -> bool:
    """Asked of every instance in the mesh whenever any service changed: hence no more than this."""
    for instance in service.instances:
        address = instance.address
        if address in addresses or instance.workload in workloads or ":" in address:
            return True
    return False


def _instances(service: Service, host: Host, gateways: str) -> Iterator[Instance]:
    for instance in service.instances:
        if instance.workload:
            if instance.workload in host.workloads and instance.workload not in gateways.split():
                yield instance
        elif _has_address(host, instance.address):
            yield instance


def _has_address(host: Host, address: str) -> bool:
    return address in host.addresses or (":" in address and _canonical(address) in host.addresses)


def _canonical(address: str) -> str:
    return "" if address.startswith("unix:") else str(ip_address(address))


def _local(service: Service, host: Host, gateways: str, *rules: tuple[MergedRule, ...]) -> LocalService:
    return LocalService(service=service, instances=tuple(_instances(service, host, gateways)), rules=rules)


def protocols_differ(first: LocalPort, other: LocalPort) -> Problem:
    return Problem(
        code="W-INBOUND-PROTOCOL",
        at=other.port.origin,
        message=(
            f"{other.local.service.host} speaks {other.port.protocol} at port {first.number} of this host, where "
            f"{first.local.service.host} ({first.port.origin}) speaks {first.port.protocol}: that is what is expected"
        ),
        hint="give both the same protocol, or each a port of its own",
    )
