"""Gateways: which VMs run them, what they open there, and which VirtualServices bind to them (spec 4.4).

Knows of no route: what becomes of requests, the compiler says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from typing import Final, NewType

from meshd.fields import is_ip
from meshd.memo import Memo
from meshd.mesh.client import Client
from meshd.mesh.mesh import Mesh
from meshd.names import HostName, Namespace, ProxyName, ServiceHost
from meshd.registry.hosts import canonical
from meshd.registry.precedence import exported_to, exports, precedence
from meshd.registry.settings import MeshSettings
from meshd.registry.workloads import HOST_ANNOTATION, labels_of
from meshd.resources.gateway import Gateway, Server
from meshd.resources.virtual_service import VirtualService
from meshd.resources.workload_entry import WorkloadEntry

GatewayName = NewType("GatewayName", str)
"""`namespace/name` of a Gateway, or `mesh`: through whom requests come that a VirtualService routes."""

MESH: Final = GatewayName("mesh")

Place = tuple[str, str]

# --- names ----------------------------------------------------------------------------------------------------


def gateway_name(text: str, namespace: Namespace) -> GatewayName:
    """Whom a VirtualService of `namespace` means: by `name`, `ns/name`, or as in 2018 `name.ns` and a suffix."""
    if text == MESH:
        return MESH
    where, slash, name = text.partition("/")
    if slash:
        return GatewayName(f"{namespace if where == '.' else where}/{name}")
    name, dot, rest = text.partition(".")
    return GatewayName(f"{rest.partition('.')[0] if dot else namespace}/{name}")


def name_of(gateway: Gateway) -> GatewayName:
    return GatewayName(f"{gateway.metadata.namespace}/{gateway.metadata.name}")


def gateways_of(virtual_service: VirtualService) -> tuple[GatewayName, ...]:
    """Those whose requests it routes; `mesh` where it names none (V-2)."""
    namespace = Namespace(virtual_service.metadata.namespace)
    return tuple(gateway_name(text, namespace) for text in virtual_service.gateways) or (MESH,)


# --- who runs a gateway ---------------------------------------------------------------------------------------


def workload_of(mesh: Mesh, host: HostName, proxy: ProxyName, memo: Memo) -> WorkloadEntry | None:
    """The workload for which a proxy of the VM stands: its namespace and labels are the proxy's own.

    None: the VM does not run that proxy. One that is only a gateway has no sidecar.
    """
    here = workloads_on(mesh, host, memo)
    return next((entry for entry in here if is_gateway(mesh, entry) == (proxy == "gateway")), None)


def workloads_on(mesh: Mesh, host: HostName, memo: Memo) -> tuple[WorkloadEntry, ...]:
    """The VM's own entries first, then all others that have its address, unless they name another VM themselves."""
    own = mesh.workloads.get(host, ())
    by_place = memo.recall(_by_place, mesh.workloads)
    there = (entry for place in map(_place, own) if place for entry in by_place.get(place, ()))
    return tuple({id(entry): entry for entry in (*own, *there)}.values())


def _by_place(workloads: Mapping[HostName, tuple[WorkloadEntry, ...]]) -> dict[Place, list[WorkloadEntry]]:
    by_place: dict[Place, list[WorkloadEntry]] = {}
    for entry in (entry for entries in workloads.values() for entry in entries):
        place = _place(entry)
        if place and HOST_ANNOTATION not in entry.metadata.annotations:
            by_place.setdefault(place, []).append(entry)
    return by_place


def _place(entry: WorkloadEntry) -> Place | None:
    """Address and network; None for an address that says nothing of the machine: a socket, a name, a loopback."""
    machine = _machine(entry.workload.address)
    return (machine, entry.workload.network or "") if machine else None


@lru_cache(maxsize=65_536)
def _machine(address: str) -> str:
    """Kept, since all addresses of the mesh are asked for whenever one of them changes."""
    if not is_ip(address):
        return ""
    ip = ip_address(address)
    return "" if ip.is_loopback or ip.is_unspecified else str(ip)


