"""The addresses at which applications reach the sidecar: bound ones, and those at which connections are captured."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, replace
from typing import Final

from meshd.compiler.host import Host
from meshd.names import ListenerName
from meshd.plan import Bind, SocketBind, UnixBind
from meshd.problems import Origin
from meshd.resources.sidecar import HTTP_PROXY, IstioEgressListener, SidecarPort

LOOPBACK: Final = "127.0.0.1"
_UNIX: Final = "unix://"
_ANYWHERE: Final = {4: "0.0.0.0", 6: "::"}  # noqa: S104 (nothing is bound there but the port of the capture)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a listener stands, what it is called and who asked for it. `port` 0: a Unix socket.

    `captured`: connections are handed over to it by the address that they were going to; it is not bound itself.
    `virtual`: that address is one that services have for themselves. `proxy`: clients take it for an HTTP proxy.
    """

    bind: Bind
    name: ListenerName
    port: int
    captured: bool = False
    virtual: bool = False
    proxy: bool = False
    origin: Origin

    @property
    def table_name(self) -> str:
        """Spec 11: the port, or the bind of a Unix socket."""
        return str(self.port) if self.port else self.name


def bound_at(ip: str, port: int, origin: Origin) -> Place:
    canonical = str(ipaddress.ip_address(ip))
    name = ListenerName(f"{canonical}_{port}")
    return Place(bind=SocketBind(ip=canonical, port=port), name=name, port=port, origin=origin)


def captured_at(ip: str, port: int, origin: Origin) -> Place:
    return replace(bound_at(ip, port, origin), captured=True)


def virtual_ip(ip: str, port: int, origin: Origin) -> Place:
    return replace(captured_at(ip, port, origin), virtual=True)


def http_proxy_at(ip: str, port: int, origin: Origin) -> Place:
    return replace(bound_at(ip, port, origin), proxy=True)


def bound_by(entry: IstioEgressListener, port: SidecarPort) -> Place:
    """An entry of a Sidecar that is bound: to the loopback address, unless it says otherwise (SC-11)."""
    bind, proxy = entry.bind or LOOPBACK, port.protocol.upper() == HTTP_PROXY
    if not bind.startswith(_UNIX):
        return replace(bound_at(bind, port.number, entry.origin), proxy=proxy)
    path = UnixBind(path=bind.removeprefix(_UNIX))
    return Place(bind=path, name=ListenerName(bind), port=0, proxy=proxy, origin=entry.origin)


def wildcards(host: Host) -> tuple[str, ...]:
    """What stands for all addresses, in each family that the host's own addresses have; without any, it is IPv4."""
    return tuple(_ANYWHERE[version] for version in _versions(host))


def is_reached(address: str, host: Host) -> bool:
    """Whether this host speaks the family of an address."""
    return ipaddress.ip_address(address).version in _versions(host)


def _versions(host: Host) -> list[int]:
    return sorted({ipaddress.ip_address(address).version for address in host.addresses}) or [4]
