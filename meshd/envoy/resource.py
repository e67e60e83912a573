"""One Envoy resource as it is delivered: bytes, a version that is their hash, and the lines it came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from meshd.names import Locality, ProxyName
from meshd.problems import NOWHERE, Origin

TypeUrl = Literal[
    "type.googleapis.com/envoy.config.cluster.v3.Cluster",
    "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
    "type.googleapis.com/envoy.config.listener.v3.Listener",
    "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
    "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
]
CLUSTER: TypeUrl = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
ENDPOINTS: TypeUrl = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
LISTENER: TypeUrl = "type.googleapis.com/envoy.config.listener.v3.Listener"
ROUTES: TypeUrl = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
SECRET: TypeUrl = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"  # noqa: S105


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One virtual host of a route configuration: what preflight can judge alone. `origins`: one per route."""

    name: str
    body: bytes
    origin: Origin
    origins: tuple[Origin, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvoyResource:
    """`body` is the serialised message itself, without its Any. `version` is a hash of it and nothing else."""

    type_url: TypeUrl
    name: str
    body: bytes
    version: str
    origin: Origin = NOWHERE
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """What one proxy is given, but for its endpoints. Each tuple is sorted by name.

    `locality`: where the proxy stands; None where that is not known any more.
    """

    proxy: ProxyName
    clusters: tuple[EnvoyResource, ...]
    listeners: tuple[EnvoyResource, ...]
    routes: tuple[EnvoyResource, ...]
    secrets: tuple[EnvoyResource, ...] = ()
    locality: Locality | None = None
