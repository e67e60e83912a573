"""A service's instances -> the places of one cluster, those in other networks behind their gateways (7.1, W-4)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Final

from meshd.compiler.upstream.call import Call
from meshd.compiler.upstream.localities import Place
from meshd.compiler.upstream.mesh_tls import speaks_mesh_tls
from meshd.compiler.upstream.networks import Gateway, reachable
from meshd.compiler.upstream.tls import Origination
from meshd.names import DnsName, Locality
from meshd.plan import Address, DnsAddress, Endpoint, InternalAddress, IpAddress, UnixAddress
from meshd.registry.service import Instance

_UNIX: Final = "unix://"


def places(call: Call, tls: Origination) -> tuple[Place, ...]:
    """The instances that carry its labels. A place given twice counts once: Envoy would count its weight twice."""
    chosen = [each for each in call.service.instances_of(call.port) if _has(each, call.labels)]
    reached = reachable(chosen, filter(tls.names_mesh_sni, chosen), call.host)
    here = (_place(each, call, reached.scale, tls) for each in reached.instances)
    found: dict[tuple[Address, int], Place] = {}
    for place in (*here, *(_at_gateway(each, tls) for each in reached.gateways)):
        found.setdefault((place.endpoint.address, place.endpoint.port), place)
    return tuple(found.values())


def in_order(endpoints: Iterable[Endpoint]) -> tuple[Endpoint, ...]:
    return tuple(sorted(endpoints, key=_order))


def address(text: str, *, first_only: bool) -> Address:
    if text.startswith(_UNIX):
        return UnixAddress(path=text.removeprefix(_UNIX))
    try:
        return IpAddress(ip=str(ipaddress.ip_address(text)))
    except ValueError:
        return DnsAddress(name=DnsName(text.lower().removesuffix(".")), first_only=first_only)


def _has(instance: Instance, labels: Mapping[str, str]) -> bool:
    return all(instance.labels.get(key) == value for key, value in labels.items())


def port_at(where: Address, port: int) -> int:
    return 0 if isinstance(where, DnsAddress) and where.is_srv else port


def _place(instance: Instance, call: Call, scale: int, tls: Origination) -> Place:
    where = address(instance.address, first_only=call.service.resolution == "DNS_ROUND_ROBIN")
    endpoint = Endpoint(
        address=where,
        port=port_at(where, instance.port_for(call.port)),
        weight=(instance.weight or 1) * scale,
        locality=instance.locality,
        speaks_mesh_tls=tls.mesh_tls is not None and speaks_mesh_tls(instance),
        workload=instance.workload if instance.workload in call.host.workloads else "",
    )
    return Place(endpoint, instance.labels, instance.network)


def _at_gateway(gateway: Gateway, tls: Origination) -> Place:
    endpoint = Endpoint(
        address=address(gateway.address, first_only=False),
        port=gateway.port,
        weight=gateway.weight,
        locality=gateway.nearest.locality,
        speaks_mesh_tls=tls.mesh_tls is not None,
    )
    return Place(endpoint, gateway.nearest.labels, gateway.nearest.network)


def _order(endpoint: Endpoint) -> tuple[int, Locality, str, int]:
    return (endpoint.priority, endpoint.locality, _text(endpoint.address), endpoint.port)


def _text(where: Address) -> str:
    match where:
        case IpAddress(ip=text) | UnixAddress(path=text):
            return text
        case DnsAddress(name=name):
            return name
        case InternalAddress(listener=listener, endpoint_id=endpoint_id):
            return f"{listener} {endpoint_id}"
