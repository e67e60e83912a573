"""A port's protocol -> the filter of Envoy that understands it, where the mesh's settings ask for one (spec 3.5)."""

from __future__ import annotations

from meshd.plan import ByEds, Discovery, Filtered
from meshd.resources.mesh_config import Features
from meshd.resources.protocol import Protocol


def filtered(protocol: Protocol, features: Features, discovery: Discovery) -> Filtered | None:
    """`discovery`: of the cluster behind. Envoy's Redis proxy chooses among endpoints by itself, and finds none where
    the traffic says where it goes (measured: `no upstream host`)."""
    if protocol == "MONGO" and features.mongo:
        return "mongo"
    if protocol == "REDIS" and features.redis and isinstance(discovery, ByEds):
        return "redis"
    return None
