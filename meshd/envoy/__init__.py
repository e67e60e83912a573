"""ProxyPlan -> Envoy protobuf, one file per resource type. All Istio meaning has ended before this room."""

from meshd.envoy.endpoints import affected, assignments
from meshd.envoy.render import render

__all__ = ["affected", "assignments", "render"]