def is_gateway(mesh: Mesh, entry: WorkloadEntry) -> bool:
    """Some Gateway selects it by labels, or the mesh's settings do (G-2)."""
    return selects_any(selectors_of(mesh.settings, mesh.gateways), labels_of(entry))


Selectors = tuple[tuple[tuple[str, str], ...], ...]
"""The pairs of each selector that makes its workloads gateways."""


def selectors_of(settings: MeshSettings, gateways: Iterable[Gateway]) -> Selectors:
    """Each once: most Gateways of a mesh are for the same workloads. An empty one is for gateways, and makes none."""
    named = (gateway.selector for gateway in gateways if gateway.selector)
    selectors = (settings.ingress_gateway_selector, settings.egress_gateway_selector, *named)
    return tuple({tuple(sorted(selector.items())): None for selector in selectors})


def selects_any(selectors: Selectors, labels: Mapping[str, str]) -> bool:
    """In plain loops: a mesh has thousands of workloads, who are all asked whenever one of them changes."""
    for selector in selectors:
        for key, value in selector:
            if labels.get(key) != value:
                break
        else:
            return True
    return False


def selects(gateway: Gateway, labels: Mapping[str, str]) -> bool:
    """Whether a Gateway is for a workload that is one of gateways; namespaces are not compared (G-2)."""
    return gateway.selector.items() <= labels.items()


# --- what is opened there -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerHost:
    """One of a server's hosts. `namespace`: of the VirtualServices that may bind to it, or `*`."""

    namespace: str
    host: ServiceHost

    def admits(self, namespace: Namespace) -> bool:
        return self.namespace in {"*", namespace}


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayServer:
    """A server, and the Gateway in which it stands."""

    gateway: Gateway
    server: Server

    @property
    def name(self) -> GatewayName:
        return name_of(self.gateway)

    @property
    def hosts(self) -> tuple[ServerHost, ...]:
        return tuple(server_host(text, Namespace(self.gateway.metadata.namespace)) for text in self.server.hosts)


def servers_for(mesh: Mesh, client: Client, memo: Memo) -> tuple[GatewayServer, ...]:
    """What the gateway with these labels opens, in the order of spec 2.6. `client`: a workload of role gateway."""
    selecting = (gateway for gateway in mesh.gateways if selects(gateway, client.labels))
    return tuple(server for gateway in selecting for server in memo.recall(servers_of, gateway))


def servers_of(gateway: Gateway) -> tuple[GatewayServer, ...]:
    return tuple(GatewayServer(gateway=gateway, server=server) for server in gateway.servers)


def server_host(text: str, namespace: Namespace) -> ServerHost:
    """G-3.7; a Gateway of `namespace` means itself by `.`."""
    where, slash, name = text.partition("/")
    if not slash:
        return ServerHost(namespace="*", host=canonical(text))
    return ServerHost(namespace=namespace if where == "." else where, host=canonical(name))


# --- who binds to it (4.4) ------------------------------------------------------------------------------------


def bound_to(
    virtual_services: Iterable[VirtualService], gateway: GatewayName, namespace: Namespace
) -> tuple[VirtualService, ...]:
    """Those that name a Gateway and are exported to `namespace`, where the gateway itself runs; in the order of V-8."""
    naming = (each for each in virtual_services if each.gateways and gateway in gateways_of(each))
    seen = (each for each in naming if exported_to(_exports(each), namespace))
    return tuple(sorted(seen, key=lambda each: order_at(each, namespace)))


def order_at(virtual_service: VirtualService, namespace: Namespace) -> tuple[object, ...]:
    """V-8: what is the namespace's own and for it, what others have for it by name, what is for everybody."""
    own = virtual_service.metadata.namespace == namespace
    rank = 2 if "*" in _exports(virtual_service) else 0 if own else 1
    return (rank, *precedence(virtual_service.metadata))


def _exports(virtual_service: VirtualService) -> frozenset[str]:
    return exports(virtual_service.export_to, Namespace(virtual_service.metadata.namespace))
