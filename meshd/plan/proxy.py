"""The plan of one proxy as a whole."""

from __future__ import annotations

from dataclasses import dataclass, field

from meshd.names import DnsName, HostName, Locality, ProxyName
from meshd.plan.clusters import Cluster
from meshd.plan.endpoints import ClusterEndpoints
from meshd.plan.listeners import Listener
from meshd.plan.routes import RouteTable
from meshd.plan.tls import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyPlan:
    """Everything that one proxy of one host does. Each tuple is sorted by name.

    `locality`: where the proxy stands, of which zone-aware routing makes use.
    """

    proxy: ProxyName
    host: HostName
    locality: Locality = field(default_factory=Locality)
    clusters: tuple[Cluster, ...] = ()
    endpoints: tuple[ClusterEndpoints, ...] = ()
    listeners: tuple[Listener, ...] = ()
    route_tables: tuple[RouteTable, ...] = ()
    secrets: tuple[Secret, ...] = ()
    dns_names: tuple[DnsName, ...] = ()
