"""The settings of the mesh with every default settled: what a MeshConfig means, and what its absence means."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from meshd.problems import NOWHERE, Origin
from meshd.resources.virtual_service import HTTPRetry


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshSettings:
    """Spec section 1. `http_proxy_port` None leaves the choice to each host's agent."""

    domain_suffix: str = "svc.cluster.local"
    root_namespace: str = "istio-system"
    connect_timeout: timedelta = timedelta(seconds=10)
    default_http_retry_policy: HTTPRetry | None = None
    dns_refresh_rate: timedelta = timedelta(seconds=60)
    http_proxy_port: int | None = None
    system_ca_file: str = "/etc/ssl/certs/ca-certificates.crt"
    locality_lb: bool = True
    origin: Origin = field(default=NOWHERE, compare=False)
