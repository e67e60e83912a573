"""EgressRules become services outside the mesh: one for each destination, with the ports of all its rules (C-EG-08)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from itertools import combinations
from typing import Final

from meshd.convert.names import hashed, sanitised
from meshd.convert.report import Report
from meshd.fields import ip_or_cidr, is_ip
from meshd.names import ServiceHost
from meshd.problems import Origin
from meshd.registry.service import Port as ServicePort
from meshd.resources.legacy.egress_rule import EgressProtocol, EgressRule, Port
from meshd.resources.protocol import Protocol, family

PROTOCOLS: Final[Mapping[EgressProtocol, Protocol]] = {
    "HTTP": "HTTP",
    "HTTPS": "HTTP",
    "HTTP2": "HTTP2",
    "GRPC": "GRPC",
    "TCP": "TCP",
    "MONGO": "MONGO",
}
"""C-EG-04: what the application speaks. HTTPS is opened on its behalf, and so is HTTP to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """`text` is the destination as rules name it, `host` that of its ServiceEntry; `ports` are in their order.

    `sources`: the rules that speak of it, the first of which gives it its name and namespace.
    """

    text: str
    host: ServiceHost
    ports: tuple[Port, ...]
    sources: tuple[EgressRule, ...]

    @property
    def name(self) -> str:
        return self.sources[0].metadata.name

    @property
    def namespace(self) -> str:
        return self.sources[0].metadata.namespace

    @property
    def origin(self) -> Origin:
        return self.sources[0].origin

    @property
    def is_wildcard(self) -> bool:
        return self.text.startswith("*")

    @property
    def is_address(self) -> bool:
        return not ip_or_cidr(self.text)

    @property
    def is_block(self) -> bool:
        return self.is_address and not is_ip(self.text)

    @property
    def uses_proxy(self) -> bool:
        return any(rule.use_egress_proxy for rule in self.sources)

    @property
    def http_ports(self) -> tuple[Port, ...]:
        return tuple(port for port in self.ports if not port.is_tcp)

    @property
    def tcp_ports(self) -> tuple[Port, ...]:
        return tuple(port for port in self.ports if port.is_tcp)

    @property
    def tls_ports(self) -> tuple[Port, ...]:
        return tuple(port for port in self.ports if port.protocol == "HTTPS")

    @property
    def service_ports(self) -> tuple[ServicePort, ...]:
        return tuple(
            ServicePort(
                number=port.port,
                name=port_name(port),
                protocol=PROTOCOLS[port.protocol],
                family=family(PROTOCOLS[port.protocol]),
                target_port=port.port,
                origin=port.origin,
            )
            for port in self.ports
        )


def port_name(port: Port) -> str:
    return f"{'http' if port.protocol == 'HTTPS' else port.protocol.lower()}-{port.port}"


def outside(rules: Iterable[EgressRule], report: Report) -> tuple[Outside, ...]:
    """In the order of their destinations."""
    groups: dict[str, list[EgressRule]] = {}
    for rule in sorted(rules, key=lambda each: (each.metadata.namespace, each.metadata.name)):
        groups.setdefault(text_of(rule), []).append(rule)
    found = tuple(_united(text, group, report) for text, group in sorted(groups.items()))
    _check_overlap(found, report)
    return found


def text_of(rule: EgressRule) -> str:
    return (rule.destination.service or "").lower()


def _united(text: str, rules: list[EgressRule], report: Report) -> Outside:
    ports: dict[int, Port] = {}
    for port in (port for rule in rules for port in rule.ports):
        other = ports.setdefault(port.port, port)
        if other.protocol != port.protocol:
            message = f"port {port.port} of {text} speaks {other.protocol} already ({other.origin})"
            report.add("E-EG-CONFLICT", port.origin.at("protocol"), message, "write the same protocol in both")
    first = rules[0]
    return Outside(
        text=text,
        host=ServiceHost(_host_of_address(first) if not ip_or_cidr(text) else text),
        ports=tuple(ports[number] for number in sorted(ports)),
        sources=tuple(rules),
    )


def _host_of_address(rule: EgressRule) -> str:
    """A name for what has none. `.invalid` can never be looked up by accident (C-EG-02)."""
    name = sanitised(rule.metadata.name).lower()
    if len(name) > 63:
        name = hashed(name, rule.metadata.name)
    return f"{name}.{rule.metadata.namespace}.egress.invalid"


def _check_overlap(found: Iterable[Outside], report: Report) -> None:
    """Behind the egress proxy, connections are told apart by address alone."""
    proxied = [each for each in found if each.uses_proxy and each.is_address]
    for one, other in combinations(proxied, 2):
        for port in _shared(one, other):
            message = f"{other.text} and {one.text} ({one.origin}) overlap on port {port.port} of the egress proxy"
            report.add("E-EG-OVERLAP", port.origin, message, "let the blocks be apart, or use other ports")


def _shared(one: Outside, other: Outside) -> Iterator[Port]:
    first, second = ip_network(one.text, strict=False), ip_network(other.text, strict=False)
    if first.version == second.version and first.overlaps(second):
        numbers = {port.port for port in one.tcp_ports}
        yield from (port for port in other.tcp_ports if port.port in numbers)
