"""What the daemon asks the host's Envoys themselves, over their admin sockets: None where one does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from meshd.config import AgentConfig
from meshd.daemon.places import proxy_paths
from meshd.names import ProxyName
from meshd.proxies import admin
from meshd.proxies.admin import AdminError, InUse, Upstream

_TELLING_ALL: Final = timedelta(seconds=20)
"""Of 10 000 clusters Envoy tells nothing for one to three seconds, and then all of it at once."""


async def in_use(config: AgentConfig, proxy: ProxyName) -> InUse | None:
    try:
        return await asyncio.to_thread(admin.in_use, proxy_paths(config, proxy).admin_socket)
    except AdminError:
        return None


async def upstreams(config: AgentConfig, proxy: ProxyName, clusters: str) -> Mapping[str, tuple[Upstream, ...]] | None:
    """`clusters`: a regular expression for their names."""
    try:
        return await asyncio.to_thread(admin.upstreams, proxy_paths(config, proxy).admin_socket, clusters, _TELLING_ALL)
    except AdminError:
        return None
