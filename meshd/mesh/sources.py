"""Who calls, exactly as the older kinds meant it: which services, of those that rules name as a source, run where.

What a VM implements is found out for the few services that are asked for; mostly there are none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address
from typing import Final

from meshd.fields import is_ip
from meshd.memo import Memo
from meshd.mesh.client import Implements
from meshd.mesh.gateways import is_gateway, workload_of, workloads_on
from meshd.mesh.mesh import Mesh
from meshd.mesh.rules import MergedRule
from meshd.names import HostName, ProxyName, ServiceHost
from meshd.registry.hosts import canonical
from meshd.registry.service import Instance, Service
from meshd.registry.workloads import workload_name
from meshd.resources.destination_rule import DestinationRule
from meshd.resources.extras import EXTRAS, SourceExtras
from meshd.resources.virtual_service import VirtualService

_NOTHING: Final[Implements] = frozenset()


def implemented(mesh: Mesh, host: HostName, proxy: ProxyName, memo: Memo) -> Implements:
    """By what runs behind a proxy of a VM; the same object on the next pass while it is the same.

    What a gateway of the VM answers is the gateway's, as are inline endpoints where it stands alone.
    """
    asked = asked_for(mesh, memo)
    if not asked:
        return _NOTHING
    entry = workload_of(mesh, host, proxy, memo)
    if entry is None:
        return _NOTHING
    if proxy == "gateway":
        workloads = frozenset({workload_name(entry)})
        alone = workload_of(mesh, host, "sidecar", memo) is None
        addresses = frozenset(each for each in _addresses(mesh, host) if not ip_address(each).is_loopback)
        addresses = addresses if alone else frozenset()
    else:
        here = (each for each in workloads_on(mesh, host, memo) if not is_gateway(mesh, each))
        workloads, addresses = frozenset(map(workload_name, here)), _addresses(mesh, host)
    services = (service for each in sorted(asked) for service in mesh.services.get(each, ()))
    return memo.same(frozenset(_instances(services, workloads, addresses)))


def asked_for(mesh: Mesh, memo: Memo) -> frozenset[ServiceHost]:
    """The services that routes and policies name as their source."""
    return memo.recall(_of_routes, mesh.virtual_services) | memo.recall(_of_rules, mesh.destination_rules)


def sources_of(holder: VirtualService | DestinationRule) -> Iterator[SourceExtras]:
    if EXTRAS not in holder.metadata.annotations:
        return
    if isinstance(holder, DestinationRule):
        if holder.extras.source:
            yield holder.extras.source
    else:
        extras = holder.extras
        of_connections = (route.source for route in (*extras.tls.values(), *extras.tcp.values()))
        of_requests = (route.source for route in extras.http.values())
        yield from (source for source in (*of_requests, *of_connections) if source)


def _of_routes(by_host: Mapping[ServiceHost, tuple[VirtualService, ...]]) -> frozenset[ServiceHost]:
    virtual_services = (each for sharing in by_host.values() for each in sharing)
    return frozenset(canonical(source.host) for each in virtual_services for source in sources_of(each))


def _of_rules(by_host: Mapping[ServiceHost, tuple[MergedRule, ...]]) -> frozenset[ServiceHost]:
    rules = (rule for sharing in by_host.values() for rule in sharing)
    return frozenset(canonical(rule.source.host) for rule in rules if rule.source)


# --- what runs here -------------------------------------------------------------------------------------------


def _addresses(mesh: Mesh, host: HostName) -> frozenset[str]:
    texts = (entry.workload.address for entry in mesh.workloads.get(host, ()))
    return frozenset(str(ip_address(text)) for text in texts if is_ip(text))


def _instances(
    services: Iterable[Service], workloads: frozenset[str], addresses: frozenset[str]
) -> Iterator[tuple[ServiceHost, frozenset[tuple[str, str]]]]:
    for service in services:
        for instance in service.instances:
            if _is_here(instance, workloads, addresses):
                yield service.host, frozenset(instance.labels.items())


def _is_here(instance: Instance, workloads: frozenset[str], addresses: frozenset[str]) -> bool:
    if instance.workload:
        return instance.workload in workloads
    return is_ip(instance.address) and str(ip_address(instance.address)) in addresses
