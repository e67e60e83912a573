"""The names that meshd hands around, one NewType each, so that two strings cannot be swapped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NewType

HostName = NewType("HostName", str)
"""A VM or machine, as `host` in the agent's configuration spells it."""

ServiceHost = NewType("ServiceHost", str)
"""The fully qualified, lower-case name of a service, or a wildcard such as `*.example.com`."""

Namespace = NewType("Namespace", str)
SubsetName = NewType("SubsetName", str)
ClusterName = NewType("ClusterName", str)
LOCAL_CLUSTER = ClusterName("local")
"""The hosts that do the same as this one. Every bootstrap has it; its endpoints come like those of any other."""

ListenerName = NewType("ListenerName", str)
RouteTableName = NewType("RouteTableName", str)
SecretName = NewType("SecretName", str)

DnsName = NewType("DnsName", str)
"""A name that the resolver of this host looks up: lower case, IDNA, no trailing dot."""


def is_srv(name: str) -> bool:
    """Whether SRV records are what it has: `_http._tcp.shop.example` (RFC 2782). No host is called like that."""
    return name.startswith("_") and name.partition(".")[2].startswith("_")


RevisionId = NewType("RevisionId", str)
"""A git commit id (40 hex digits), or what `source/files.py` gives a directory."""

BlobId = NewType("BlobId", str)

ProxyName = Literal["sidecar", "gateway"]
PROXIES: tuple[ProxyName, ...] = ("sidecar", "gateway")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Locality:
    """Where something runs: `region/zone/subzone`, each possibly empty."""

    region: str = ""
    zone: str = ""
    subzone: str = ""


def cluster_name(host: ServiceHost, port: int, subset: SubsetName | Literal[""] = "") -> ClusterName:
    """Spec section 11: `outbound|<port>|<subset>|<host>`."""
    return ClusterName(f"outbound|{port}|{subset}|{host}")


def mesh_sni(host: ServiceHost, port: int, subset: SubsetName | Literal[""] = "") -> str:
    """Spec section 11: what a client of the mesh asks for, and the name of the cluster that a gateway takes it to."""
    return f"outbound_.{port}_.{subset}_.{host}"
