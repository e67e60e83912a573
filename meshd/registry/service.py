"""A service of the mesh and its instances, whatever resource they came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from meshd.names import Locality, Namespace, ServiceHost
from meshd.problems import Origin
from meshd.registry.precedence import LAST, Precedence, exported_to
from meshd.resources.protocol import Family, Protocol
from meshd.resources.service_entry import Location, Resolution

__all__ = ["Family", "Instance", "Port", "Protocol", "Service"]

_TLS_MODE: Final = "security.istio.io/tlsMode"


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
    """One place where a service runs. `address` as written: an IP, a name to look up, or `unix://...`.

    `serves`: numbers of the service's ports that answer here; an entry of the mesh speaks for its own ports only,
    though others may add ports to the same service. `workload`: `namespace/name` of the WorkloadEntry it is, if any.
    """

    address: str
    ports: Mapping[str, int]
    serves: frozenset[int]
    labels: Mapping[str, str]
    locality: Locality
    weight: int
    network: str = ""
    service_account: str = ""
    workload: str = ""
    origin: Origin

    @property
    def speaks_mesh_tls(self) -> bool:
        """Its label says so; without one, a service account means that it has a sidecar (spec 6.4, W-7)."""
        mode = self.labels.get(_TLS_MODE)
        return bool(self.service_account) if mode is None else mode == "istio"

    def port_for(self, port: Port) -> int:
        """The number to connect to for a port of the service (spec 7.1); 0 for a Unix socket."""
        if self.address.startswith("unix://"):
            return 0
        return self.ports.get(port.name, port.target_port)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One (host, namespace) of the registry. `export_to` is settled: `*`, or namespaces (none: nobody).

    `resolution_without_capture`: another one, at gateways and on hosts that know no original destination.
    UDP ports are left out. Where a port is answered: `instances_of(port)`. `precedence`: its place in spec 2.6.
    """

    host: ServiceHost
    namespace: Namespace
    ports: tuple[Port, ...]
    instances: tuple[Instance, ...]
    resolution: Resolution
    resolution_without_capture: Resolution | None = None
    location: Location
    addresses: tuple[str, ...] = ()
    subject_alt_names: tuple[str, ...] = ()
    export_to: frozenset[str] = field(default=frozenset({"*"}))
    precedence: Precedence = LAST
    origin: Origin

    def visible_in(self, namespace: Namespace) -> bool:
        return exported_to(self.export_to, namespace)

    def port(self, number: int) -> Port | None:
        return next((port for port in self.ports if port.number == number), None)

    def instances_of(self, port: Port) -> tuple[Instance, ...]:
        return tuple(instance for instance in self.instances if port.number in instance.serves)
