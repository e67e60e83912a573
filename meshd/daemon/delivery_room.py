"""What a restart needs first: the last known good generation, served from disk.

It imports neither git nor DNS nor the compiler: they take half a second, in which a proxy that comes back would wait.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime

import structlog

from meshd import __version__
from meshd.config import AgentConfig
from meshd.daemon.places import bootstrap_settings, runtime_directory, state_directory
from meshd.deliver.delivery import Delivery, Judge, Secrets, Snapshots
from meshd.deliver.generations import Generations
from meshd.deliver.preflight import Preflight
from meshd.deliver.refusals import Versions
from meshd.deliver.validator import Validator
from meshd.envoy.fallback import fallback
from meshd.envoy.resource import EnvoyResource, Rendered
from meshd.memo import Memo
from meshd.names import ProxyName
from meshd.problems import Problems
from meshd.proxies.binary import find_envoy, version

log = structlog.get_logger()


class Unjudged:
    """`preflight: false`: what Envoy refuses is found out when it is pushed."""

    async def judge(self, previous: Snapshots, following: Snapshots, secrets: Secrets) -> Problems:  # noqa: ARG002
        return ()


class DeliveryRoom:
    """The delivery of this host, with the Envoy that judges for it. `host` may be changed by a reload."""

    def __init__(self, config: AgentConfig) -> None:
        self._config = config
        self.host = config.host
        self._memos: dict[ProxyName, Memo] = {}
        self.binary = find_envoy(config.envoy.binary)
        self._validator = Validator(self.binary, state_directory(config) / "preflight")
        versions = Versions(meshd=__version__, envoy=version(self.binary))
        self.delivery = Delivery(
            sockets=runtime_directory(config) / "xds",
            generations=Generations(state_directory(config), versions, lambda: datetime.now(UTC)),
            preflight=self._judge(),
            fallback=self._fallback,
        )

    async def start(self) -> None:
        """From here on the last known good generation is served."""
        label = await self.delivery.start()
        if label is not None:
            log.info("generation.served", generation=label.number, revision=label.revision)
        if self._config.envoy.preflight:
            self._validator.start()

    async def stop(self) -> None:
        """Each part is stopped, whatever becomes of the other: on a full disk one cannot be."""
        async with AsyncExitStack() as last_to_first:
            last_to_first.push_async_callback(self._validator.stop)
            last_to_first.push_async_callback(self.delivery.stop)

    def _judge(self) -> Judge:
        return Preflight(self._validator) if self._config.envoy.preflight else Unjudged()

    def _fallback(self, rendered: Rendered, assignments: Sequence[EnvoyResource]) -> bytes:
        settings = bootstrap_settings(self._config, rendered.proxy, self.host, rendered.locality)
        return fallback(rendered, assignments, settings, self._memos.setdefault(rendered.proxy, Memo()))
