"""OutboundProxy of a MeshConfig: the HTTP proxy by which hosts without a way out of their own leave the mesh."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Final

from meshd.fields import LabelMap, Matching, Message, Port, credential_name, fqdn, host_or_ip, ip_or_cidr
from meshd.problems import Origin, Problem
from meshd.resources.client_tls import ClientTLSSettings
from meshd.resources.finding import doubtful, invalid

_WITH_PORT: Final = re.compile(r"(?:\[(?P<six>[^]]*)]|(?P<other>[^:]*)):(?P<port>[0-9]{1,5})")

plain_path: Final = Matching(
    re.compile(r"[^%():\s]+"), "a path that Envoy can be told: without '%', ':', '()' or spaces"
)
"""Envoy is told the file of the credentials in the middle of a format."""


def split_port(entry: str) -> tuple[str, int | None]:
    """`*.example.com:8443`, `[fd00::1]:443` or an entry without a port, which is for all of them."""
    found = _WITH_PORT.fullmatch(entry)
    if found is None:
        return entry.removeprefix("[").removesuffix("]"), None
    return found["six"] or found["other"] or "", int(found["port"])


def no_proxy_entry(value: object) -> str:
    """What `no_proxy` customarily has: a name, `.suffix`, `*.suffix`, an IP address, a CIDR or `*`; perhaps a port."""
    name, port = split_port(str(value))
    if port is not None and not 0 < port < 65536:
        return f"{port} is not the number of a port"
    if name == "*" or not ip_or_cidr(name) or not fqdn(name.removeprefix("*").removeprefix(".")):
        return ""
    return f"{value!r} is not a host name, '.' or '*.' and a domain, an IP address or a CIDR"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundProxy(Message):
    """For the hosts that `selector` selects; without labels it is for all. `direct`: they need none.

    The credentials are the file `proxy-authorization` of `credential_name` below `secretRoot`.
    """

    selector: LabelMap = field(default_factory=dict)
    host: Annotated[str, host_or_ip] | None = None
    port: Port | None = None
    tls: ClientTLSSettings | None = None
    credential_name: Annotated[str, credential_name, plain_path] | None = None
    no_proxy: tuple[Annotated[str, no_proxy_entry], ...] = ()
    direct: bool = False

    def check(self) -> Iterator[Problem]:
        if self.direct:
            yield from self._in_vain()
            return
        for name, given in (("host", self.host), ("port", self.port)):
            if given is None:
                hint = "or write `direct: true` for hosts that need no proxy"
                yield Problem(code="E-REQUIRED", at=self.origin.at(name), message="is required", hint=hint)
        if self.tls and self.tls.mode == "ISTIO_MUTUAL":
            yield invalid(self.tls.origin.at("mode"), "the proxy is no member of the mesh", "use SIMPLE or MUTUAL")
        if "*" in self.no_proxy:
            at = self.origin.at("noProxy")
            yield doubtful(at, "'*' is everything: nothing goes through the proxy", "write `direct: true`")

    def _in_vain(self) -> Iterator[Problem]:
        settings = {
            "host": self.host,
            "port": self.port,
            "tls": self.tls,
            "credentialName": self.credential_name,
            "noProxy": self.no_proxy,
        }
        for name, given in settings.items():
            if given:
                yield invalid(self.origin.at(name), f"{name} does not go with `direct: true`", "leave one of them out")


def check_together(proxies: tuple[OutboundProxy, ...], secret_root: Origin, path: str) -> Iterator[Problem]:
    """The first that selects a host is its own. `secret_root`: where `path`, that of the credentials, was given."""
    if path and plain_path(path) and any(each.credential_name for each in proxies):
        yield invalid(secret_root, plain_path(path), "credentials of outbound proxies are below it")
    for number, each in enumerate(proxies[:-1]):
        if not each.selector:
            at, message = proxies[number + 1].origin, "never used: the one before it is for all hosts"
            yield doubtful(at, message, "give that one a selector, or put it last")
            return
