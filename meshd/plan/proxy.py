"""The plan of one proxy as a whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from meshd.names import DnsName, HostName, Locality, ProxyName
from meshd.plan.access_logs import AccessLog
from meshd.plan.clusters import Cluster
from meshd.plan.endpoints import ClusterEndpoints
from meshd.plan.listeners import Listener
from meshd.plan.routes import RouteTable
from meshd.plan.tls import Credentials, Secret

DNS_REFRESH_RATE: Final = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyPlan:
    """Everything that one proxy of one host does. Each tuple is sorted by name.

    `locality`: where the proxy stands, of which zone-aware routing makes use. `dns_refresh_rate`: how long a name that
    could not be looked up may wait for the next attempt, whoever it is that looks it up. `access_log` None: nothing is
    written down.
    """

    proxy: ProxyName
    host: HostName
    locality: Locality = field(default_factory=Locality)
    clusters: tuple[Cluster, ...] = ()
    endpoints: tuple[ClusterEndpoints, ...] = ()
    listeners: tuple[Listener, ...] = ()
    route_tables: tuple[RouteTable, ...] = ()
    secrets: tuple[Secret, ...] = ()
    credentials: tuple[Credentials, ...] = ()
    dns_names: tuple[DnsName, ...] = ()
    dns_refresh_rate: timedelta = DNS_REFRESH_RATE
    access_log: AccessLog | None = None
