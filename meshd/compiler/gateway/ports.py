"""The ports of services that a gateway implements: where its servers of those numbers really listen (spec G-3.2)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_address

from meshd.compiler.host import Host
from meshd.fields import is_ip
from meshd.names import ServiceHost
from meshd.registry.service import Instance, Port, Service

OwnPort = tuple[Service, Port, int]
"""A port of a service that this gateway implements, and where it answers it."""


def own_ports(
    services: Mapping[ServiceHost, tuple[Service, ...]],
    host: Host,
    workload: str,
    alone: bool,  # noqa: FBT001
) -> tuple[OwnPort, ...]:
    """`workload`: `namespace/name` of the entry for which the gateway stands. In the order of the services.

    Inline endpoints have nothing but their address: they are the gateway's where it is `alone` on the host.
    """
    addresses = frozenset(each for each in host.addresses if not ip_address(each).is_loopback) if alone else frozenset()
    return tuple(
        (service, port, instance.port_for(port))
        for sharing in services.values()
        for service in sharing
        for port, instance in _answered(service, addresses, workload)
    )


def target_ports(own: tuple[OwnPort, ...]) -> dict[int, int]:
    """Where a server of each number listens; the first service decides."""
    found: dict[int, int] = {}
    for _, port, number in own:
        if number:
            found.setdefault(port.number, number)
    return found


def _answered(service: Service, addresses: frozenset[str], workload: str) -> Iterator[tuple[Port, Instance]]:
    here = [instance for instance in service.instances if _is_here(instance, addresses, workload)]
    for port in service.ports:
        yield from ((port, instance) for instance in here if port.number in instance.serves)


def _is_here(instance: Instance, addresses: frozenset[str], workload: str) -> bool:
    """`addresses`: without loopback ones, which are every machine's own and so say nothing."""
    if instance.workload:
        return instance.workload == workload
    address = instance.address
    return address in addresses or (":" in address and is_ip(address) and str(ip_address(address)) in addresses)
