"""Gateway: where a gateway proxy listens, and for which hosts (spec section 4)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Final

from meshd.fields import (
    UNIX,
    Between,
    Count,
    EmptyIsAbsent,
    HostText,
    LabelMap,
    Message,
    bind_address,
    is_ip,
    namespace_label,
    object_name,
)
from meshd.problems import Problem, nearest
from meshd.resources.extras import GatewayExtras, check_extras, check_names, read_extras
from meshd.resources.finding import doubtful, invalid, legacy
from meshd.resources.host_name import full_name_or_wildcard
from meshd.resources.protocol import LEGACY_PROTOCOLS, PROTOCOLS, Family, Protocol, family, port_protocol
from meshd.resources.resource import Metadata, Resource
from meshd.resources.server_tls import ServerTLSSettings

_PROTOCOLS: Final = tuple(protocol for protocol in PROTOCOLS if protocol != "UDP")


def server_host(value: object) -> str:
    """G-3.7: `dnsName`, or `namespace/dnsName`; an IPv4 address is a `dnsName` too."""
    namespace, slash, name = str(value).rpartition("/")
    if slash and (not namespace or not name):
        return f"{value!r} is not namespace/dnsName: neither part may be empty"
    if slash and namespace not in {"*", "."} and namespace_label(namespace):
        return f"{namespace!r} is not a namespace, '*' or '.'"
    return "" if is_ip(name) and ":" not in name else full_name_or_wildcard(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayPort(Message):
    """`number` is 0, or left out, for a Unix bind only."""

    number: Annotated[int, Between(0, 65535)] = 0
    protocol: Annotated[str, Count(1)]
    name: Annotated[str, Count(1)]
    target_port: Annotated[int, Between(0, 0)] = 0

    @property
    def settled_protocol(self) -> Protocol:
        return port_protocol(self.protocol, "")

    @property
    def speaks(self) -> Family:
        return family(self.settled_protocol)

    def check(self) -> Iterator[Problem]:
        """G-3.3; spec section 12."""
        at, given = self.origin.at("protocol"), self.protocol.upper()
        if given in LEGACY_PROTOCOLS:
            yield legacy(at, f"{given} is an old name", f"write {LEGACY_PROTOCOLS[given]}")
        elif given not in _PROTOCOLS:
            hint = nearest(given, _PROTOCOLS) or f"use one of {', '.join(_PROTOCOLS)}"
            yield invalid(at, f"{self.protocol!r} is not a protocol of a Gateway", hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server(Message):
    """One port that the gateway listens on, and the hosts that it serves there."""

    port: GatewayPort
    hosts: Annotated[tuple[Annotated[HostText, server_host], ...], Count(1)]
    name: str = ""
    bind: Annotated[str, EmptyIsAbsent(), bind_address] | None = None
    default_endpoint: Annotated[str, EmptyIsAbsent()] | None = None
    tls: ServerTLSSettings | None = None

    @property
    def is_unix(self) -> bool:
        return self.bind is not None and self.bind.startswith(UNIX)

    def check(self) -> Iterator[Problem]:
        yield from self._check_number()
        yield from self._check_tls()
        if self.default_endpoint is not None:  # G-3.8
            at, message = self.origin.at("defaultEndpoint"), "a Gateway does not use it, here or in Istio"
            hint = "write a VirtualService that leads there, and remove it"
            yield Problem(code="W-GW-DEFAULT-ENDPOINT", at=at, message=message, hint=hint)

    def _check_number(self) -> Iterator[Problem]:
        """G-3.2."""
        at = self.port.origin.at("number")
        if self.is_unix and self.port.number:
            yield invalid(at, "a unix socket has port number 0", "remove the number, or bind to an IP address")
        elif not self.is_unix and not self.port.number:
            yield Problem(code="E-REQUIRED", at=at, message="the port to listen on, 1 to 65535, is required")

    def _check_tls(self) -> Iterator[Problem]:
        """G-4 and G-4.1."""
        protocol, speaks = self.port.settled_protocol, self.port.speaks
        if self.tls is None:
            if speaks == "tls":
                message = f"protocol {protocol} needs tls"
                hint = "write tls: {mode: SIMPLE, credentialName: ...}, or mode: PASSTHROUGH"
                yield Problem(code="E-REQUIRED", at=self.origin.at("tls"), message=message, hint=hint)
            return
        if speaks == "tcp":
            yield invalid(self.tls.origin, f"protocol {protocol} has no tls", "set protocol: TLS")
        elif speaks == "http":
            yield from self._check_tls_of_http(self.tls)
        if self.tls.https_redirect and speaks != "http":
            at = self.tls.origin.at("httpsRedirect")
            yield doubtful(at, f"only plain HTTP is redirected to HTTPS, not {protocol}", "remove it")

    def _check_tls_of_http(self, tls: ServerTLSSettings) -> Iterator[Problem]:
        hint = "set protocol: HTTPS"
        if tls.mode != "PASSTHROUGH":
            message = f"protocol {self.port.settled_protocol} is plain text; of tls it has httpsRedirect only"
            yield invalid(tls.origin.at("mode"), message, hint)
        files = {
            "serverCertificate": tls.server_certificate,
            "privateKey": tls.private_key,
            "caCertificates": tls.ca_certificates,
        }
        for name, given in files.items():
            if given:
                yield invalid(tls.origin.at(name), f"protocol {self.port.settled_protocol} is plain text", hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayMetadata(Metadata):
    """G-1: the name is part of names that end at a dot."""

    name: Annotated[str, object_name, namespace_label]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway(Resource):
    KIND: ClassVar[str] = "Gateway"

    metadata: GatewayMetadata
    servers: Annotated[tuple[Server, ...], Count(1)]
    selector: LabelMap = field(default_factory=dict)

    @property
    def extras(self) -> GatewayExtras:
        return read_extras(GatewayExtras, self.metadata)

    def check(self) -> Iterator[Problem]:
        """G-3, G-3.1 and G-3.4."""
        ports: dict[str, int] = {}
        names: dict[str, int] = {}
        for server in self.servers:
            if line := ports.get(server.port.name):
                message = f"port name {server.port.name!r} is taken at line {line}"
                yield invalid(server.port.origin.at("name"), message, "each server needs its own")
            if line := names.get(server.name):
                yield doubtful(server.origin.at("name"), f"server name {server.name!r} is taken at line {line}")
            ports.setdefault(server.port.name, server.port.origin.at("name").line)
            if server.name:
                names.setdefault(server.name, server.origin.at("name").line)
        yield from check_extras(GatewayExtras, self.metadata)
        numbers = (str(server.port.number) for server in self.servers)
        yield from check_names(self.metadata, "port", map(str, self.extras.proxy_protocol_ports), numbers)
