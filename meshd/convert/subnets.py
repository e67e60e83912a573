"""Whether a RouteRule asks for addresses that its service has (inventory L4M-04)."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network

from meshd.convert.scene import Scene
from meshd.fields import ip_or_cidr
from meshd.names import ServiceHost
from meshd.resources.legacy.route_rule import RouteRule

_Network = IPv4Network | IPv6Network


def check_destination_subnets(rule: RouteRule, host: ServiceHost, scene: Scene) -> None:
    if rule.match is None or rule.match.tcp is None:
        return
    known = _addresses(host, scene)
    for index, text in enumerate(rule.match.tcp.destination_subnet):
        subnet = ip_network(text, strict=False)
        if known and not any(_overlap(subnet, address) for address in known):
            at = rule.match.tcp.origin.at("destinationSubnet").item(index)
            scene.report.add("W-L4-DEST-OUTSIDE", at, f"{host} has no address in {text}", "look at its ServiceEntry")


def _addresses(host: ServiceHost, scene: Scene) -> list[_Network]:
    """What clients may dial: the addresses of the service, and those of its instances."""
    texts = [
        text
        for service in scene.services(host)
        for text in (*service.addresses, *(instance.address for instance in service.instances))
    ]
    return [ip_network(text, strict=False) for text in texts if not ip_or_cidr(text)]


def _overlap(one: _Network, other: _Network) -> bool:
    return one.version == other.version and one.overlaps(other)
