"""Instances in other networks -> the gateways of those networks, which stand for them (spec W-4)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import lcm

from meshd.compiler.host import Host
from meshd.compiler.upstream.distance import distance
from meshd.registry.networks import is_apart
from meshd.registry.service import Instance


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """Where to go instead of to the instances behind it: `nearest` of them says where it stands."""

    address: str
    port: int
    weight: int
    nearest: Instance


@dataclass(frozen=True, slots=True, kw_only=True)
class Reachable:
    """`scale`: by how much the weight of an instance grows, so that shares of gateways are whole numbers."""

    instances: tuple[Instance, ...]
    gateways: tuple[Gateway, ...] = ()
    scale: int = 1


def is_elsewhere(instance: Instance, host: Host) -> bool:
    """Whether gateways stand for it: it is apart from here, or has no address by which anybody could call it."""
    apart = is_apart(host.network, instance.network) if instance.address else instance.network != host.network
    return apart and instance.network in host.settings.networks


def reachable(instances: Iterable[Instance], crossing: Iterable[Instance], host: Host) -> Reachable:
    """`crossing`: those of `instances` whom a gateway can tell apart, by the SNI of the mesh's TLS."""
    here = tuple(each for each in instances if each.address and not is_elsewhere(each, host))
    networks: dict[str, list[Instance]] = {}
    for instance in crossing:
        if is_elsewhere(instance, host):
            networks.setdefault(instance.network, []).append(instance)
    if not networks:
        return Reachable(instances=here)
    scale = lcm(*(len(host.settings.networks[name].gateways) for name in networks))
    gateways = (each for name in sorted(networks) for each in _gateways(name, networks[name], scale, host))
    return Reachable(instances=here, gateways=tuple(gateways), scale=scale)


def _gateways(network: str, behind: list[Instance], scale: int, host: Host) -> Iterator[Gateway]:
    """They share the weight of all that is behind them."""
    gateways = host.settings.networks[network].gateways
    weight = sum(instance.weight or 1 for instance in behind) * scale // len(gateways)
    nearest = min(behind, key=lambda each: (distance(each.locality, host.locality), each.locality))
    for gateway in gateways:
        yield Gateway(address=gateway.address, port=gateway.port, weight=weight, nearest=nearest)
