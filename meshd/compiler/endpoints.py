"""A service's instances -> the endpoints of one cluster, near ones first where failover is on (spec 7.1, D-23)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from meshd.fields import is_ip
from meshd.names import DnsName, Locality
from meshd.plan import Address, DnsAddress, Endpoint, IpAddress, UnixAddress
from meshd.registry.service import Instance, Port, Service

_UNIX: Final = "unix://"
_NOWHERE: Final = Locality()


def endpoints(service: Service, port: Port, labels: Mapping[str, str], near: Locality | None) -> tuple[Endpoint, ...]:
    """The instances that carry these labels. `near`: where the client is, when others are for failover only."""
    chosen = (_endpoint(service, port, each) for each in service.instances_of(port) if _has(each, labels))
    found: dict[tuple[Address, int], Endpoint] = {}
    for endpoint in chosen:  # a place given twice would be counted twice by Envoy in one locality only
        found.setdefault((endpoint.address, endpoint.port), endpoint)
    prioritised = _by_distance(found.values(), near) if near and near != _NOWHERE else found.values()
    return tuple(sorted(prioritised, key=_order))


def _has(instance: Instance, labels: Mapping[str, str]) -> bool:
    return all(instance.labels.get(key) == value for key, value in labels.items())


def _endpoint(service: Service, port: Port, instance: Instance) -> Endpoint:
    return Endpoint(
        address=address(instance.address, first_only=service.resolution == "DNS_ROUND_ROBIN"),
        port=instance.port_for(port),
        weight=instance.weight or 1,
        locality=instance.locality,
    )


def address(text: str, *, first_only: bool) -> Address:
    if text.startswith(_UNIX):
        return UnixAddress(path=text.removeprefix(_UNIX))
    if is_ip(text):
        return IpAddress(ip=str(ipaddress.ip_address(text)))
    return DnsAddress(name=DnsName(text.lower().removesuffix(".")), first_only=first_only)


def _by_distance(found: Iterable[Endpoint], near: Locality) -> list[Endpoint]:
    """Priorities must be without gaps, so the distances that do occur are numbered from 0."""
    distances = [(endpoint, _distance(endpoint.locality, near)) for endpoint in found]
    priorities = {distance: rank for rank, distance in enumerate(sorted({far for _, far in distances}))}
    return [replace(endpoint, priority=priorities[far]) for endpoint, far in distances]


def _distance(there: Locality, here: Locality) -> int:
    """0 in the same sub-zone, 1 in the same zone, 2 in the same region, 3 elsewhere."""
    if there.region != here.region:
        return 3
    if there.zone != here.zone:
        return 2
    return 0 if there.subzone == here.subzone else 1


def _order(endpoint: Endpoint) -> tuple[int, Locality, str, int]:
    return (endpoint.priority, endpoint.locality, _text(endpoint.address), endpoint.port)


def _text(where: Address) -> str:
    match where:
        case IpAddress(ip=text) | UnixAddress(path=text):
            return text
        case DnsAddress(name=name):
            return name
