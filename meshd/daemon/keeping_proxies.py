"""The Envoys that a host needs run, and only they. Which these are is told; how they are started others know."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from meshd.config import AgentConfig
from meshd.daemon.places import bootstrap_settings, proxy_paths
from meshd.envoy.bootstrap import xds_bootstrap
from meshd.names import PROXIES, Locality, ProxyName
from meshd.proxies.admin import AdminError
from meshd.proxies.error import ProxyError
from meshd.proxies.supervisor import Supervisor

Places = Mapping[ProxyName, Locality | None]
"""Where each stands; None where that is not understood yet."""


class KeepingProxies:
    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._may_run = set(PROXIES)  # whatever the meshd before us left

    async def keep(self, config: AgentConfig, wanted: Places) -> None:
        """What is wrong with one is not the other's. Raises ProxyError."""
        kept = (self._keep(config, proxy, wanted) for proxy in PROXIES)
        failures = [failure for failure in await asyncio.gather(*kept) if failure is not None]
        if failures:
            raise ProxyError("; ".join(map(str, failures)), failures[0].hint) from failures[0]

    async def _keep(self, config: AgentConfig, proxy: ProxyName, wanted: Places) -> ProxyError | None:
        paths = proxy_paths(config, proxy)
        try:
            if proxy in wanted:
                self._may_run.add(proxy)
                settings = bootstrap_settings(config, proxy, config.host, wanted[proxy])
                await self._supervisor.ensure(paths, xds_bootstrap(settings))
            elif proxy in self._may_run:
                await self._supervisor.retire(paths)
                self._may_run.discard(proxy)
        except ProxyError as error:
            return error
        except (AdminError, OSError) as error:
            return ProxyError(str(error), "it is tried again")
        return None
