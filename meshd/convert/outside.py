"""EgressRules become services outside the mesh: one for each destination, with the ports of all its rules (C-EG-08)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from itertools import combinations, product
from operator import itemgetter
from typing import Final

from meshd.convert.names import hashed, sanitised
from meshd.convert.report import Findings, Report
from meshd.fields import fqdn, ip_or_cidr, is_ip
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

_Network = IPv4Network | IPv6Network


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


@dataclass(frozen=True, slots=True, kw_only=True)
class United:
    there: Outside
    findings: Findings


def by_destination(rules: Iterable[EgressRule]) -> Mapping[str, list[EgressRule]]:
    """By the text of the destination, in its order; those of one by namespace and name."""
    groups: dict[str, list[EgressRule]] = {}
    for rule in sorted(rules, key=lambda each: (each.metadata.namespace, each.metadata.name)):
        groups.setdefault((rule.destination.service or "").lower(), []).append(rule)
    return dict(sorted(groups.items()))


def united(text: str, *rules: EgressRule) -> United:
    report = Report()
    ports: dict[int, Port] = {}
    for port in (port for rule in rules for port in rule.ports):
        other = ports.setdefault(port.port, port)
        if other.protocol != port.protocol:
            message = f"port {port.port} of {text} speaks {other.protocol} already ({other.origin})"
            report.add("E-EG-CONFLICT", port.origin.at("protocol"), message, "write the same protocol in both")
    there = Outside(
        text=text,
        host=ServiceHost(_host_of_address(rules[0]) if not ip_or_cidr(text) else text),
        ports=tuple(ports[number] for number in sorted(ports)),
        sources=rules,
    )
    return United(there=there, findings=report.findings())


def _host_of_address(rule: EgressRule) -> str:
    """A name for what has none. `.invalid` can never be looked up by accident (C-EG-02)."""
    name = rule.metadata.name
    end = f"{rule.metadata.namespace}.egress.invalid"
    if fqdn(f"{name}.{end}"):
        name = hashed(sanitised(name), name)
    return f"{name}.{end}"


# --- behind the egress proxy, where connections are told apart by address alone --------------------------------


def overlaps(*there: Outside) -> Findings:
    """`there`: what uses the proxy, in its order."""
    report = Report()
    by_block: dict[tuple[int, _Network], list[tuple[int, Port]]] = {}
    for index, each in enumerate(there):
        for port in each.tcp_ports if each.is_address else ():
            by_block.setdefault((port.port, _network(each.text)), []).append((index, port))
    for (number, network), inner in by_block.items():
        wider = (network.supernet(new_prefix=length) for length in range(network.prefixlen))
        outer = [found for block in wider for found in by_block.get((number, block), ())]
        for one, other in (*combinations(inner, 2), *product(outer, inner)):
            (first, _), (second, port) = sorted((one, other), key=itemgetter(0))
            message = f"{there[second].text} and {there[first].text} ({there[first].origin}) overlap on port {number} "
            hint = "let the blocks be apart, or use other ports"
            report.add("E-EG-OVERLAP", port.origin, f"{message}of the egress proxy", hint)
    return report.findings()


def _network(text: str) -> _Network:
    return ip_network(text, strict=False)
