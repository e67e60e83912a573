"""The settings of the mesh with every default settled: what a MeshConfig means, and what its absence means."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from meshd.problems import NOWHERE, Origin
from meshd.resources.mesh_config import MeshConfig
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


DEFAULTS = MeshSettings()


def settle(config: MeshConfig | None) -> MeshSettings:
    """What a MeshConfig means, or its absence."""
    if config is None:
        return DEFAULTS
    return MeshSettings(
        domain_suffix=(config.domain_suffix or DEFAULTS.domain_suffix).lower().removesuffix("."),
        root_namespace=config.root_namespace or DEFAULTS.root_namespace,
        connect_timeout=config.connect_timeout or DEFAULTS.connect_timeout,
        default_http_retry_policy=config.default_http_retry_policy,
        dns_refresh_rate=config.dns_refresh_rate or DEFAULTS.dns_refresh_rate,
        http_proxy_port=config.http_proxy_port,
        system_ca_file=config.system_ca_file or DEFAULTS.system_ca_file,
        locality_lb=config.locality_lb.enabled if config.locality_lb else DEFAULTS.locality_lb,
        origin=config.origin,
    )
