"""Where the endpoints of clusters are: DNS names, never looked-up addresses; and what a looked-up one can tell."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

from meshd.names import ClusterName, DnsName, ListenerName, Locality, is_srv
from meshd.problems import NOWHERE, Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class IpAddress:
    """An IPv4 or IPv6 address, in canonical text without brackets."""

    ip: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnixAddress:
    """A Unix socket: `/abs/path`, or `@name` for an abstract one."""

    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsAddress:
    """A name to look up; `first_only` takes one address of each fresh answer (DNS_ROUND_ROBIN).

    With `is_srv` it has SRV records, which say the ports, shares and order of failover too.
    """

    name: DnsName
    first_only: bool = False

    @property
    def is_srv(self) -> bool:
        return is_srv(self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class InternalAddress:
    """A listener of this very proxy, an `InternalBind`: what it makes of a connection comes after this cluster.

    `endpoint_id` tells endpoints apart that lead to the same listener.
    """

    listener: ListenerName
    endpoint_id: str = ""


Address = IpAddress | UnixAddress | DnsAddress | InternalAddress


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class SrvTarget:
    """One address to which an SRV record leads, with what the record says of it (RFC 2782).

    Not part of any plan: such come in the place of a `DnsAddress` whose `is_srv`.
    """

    priority: int
    target: DnsName
    ip: str
    port: int
    weight: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One place where a service answers. `priority` 0 is tried first.

    `port` is 0 for a Unix socket, and where SRV records tell it.

    `speaks_mesh_tls`: it takes the cluster's `mesh_tls` (spec 6.4). `workload`: the `namespace/name` of the entry that
    runs on this very host, whose probes say whether it is healthy (spec W-17); else empty.
    """

    address: Address
    port: int
    weight: int = 1
    locality: Locality = field(default_factory=Locality)
    priority: int = 0
    speaks_mesh_tls: bool = False
    workload: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Circle:
    """A listener of this very proxy, and where it is reached. Some of what it takes comes to the cluster again."""

    listener: ListenerName
    blocks: tuple[str, ...]
    port: int

    def takes(self, ip: str, port: int) -> bool:
        return port == self.port and any(ip_address(ip) in ip_network(block) for block in self.blocks)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalityWeight:
    priority: int
    locality: Locality
    weight: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterEndpoints:
    """Where the endpoints of one cluster are; apart from the cluster, since they change far more often.

    `locality_weights`: what share each (priority, locality) has, where that is not the sum of its endpoints (D-20).
    `drops_unhealthy`: an unhealthy one is left out instead of marked, since panic mode would use it (W-17).
    `circles`: an endpoint that turns out to be there is left out.
    """

    cluster: ClusterName
    endpoints: tuple[Endpoint, ...]
    locality_weights: tuple[LocalityWeight, ...] = ()
    drops_unhealthy: bool = False
    circles: tuple[Circle, ...] = ()
    origin: Origin = NOWHERE
