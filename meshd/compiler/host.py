"""Who am I: the WorkloadEntries that name this VM -> what the compiler needs to know of it (design, "Who am I").

The settings of the mesh are part of the answer: nearly all that depends on the one depends on the other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import ip_address

from meshd.fields import is_ip
from meshd.memo import Memo
from meshd.mesh.client import Client
from meshd.mesh.mesh import Mesh
from meshd.names import HostName, Locality, Namespace, ProxyName
from meshd.problems import NOWHERE, Problem, nearest
from meshd.registry.settings import MeshSettings
from meshd.registry.workloads import HOST_ANNOTATION, identity, labels_of, locality_of
from meshd.resources.workload_entry import WorkloadEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """This VM: as a client of services, where it stands, what runs on it, and the mesh's settings.

    `proxy`: the one that is compiled; both may run on a VM, each for a workload of its own (`standing_for`).
    `addresses`: canonical IPs. `workloads`: `namespace/name` of each WorkloadEntry that lives here.
    """

    name: HostName
    client: Client
    locality: Locality
    network: str = ""
    service_account: str = ""
    addresses: frozenset[str] = frozenset()
    workloads: frozenset[str] = frozenset()
    settings: MeshSettings
    proxy: ProxyName = "sidecar"


def host_of(mesh: Mesh, name: HostName, memo: Memo) -> Host | None:
    """The same object on the next pass while the entries that name the host are the same."""
    entries = mesh.workloads.get(name)
    return memo.recall(_host, name, mesh.settings, *entries) if entries else None


def standing_for(host: Host, proxy: ProxyName, entry: WorkloadEntry) -> Host:
    """The VM as one of its proxies sees it: as the workload for which that proxy stands."""
    labels = labels_of(entry)
    return replace(
        host,
        proxy=proxy,
        client=Client(namespace=Namespace(entry.metadata.namespace), labels=labels),
        locality=locality_of(entry.workload, labels),
        network=entry.workload.network or "",
        service_account=entry.workload.service_account or "",
    )


def unknown(mesh: Mesh, name: HostName) -> Problem:
    """Nobody's fault in the mesh: the agent on this VM may be configured before its WorkloadEntry is pushed."""
    hint = nearest(name, mesh.workloads) or f"add a WorkloadEntry {name!r}, or one with annotation {HOST_ANNOTATION}"
    return Problem(code="E-HOST-UNKNOWN", at=NOWHERE, message=f"no WorkloadEntry names host {name!r}", hint=hint)


def _host(name: HostName, settings: MeshSettings, *entries: WorkloadEntry) -> Host:
    entry = identity(entries)
    labels = labels_of(entry)
    client = Client(namespace=Namespace(entry.metadata.namespace), labels=labels)
    return Host(
        name=name,
        client=client,
        locality=locality_of(entry.workload, labels),
        network=entry.workload.network or "",
        service_account=entry.workload.service_account or "",
        addresses=frozenset(str(ip_address(e.workload.address)) for e in entries if is_ip(e.workload.address)),
        workloads=frozenset(f"{e.metadata.namespace}/{e.metadata.name}" for e in entries),
        settings=settings,
    )
