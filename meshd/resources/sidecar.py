"""Sidecar: what a host's workloads may reach, and on which local addresses (spec 9.1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar, Final, Literal

from meshd.fields import Between, Count, Message, dns_label, fqdn, is_ip, namespace_label
from meshd.problems import Problem, nearest
from meshd.resources.destination import Destination
from meshd.resources.finding import doubtful, invalid
from meshd.resources.protocol import PROTOCOLS, named_protocol
from meshd.resources.resource import Resource, WorkloadSelector
from meshd.resources.server_tls import ServerTLSSettings
from meshd.resources.traffic_policy import ConnectionPoolSettings

HTTP_PROXY: Final = "HTTP_PROXY"
"""The protocol of an egress listener that clients use as their HTTP proxy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SidecarPort(Message):
    number: Annotated[int, Between(0, 65535)] = 0
    protocol: str = ""
    name: Annotated[str, dns_label] | None = None
    target_port: Annotated[int, Between(0, 0)] = 0

    def check(self) -> Iterator[Problem]:
        """Spec 3.5. UDP is for ServiceEntries only."""
        known = (*(protocol for protocol in PROTOCOLS if protocol != "UDP"), HTTP_PROXY)
        if self.protocol and self.protocol.upper() not in known:
            at = self.origin.at("protocol")
            yield invalid(at, f"{self.protocol!r} is not a protocol here", nearest(self.protocol.upper(), known))
        elif not self.protocol and named_protocol(self.name or "") is None:
            hint = "give it a protocol, or a name such as 'http-web'"
            message = f"port {self.number} is taken for TCP"
            yield Problem(code="W-PORT-PROTOCOL", at=self.origin, message=message, hint=hint)


def egress_host(value: object) -> str:
    """SC-13: `namespace/dnsName`; `~namespace/dnsName` excludes."""
    namespace, slash, name = str(value).partition("/")
    if not slash or not namespace or not name:
        return f"{value!r} is not namespace/dnsName, such as './*' or 'shop/reviews.shop.example'"
    if namespace.removeprefix("~") not in {"", "*", "."} and namespace_label(namespace.removeprefix("~")):
        return f"{namespace!r} is not a namespace, '*', '.' or '~'"
    return _dns_name(name)


def _dns_name(name: str) -> str:
    """As a Gateway's hosts: a FQDN, `*.` and a domain, or `*`."""
    if name == "*":
        return ""
    domain = name.removeprefix("*.")
    if fqdn(domain):
        return f"{name!r} is not a host name, '*.' and a domain, or '*'"
    return "" if "." in domain or domain != name else f"{name!r} is a short name; write it in full"


def bind_address(value: object) -> str:
    """SC-11."""
    text = str(value)
    path = text.removeprefix("unix://")
    if path != text:
        return "" if path[:1] in {"/", "@"} and len(path) > 1 else f"{value!r} is not unix:///path or unix://@name"
    return "" if is_ip(text) else f"{value!r} is neither an IP address nor unix://..."


@dataclass(frozen=True, slots=True, kw_only=True)
class IstioEgressListener(Message):
    hosts: Annotated[tuple[Annotated[str, egress_host], ...], Count(1)]
    port: SidecarPort | None = None
    bind: Annotated[str, bind_address] | None = None
    capture_mode: Literal["DEFAULT", "IPTABLES", "NONE"] = "DEFAULT"

    @property
    def is_unix(self) -> bool:
        return self.bind is not None and self.bind.startswith("unix://")

    def check(self) -> Iterator[Problem]:
        yield from self._check_bind()
        yield from self._check_hosts()
        if self.capture_mode == "IPTABLES":  # SC-6, SC-12
            at = self.origin.at("captureMode")
            if self.is_unix:
                yield invalid(at, "a unix socket cannot capture traffic", "leave captureMode out")
            else:
                yield doubtful(at, "this version captures nothing: the listener is bound to its port")

    def _check_bind(self) -> Iterator[Problem]:
        """SC-10 and SC-11."""
        if self.bind is not None and self.port is None:
            yield invalid(self.origin.at("bind"), "bind needs a port")
        if self.port is None:
            return
        if self.is_unix and self.port.number:
            yield invalid(self.port.origin.at("number"), "a unix socket has port number 0")
        if not self.is_unix and not self.port.number:
            yield invalid(self.port.origin.at("number"), "0 is for a unix socket only", "give the port to listen on")

    def _check_hosts(self) -> Iterator[Problem]:
        """SC-13: what adds nothing, and what is missing."""
        seen: set[str] = set()
        for index, host in enumerate(self.hosts):
            namespace, _, name = host.partition("/")
            cover = next((wider for wider in (f"{namespace}/*", "*/*") if wider in self.hosts and wider != host), None)
            at = self.origin.at("hosts").item(index)
            if host in seen:
                yield doubtful(at, f"{host!r} is listed twice")
            elif cover and not host.startswith("~") and name:
                yield doubtful(at, f"{host!r} adds nothing to {cover!r}")
            seen.add(host)
        if all(host.startswith("~") for host in self.hosts) and "~/*" not in self.hosts:
            yield doubtful(self.origin.at("hosts"), "only excludes, so that nothing is imported", "add '*/*'")


@dataclass(frozen=True, slots=True, kw_only=True)
class IstioIngressListener(Message):
    port: SidecarPort
    bind: Annotated[str, bind_address] | None = None
    capture_mode: Literal["DEFAULT", "IPTABLES", "NONE"] = "DEFAULT"
    default_endpoint: str | None = None
    tls: ServerTLSSettings | None = None
    connection_pool: ConnectionPoolSettings | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundTrafficPolicy(Message):
    mode: Literal["REGISTRY_ONLY", "ALLOW_ANY"] = "REGISTRY_ONLY"
    egress_proxy: Destination | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sidecar(Resource):
    KIND: ClassVar[str] = "Sidecar"

    workload_selector: WorkloadSelector | None = None
    ingress: tuple[IstioIngressListener, ...] = ()
    egress: tuple[IstioEgressListener, ...] = ()
    outbound_traffic_policy: OutboundTrafficPolicy | None = None
    inbound_connection_pool: ConnectionPoolSettings | None = None

    def check(self) -> Iterator[Problem]:
        parts = (self.ingress, self.egress, self.outbound_traffic_policy, self.inbound_connection_pool)
        if not any(parts):  # SC-3
            yield Problem(
                code="E-REQUIRED", at=self.origin, message="a Sidecar needs ingress, egress or outboundTrafficPolicy"
            )
        yield from self._check_listeners()

    def _check_listeners(self) -> Iterator[Problem]:
        """SC-10."""
        taken: dict[object, IstioEgressListener] = {}
        for index, listener in enumerate(self.egress):
            if listener.port is None:
                if index != len(self.egress) - 1:
                    yield invalid(listener.origin, "an egress entry without port must be the last, and the only one")
                continue
            key = listener.bind if listener.is_unix else listener.port.number
            if key in taken:
                message = f"{'bind' if listener.is_unix else 'port'} {key} is taken at line {taken[key].origin.line}"
                yield invalid(listener.port.origin, message, "each egress listener needs its own")
            taken.setdefault(key, listener)
