"""Where this host's files and sockets are, by the agent's configuration."""

from __future__ import annotations

from pathlib import Path

from meshd.config import AgentConfig
from meshd.envoy.bootstrap import BootstrapSettings
from meshd.names import HostName, ProxyName
from meshd.proxies.paths import ProxyPaths


def state_directory(config: AgentConfig) -> Path:
    return Path(config.state_directory)


def runtime_directory(config: AgentConfig) -> Path:
    return Path(config.runtime_directory)


def proxy_paths(config: AgentConfig, proxy: ProxyName) -> ProxyPaths:
    return ProxyPaths(proxy=proxy, state=state_directory(config), runtime=runtime_directory(config))


def bootstrap_settings(config: AgentConfig, proxy: ProxyName, host: HostName) -> BootstrapSettings:
    paths = proxy_paths(config, proxy)
    return BootstrapSettings(
        proxy=proxy, host=host, xds_socket=str(paths.xds_socket), admin_socket=str(paths.admin_socket)
    )
