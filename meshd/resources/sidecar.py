"""Sidecar: what a host's workloads may reach, and on which local addresses (spec 9.1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar, Final, Literal

from meshd.fields import (
    UNIX,
    Between,
    Count,
    EmptyIsAbsent,
    HostText,
    Message,
    bind_address,
    dns_label,
    fqdn,
    ip_address,
    namespace_label,
    socket_path,
)
from meshd.problems import Problem, nearest
from meshd.resources.destination import Destination
from meshd.resources.finding import doubtful, invalid
from meshd.resources.host_name import full_name_or_wildcard
from meshd.resources.protocol import PROTOCOLS, Family, family, named_protocol, port_protocol
from meshd.resources.resource import Resource, WorkloadSelector
from meshd.resources.server_tls import ServerTLSSettings
from meshd.resources.traffic_policy import ConnectionPoolSettings

CaptureMode = Literal["DEFAULT", "IPTABLES", "NONE"]

HTTP_PROXY: Final = "HTTP_PROXY"
"""The protocol of an egress listener that clients use as their HTTP proxy."""

_PROTOCOLS: Final = (*(protocol for protocol in PROTOCOLS if protocol != "UDP"), HTTP_PROXY)
"""UDP is for ServiceEntries only, where it is left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SidecarPort(Message):
    number: Annotated[int, Between(0, 65535)] = 0
    protocol: str = ""
    name: Annotated[str, EmptyIsAbsent(), dns_label] | None = None
    target_port: Annotated[int, Between(0, 0)] = 0

    @property
    def speaks(self) -> Family:
        """Of any protocol but HTTP_PROXY."""
        return family(port_protocol(self.protocol, self.name or ""))

    @property
    def is_http_proxy(self) -> bool:
        return self.protocol.upper() == HTTP_PROXY

    def check(self) -> Iterator[Problem]:
        """Spec 3.5."""
        if self.protocol and self.protocol.upper() not in _PROTOCOLS:
            at, near = self.origin.at("protocol"), nearest(self.protocol.upper(), _PROTOCOLS)
            yield invalid(at, f"{self.protocol!r} is not a protocol here", near or f"use {', '.join(_PROTOCOLS)}")
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
    return full_name_or_wildcard(name)


_LOCAL: Final = frozenset({"", "127.0.0.1", "0.0.0.0", "[::1]", "[::]"})  # noqa: S104  (as the field spells them)


def default_endpoint(value: object) -> str:
    """SC-7."""
    text = str(value)
    if text.startswith(UNIX):
        return socket_path(text.removeprefix(UNIX))
    host, colon, port = text.rpartition(":")
    if not colon or host not in _LOCAL:
        return f"{value!r} is not 127.0.0.1:PORT, 0.0.0.0:PORT, [::1]:PORT, [::]:PORT, :PORT or {UNIX}..."
    if port.isascii() and port.isdigit() and 1 <= int(port[:6]) <= 65535:
        return ""
    return f"{value!r} has no port from 1 to 65535"


@dataclass(frozen=True, slots=True, kw_only=True)
class IstioEgressListener(Message):
    hosts: Annotated[tuple[Annotated[HostText, egress_host], ...], Count(1)]
    port: SidecarPort | None = None
    bind: Annotated[str, EmptyIsAbsent(), bind_address] | None = None
    capture_mode: CaptureMode = "DEFAULT"

    @property
    def is_unix(self) -> bool:
        return self.bind is not None and self.bind.startswith(UNIX)

    def check(self) -> Iterator[Problem]:
        yield from self._check_bind()
        if self.capture_mode == "IPTABLES" and self.is_unix:  # SC-12
            yield invalid(self.origin.at("captureMode"), "a unix socket captures no traffic", "leave captureMode out")

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

    def doubtful_hosts(self, namespace: str) -> Iterator[Problem]:
        """SC-13, for a Sidecar of `namespace`: what adds nothing, and what is missing."""
        settled = [_settled_host(host, namespace) for host in self.hosts]
        for index, host in enumerate(settled):
            of_namespace = f"{host.partition('/')[0]}/*"
            cover = next((wider for wider in (of_namespace, "*/*") if wider in settled and wider != host), None)
            at = self.origin.at("hosts").item(index)
            if host in settled[:index]:
                yield doubtful(at, f"{self.hosts[index]!r} is listed twice", "remove it")
            elif cover and not host.startswith("~"):
                yield doubtful(at, f"{self.hosts[index]!r} adds nothing to {cover!r}", "remove one of the two")
        if all(host.startswith("~") for host in settled) and "~/*" not in self.hosts:
            yield doubtful(self.origin.at("hosts"), "only excludes, so that nothing is imported", "add '*/*'")


