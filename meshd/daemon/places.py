"""Where this host's files and sockets are, by the agent's configuration; and where its proxies stand."""

from __future__ import annotations

from pathlib import Path

from google.protobuf.message import DecodeError

from meshd.config import AgentConfig
from meshd.envoy.bootstrap import BootstrapSettings, locality_of
from meshd.names import HostName, Locality, ProxyName
from meshd.proxies.paths import ProxyPaths


def state_directory(config: AgentConfig) -> Path:
    return Path(config.state_directory)


def runtime_directory(config: AgentConfig) -> Path:
    return Path(config.runtime_directory)


def proxy_paths(config: AgentConfig, proxy: ProxyName) -> ProxyPaths:
    return ProxyPaths(proxy=proxy, state=state_directory(config), runtime=runtime_directory(config))


def bootstrap_settings(
    config: AgentConfig, proxy: ProxyName, host: HostName, locality: Locality | None
) -> BootstrapSettings:
    """`locality` None: what a proxy that runs was started with, since another bootstrap would start it anew."""
    paths = proxy_paths(config, proxy)
    return BootstrapSettings(
        proxy=proxy,
        host=host,
        xds_socket=str(paths.xds_socket),
        admin_socket=str(paths.admin_socket),
        locality=_last_locality(paths) if locality is None else locality,
    )


def _last_locality(paths: ProxyPaths) -> Locality:
    try:
        return locality_of(paths.bootstrap.read_bytes())
    except (OSError, DecodeError):
        return Locality()
