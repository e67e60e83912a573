"""IngressRules that resolve: to a service, one of its ports, and a host to serve (C-IN-01 to 03, C-IN-08)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from meshd.convert.matches import http_match
from meshd.convert.report import Report
from meshd.convert.scene import Scene
from meshd.names import ServiceHost
from meshd.registry.service import Port
from meshd.resources.gateway import server_host
from meshd.resources.http_match import HTTPMatchRequest
from meshd.resources.legacy.ingress_rule import IngressRule

EVERY_HOST: Final = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """A rule that resolves. `match` has its port and all that it asks but for the host, which the server asks."""

    rule: IngressRule
    host: str
    destination: ServiceHost
    port: Port
    match: HTTPMatchRequest

    @property
    def is_tcp(self) -> bool:
        return self.port.family != "http"

    @property
    def server(self) -> tuple[int, str]:
        return (self.rule.port, self.rule.tls_secret or "")


def order(rule: IngressRule) -> tuple[int, str, str]:
    """In which they count (IR-10, IR-11)."""
    return (-rule.precedence, rule.metadata.namespace, rule.metadata.name)


def resolved(rule: IngressRule, scene: Scene) -> Iterator[Edge]:
    destination = scene.host_of(rule.destination, rule.metadata.namespace)
    port = _port(rule, destination, scene)
    if port is None:
        return
    host, match = _host(rule)
    if not (_fits(rule, port, destination, scene) and _is_for_everybody(rule, scene)):
        return
    if scene.leads_past_proxy(destination, rule.destination.origin):
        return
    asked = replace(match, port=rule.port)
    yield Edge(rule=rule, host=host, destination=destination, port=port, match=asked)


def _port(rule: IngressRule, host: ServiceHost, scene: Scene) -> Port | None:
    """IR-15 to IR-17."""
    ports = scene.ports(host)
    if not ports and not scene.is_whole and rule.destination_port is not None:
        return _presumed(rule.destination_port, rule)
    if not ports:
        message = f"this rule is left out: no ServiceEntry has the host {host!r}, or it has no ports"
        scene.report.add("W-IN-UNRESOLVED", rule.destination.origin, message, near=host)
        return None
    if rule.destination_port is None and rule.destination_port_name is None:
        if len(ports) == 1:
            return ports[0]
        message = f"this rule is left out: {host} has {len(ports)} ports, and none is named"
        scene.report.add("W-IN-UNRESOLVED", rule.origin, message, "write destinationPort")
        return None
    found = (each for each in ports if rule.destination_port == each.number or rule.destination_port_name == each.name)
    port = next(found, None)
    if port is None:
        name = "destinationPort" if rule.destination_port is not None else "destinationPortName"
        known = ", ".join(f"{each.number} ({each.name})" for each in ports)
        message = f"this rule is left out: {host} has no such port, but {known}"
        scene.report.add("W-IN-UNRESOLVED", rule.origin.at(name), message)
    return port


def _presumed(number: int, rule: IngressRule) -> Port:
    """Of a service that is not there to look at: an IngressRule is mostly about HTTP."""
    at = rule.origin.at("destinationPort")
    return Port(number=number, name="", protocol="HTTP", family="http", target_port=number, origin=at)


def _host(rule: IngressRule) -> tuple[str, HTTPMatchRequest]:
    """C-IN-02: an exact authority is the host; any other stays a condition."""
    match = http_match(rule.match, None) or HTTPMatchRequest(origin=rule.origin)
    if match.authority is None or match.authority.exact is None:
        return EVERY_HOST, match
    host = match.authority.exact.lower().partition(":")[0]
    return (EVERY_HOST, match) if server_host(host) else (host, replace(match, authority=None))


def _fits(rule: IngressRule, port: Port, host: ServiceHost, scene: Scene) -> bool:
    """C-IN-08: conditions on requests are for ports of HTTP, those on connections alone for all others."""
    match = rule.match
    speaks_http = port.family == "http"
    if match is None or (match.asks_requests if speaks_http else not match.asks_requests):
        return True
    if speaks_http and match.tcp is None:
        return True
    asked = "connections" if speaks_http else "requests"
    message = f"this rule is left out: it asks of {asked}, and port {port.number} of {host} speaks {port.protocol}"
    scene.report.add("W-IN-PROTOCOL", rule.origin.at("match"), message, "remove the match")
    return False


def _is_for_everybody(rule: IngressRule, scene: Scene) -> bool:
    """Who calls from outside nobody can tell; a rule for one caller must not become one for everybody."""
    if rule.match is None or rule.match.source is None:
        return True
    message = "this rule is left out: a gateway cannot tell which service calls from outside"
    scene.report.add("W-RR-NEVER", rule.match.source.origin, message, "remove the source")
    return False


def check_servers(found: Iterable[Edge], report: Report) -> None:
    """C-IN-03."""
    first: dict[int, Edge] = {}
    secrets: dict[tuple[int, str], Edge] = {}
    for edge in found:
        at = edge.rule.origin.at("tlsSecret")
        other = first.setdefault(edge.rule.port, edge)
        if bool(other.rule.tls_secret) != bool(edge.rule.tls_secret):
            message = f"port {edge.rule.port} speaks TLS for some and plain text for others: see {other.rule.id} "
            report.add("E-IN-MIXED-TLS", at, f"{message}({other.rule.origin})", "give it a port of its own")
            continue
        if other.is_tcp != edge.is_tcp:
            message = f"port {edge.rule.port} takes requests for some and bytes for others: see {other.rule.id} "
            where = edge.rule.origin.at("port")
            report.add("E-GW-PORT-CONFLICT", where, f"{message}({other.rule.origin})", "give it a port of its own")
            continue
        other = secrets.setdefault((edge.rule.port, edge.host), edge)
        if other.rule.tls_secret != edge.rule.tls_secret:
            message = f"{edge.host} has another tlsSecret on port {edge.rule.port}: see {other.rule.id} "
            report.add("E-IN-SECRET", at, f"{message}({other.rule.origin})", "write the same secret in both")
