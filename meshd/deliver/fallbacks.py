"""The fallbacks of what is in force: written with each generation, and again when endpoints or secrets are others.

What is in force is asked for when its turn comes; how a fallback is rendered is the caller's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Final

import structlog

from meshd.deliver.error import DeliveryError
from meshd.deliver.generations import Generations, Staged
from meshd.deliver.manifest import Label
from meshd.deliver.on_disk import on_disk
from meshd.deliver.snapshot import Snapshot
from meshd.deliver.target import Target
from meshd.envoy.resource import EnvoyResource, Rendered
from meshd.names import ProxyName

log = structlog.get_logger()

Fallback = Callable[[Rendered, Sequence[EnvoyResource]], bytes]
"""`envoy.fallback`, with the settings of the proxy's bootstrap filled in. Called on threads, once at a time."""
InForce = Callable[[], Awaitable[tuple[Label | None, Mapping[ProxyName, Snapshot]]]]

_REST: Final = 30
"""So many times longer than endpoints take to settle."""


class Fallbacks:
    def __init__(self, generations: Generations, render: Fallback, in_force: InForce, settle: timedelta) -> None:
        self._generations = generations
        self._render = render
        self._in_force = in_force
        self._settle = settle
        self._rendering = asyncio.Lock()
        self._stale = asyncio.Event()
        self._rewriter: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._rewriter = asyncio.create_task(self._keep_fresh())

    async def stop(self) -> None:
        """What is stale is written before. Raises DeliveryError."""
        if self._rewriter is not None:
            self._rewriter.cancel()
            await asyncio.gather(self._rewriter, return_exceptions=True)
        if self._stale.is_set():
            await self._rewrite()

    async def add(self, staged: Staged, target: Target) -> None:
        """To a generation that is committed."""
        for proxy, each in target.proxies.items():
            fallback = await self._rendered(each.rendered, each.assignments)
            await on_disk(self._generations.add_fallback, staged, proxy, fallback)

    def are_stale(self) -> None:
        """Nobody waits for it."""
        self._stale.set()

    async def _keep_fresh(self) -> None:
        """DNS answers come in flocks, so it waits a moment. What failed is tried again.

        Then it rests: some names have other addresses each second, and a fallback of 10 000 clusters is 6 MB.
        """
        failed = ""
        while True:
            await self._stale.wait()
            await asyncio.sleep(self._settle.total_seconds())
            try:
                await self._rewrite()
                failed = ""
            except DeliveryError as error:
                if str(error) != failed:
                    log.warning("fallback.stale", reason=str(error), hint=error.hint)
                failed = str(error)
                self._stale.set()
            await asyncio.sleep((self._settle * _REST).total_seconds())

    async def _rewrite(self) -> None:
        self._stale.clear()
        active, snapshots = await self._in_force()
        for proxy, each in snapshots.items() if active is not None else ():
            assert active is not None
            fallback = await self._rendered(each.rendered(proxy), each.assignments())
            await on_disk(self._generations.rewrite, active.number, proxy, each.endpoints.values(), fallback)

    async def _rendered(self, rendered: Rendered, assignments: Sequence[EnvoyResource]) -> bytes:
        async with self._rendering:
            return await asyncio.to_thread(self._render, rendered, assignments)
