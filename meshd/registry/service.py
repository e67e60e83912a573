"""A service of the mesh and its instances, whatever resource they came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from meshd.names import Locality, Namespace, ServiceHost
from meshd.problems import Origin
from meshd.resources.service_entry import Location, Resolution

Protocol = Literal["HTTP", "HTTP2", "GRPC", "GRPC-WEB", "HTTPS", "TLS", "TCP", "MONGO", "REDIS", "MYSQL", "UDP"]
Family = Literal["http", "tls", "tcp", "udp"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """One port of a service. `protocol` is settled: from the field, the port's name, or TCP (spec 3.5)."""

    number: int
    name: str
    protocol: Protocol
    family: Family
    target_port: int
    origin: Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One place where a service runs. `address` as written: an IP, a name to look up, or `unix://...`."""

    address: str
    ports: Mapping[str, int]
    labels: Mapping[str, str]
    locality: Locality
    weight: int
    origin: Origin

    def port_for(self, port: Port) -> int:
        """The number to connect to for a port of the service (spec 7.1); 0 for a Unix socket."""
        if self.address.startswith("unix://"):
            return 0
        return self.ports.get(port.name, port.target_port)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One (host, namespace) of the registry. `export_to` is settled: `*`, or namespaces (none: nobody)."""

    host: ServiceHost
    namespace: Namespace
    ports: tuple[Port, ...]
    instances: tuple[Instance, ...]
    resolution: Resolution
    location: Location
    addresses: tuple[str, ...] = ()
    subject_alt_names: tuple[str, ...] = ()
    export_to: frozenset[str] = field(default=frozenset({"*"}))
    origin: Origin

    def visible_in(self, namespace: Namespace) -> bool:
        return "*" in self.export_to or namespace in self.export_to

    def port(self, number: int) -> Port | None:
        return next((port for port in self.ports if port.number == number), None)