def _settled_host(host: str, namespace: str) -> str:
    """With the namespace in place of `.`, and `~*/` for what excludes from all."""
    scope, _, name = host.partition("/")
    scope = {".": namespace, "~.": f"~{namespace}", "~": "~*"}.get(scope, scope)
    return f"{scope}/{name.lower()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class IstioIngressListener(Message):
    port: SidecarPort
    bind: Annotated[str, EmptyIsAbsent(), ip_address] | None = None
    capture_mode: CaptureMode = "DEFAULT"
    default_endpoint: Annotated[str, EmptyIsAbsent(), default_endpoint] | None = None
    tls: ServerTLSSettings | None = None
    connection_pool: ConnectionPoolSettings | None = None

    def check(self) -> Iterator[Problem]:
        yield from self._check_port()
        if self.tls is not None:
            yield from self._check_tls(self.tls)
        if self.connection_pool and self.connection_pool.http and not self._is_http:  # SC-9
            at = self.connection_pool.origin.at("http")
            yield doubtful(at, f"port {self.port.number} is not HTTP: only the tcp settings act on it")

    @property
    def _is_http(self) -> bool:
        """HTTPS that ends here counts as HTTP (SC-8)."""
        ended = self.tls is not None and self.tls.terminates and self.port.protocol.upper() == "HTTPS"
        return ended or self.port.speaks == "http"

    def _check_port(self) -> Iterator[Problem]:
        """SC-4."""
        if not self.port.number:
            at = self.port.origin.at("number")
            yield Problem(code="E-REQUIRED", at=at, message="the port to listen on, 1 to 65535, is required")
        if self.port.is_http_proxy:
            at = self.port.origin.at("protocol")
            yield invalid(at, f"{HTTP_PROXY} is for egress only", "set protocol: HTTP")

    def _check_tls(self, tls: ServerTLSSettings) -> Iterator[Problem]:
        """SC-8."""
        if self.port.speaks != "tls":
            yield invalid(self.port.origin.at("protocol"), "tls needs protocol HTTPS or TLS")
        if tls.mode in {"ISTIO_MUTUAL", "AUTO_PASSTHROUGH"}:
            hint = "use SIMPLE, MUTUAL or OPTIONAL_MUTUAL"
            yield invalid(tls.origin.at("mode"), f"mode {tls.mode} is not for a Sidecar", hint)
        elif not tls.terminates:
            yield doubtful(tls.origin, "TLS does not end here: it is passed on as it comes", "set mode: SIMPLE")
        refused = {
            "subjectAltNames": tls.subject_alt_names,
            "httpsRedirect": tls.https_redirect,
            "credentialName": tls.credential_name,
            "credentialNames": tls.credential_names,
            "caCertCredentialName": tls.ca_cert_credential_name,
            "tlsCertificates": tls.tls_certificates,
        }
        for name, given in refused.items():
            if given:
                message = f"{name} is not for a Sidecar"
                yield invalid(tls.origin.at(name), message, "name files: serverCertificate, privateKey, caCertificates")


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundTrafficPolicy(Message):
    """What becomes of traffic to hosts that no ServiceEntry names."""

    mode: Literal["REGISTRY_ONLY", "ALLOW_ANY"] = "REGISTRY_ONLY"
    egress_proxy: Destination | None = None

    def check(self) -> Iterator[Problem]:
        """SC-15."""
        proxy = self.egress_proxy
        if proxy is None:
            return
        if self.mode != "ALLOW_ANY":
            yield invalid(proxy.origin, "an egress proxy needs mode ALLOW_ANY", "set mode: ALLOW_ANY")
        if wrong := fqdn(proxy.host):
            yield invalid(proxy.origin.at("host"), wrong, "name one service")
        if proxy.port is None:
            yield Problem(code="E-REQUIRED", at=proxy.origin.at("port"), message="the port of the proxy is required")


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
            message = "a Sidecar needs ingress, egress, outboundTrafficPolicy or inboundConnectionPool"
            yield Problem(code="E-REQUIRED", at=self.origin, message=message)
        yield from self._check_ingress()
        yield from self._check_egress()
        for listener in self.egress:
            yield from listener.doubtful_hosts(self.metadata.namespace)

    def _check_ingress(self) -> Iterator[Problem]:
        """SC-4."""
        taken: dict[int, int] = {}
        for listener in self.ingress:
            at = listener.port.origin.at("number")
            if line := taken.get(listener.port.number):
                message = f"port {listener.port.number} is taken at line {line}"
                yield invalid(at, message, "each ingress listener needs its own, whatever it binds to")
            taken.setdefault(listener.port.number, at.line)

    def _check_egress(self) -> Iterator[Problem]:
        """SC-10."""
        taken: dict[object, int] = {}
        for index, listener in enumerate(self.egress):
            if listener.port is None:
                if index != len(self.egress) - 1:
                    yield invalid(listener.origin, "an egress entry without port must be the last, and the only one")
                continue
            key = listener.bind if listener.is_unix else listener.port.number
            at = listener.origin.at("bind") if listener.is_unix else listener.port.origin.at("number")
            if line := taken.get(key):
                message = f"{'bind' if listener.is_unix else 'port'} {key} is taken at line {line}"
                yield invalid(at, message, "each egress listener needs its own")
            taken.setdefault(key, at.line)
