"""Who am I: the WorkloadEntries that name this VM -> what the compiler needs to know of it (design, "Who am I").

The settings of the mesh are part of the answer: nearly all that depends on the one depends on the other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import ip_address

from meshd.fields import is_ip
from meshd.memo import Memo
from meshd.mesh.client import Client, Implements
from meshd.mesh.gateways import workloads_on
from meshd.mesh.mesh import Mesh
from meshd.names import HostName, Locality, Namespace
from meshd.problems import NOWHERE, Problem, nearest
from meshd.registry.settings import MeshSettings
from meshd.registry.workloads import HOST_ANNOTATION, identity, labels_of, locality_of, workload_name
from meshd.resources.workload_entry import WorkloadEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """This VM: as a client of services, where it stands, what runs on it, and the mesh's settings.

    `address`: as its own WorkloadEntry has it. `addresses`: canonical IPs. `workloads`: `namespace/name` of each
    WorkloadEntry that lives here: those that name the host, and all others with an address of its.
    """

    name: HostName
    client: Client
    locality: Locality
    network: str = ""
    service_account: str = ""
    address: str = ""
    addresses: frozenset[str] = frozenset()
    workloads: frozenset[str] = frozenset()
    settings: MeshSettings


def host_of(mesh: Mesh, name: HostName, memo: Memo) -> Host | None:
    """The same object on the next pass while the entries that live on the host are the same."""
    if name not in mesh.workloads:
        return None
    return memo.recall(_host, name, mesh.settings, len(mesh.workloads[name]), *workloads_on(mesh, name, memo))


def standing_for(host: Host, entry: WorkloadEntry, implements: Implements) -> Host:
    """The VM as one of its proxies sees it: as the workload for which that proxy stands."""
    labels = labels_of(entry)
    return replace(
        host,
        client=Client(namespace=Namespace(entry.metadata.namespace), labels=labels, implements=implements),
        locality=locality_of(entry.workload, labels),
        network=entry.workload.network or "",
        service_account=entry.workload.service_account or "",
        address=entry.workload.address,
    )


def unknown(mesh: Mesh, name: HostName) -> Problem:
    """Nobody's fault in the mesh: the agent on this VM may be configured before its WorkloadEntry is pushed."""
    hint = nearest(name, mesh.workloads) or f"add a WorkloadEntry {name!r}, or one with annotation {HOST_ANNOTATION}"
    return Problem(code="E-HOST-UNKNOWN", at=NOWHERE, message=f"no WorkloadEntry names host {name!r}", hint=hint)


def _canonical(address: str) -> str:
    return str(ip_address(address)) if is_ip(address) else ""


def _host(name: HostName, settings: MeshSettings, count: int, *entries: WorkloadEntry) -> Host:
    """`entries`: those that name the host, `count` of them, then those that live there too."""
    entry = identity(entries)
    labels = labels_of(entry)
    client = Client(namespace=Namespace(entry.metadata.namespace), labels=labels)
    return Host(
        name=name,
        client=client,
        locality=locality_of(entry.workload, labels),
        network=entry.workload.network or "",
        service_account=entry.workload.service_account or "",
        address=entry.workload.address,
        addresses=frozenset(_canonical(each.workload.address) for each in entries[:count]) - {""},
        workloads=frozenset(workload_name(each) for each in entries),
        settings=settings,
    )
