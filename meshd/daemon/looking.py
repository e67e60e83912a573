"""How the host's proxies are, as their processes and their connections show it, and never long waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from meshd.daemon.status import Proxy
from meshd.deliver.delivery import Delivery
from meshd.deliver.delivery import ProxyState as Served
from meshd.envoy.resource import CLUSTER, LISTENER, ROUTES
from meshd.proxies.supervisor import ProxyState as Running
from meshd.proxies.supervisor import Supervisor

GLANCE: Final = timedelta(milliseconds=50)
"""What `meshd status` has for it; an Envoy that is being started or handed over may take a minute to answer."""


class Looking:
    def __init__(self, supervisor: Supervisor, delivery: Delivery) -> None:
        self._supervisor = supervisor
        self._delivery = delivery
        self._look: asyncio.Task[tuple[Running, ...]] | None = None
        self._seen: Mapping[str, Running] = {}

    async def proxies(self, patience: timedelta) -> tuple[Proxy, ...]:
        """Each proxy that this host needs; its process as it was seen last, when a new look takes longer."""
        if self._look is None or self._look.done():
            self._look = asyncio.create_task(self._supervisor.states(), name="look at the proxies")
        await asyncio.wait({self._look}, timeout=patience.total_seconds())
        if self._look.done():
            self._seen = {state.name: state for state in self._look.result()}
        return tuple(self._proxy(served, self._seen.get(served.proxy)) for served in self._delivery.states())

    def close(self) -> None:
        if self._look is not None:
            self._look.cancel()

    def _proxy(self, served: Served, running: Running | None) -> Proxy:
        active = self._delivery.active
        return Proxy(
            name=served.proxy,
            state=running.state if running else "DOWN",
            pid=running.pid if running else None,
            version=running.version if running else served.envoy_version,
            mode=(running.mode if running else None) or "",
            generation=served.generation,
            connected=served.connected,
            acknowledged=active is not None and served.generation == active.number and _has_taken_it(served),
            sent=served.resources_sent,
            rejections=tuple(rejection.text for rejection in served.rejections),
        )


def _has_taken_it(served: Served) -> bool:
    """Also of what was refused before this generation came. Of endpoints and secrets Envoy keeps those it has."""
    refused = {rejection.type_url for rejection in served.rejections}
    return served.connected and refused.isdisjoint({CLUSTER, LISTENER, ROUTES})
