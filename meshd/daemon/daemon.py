"""The daemon's life: serve what was good last, then keep the host at the newest good revision until told to stop."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path

import structlog

from meshd.config import AgentConfig, load_config
from meshd.control import Reply, Request
from meshd.daemon import watchdog
from meshd.daemon.control_server import ControlServer
from meshd.daemon.observed import Observed
from meshd.daemon.passes import Passes
from meshd.daemon.rooms import Rooms
from meshd.daemon.status import told
from meshd.daemon.triggers import Trigger
from meshd.deliver.error import DeliveryError
from meshd.problems import errors
from meshd.proxies.error import ProxyError
from meshd.reconcile import Outcome, Rejection, reconcile
from meshd.sd_notify import notify
from meshd.source.revision import SourceError

log = structlog.get_logger()


class Daemon:
    """Everything here happens on one event loop; what blocks or computes goes aside."""

    def __init__(self, config_path: Path, config: AgentConfig) -> None:
        self._config_path = config_path
        self._next_config: AgentConfig | None = None
        self.passes = Passes(work=self._pass, poll=self._until_poll)
        self.rooms = Rooms(config, self.passes.triggers.pull)
        self.observed = Observed(self.rooms)
        self._errands: set[asyncio.Task[None]] = set()

    # --- life ---

    async def serve(self) -> None:
        """Until cancelled. Raises what keeps the daemon from starting at all."""
        control = ControlServer(self.rooms.runtime / "control.sock", self.answer)
        async with AsyncExitStack() as stack:
            await self.rooms.start()
            stack.push_async_callback(self.rooms.stop)
            await self._keep_proxies()
            await control.start()
            stack.push_async_callback(control.stop)
            stack.callback(notify, "STOPPING=1")
            for work in self._companions():
                await stack.enter_async_context(_beside(work))
            if self.rooms.delivery.active is not None:
                await self._resume()
                self._tell_ready()
            self.passes.triggers.pull("start")
            await self.passes.run()

    def _companions(self) -> list[Callable[[], object]]:
        every = watchdog.interval()
        return [lambda: watchdog.feed(every, self.passes.age)] if every else []

    async def _resume(self) -> None:
        """What is served from disk is understood again, from the mirror, so that its endpoints stay fresh."""
        try:
            await self.rooms.resume()
        except SourceError as error:
            log.warning("resume.postponed", reason=error.reason, error=str(error), next="the next fetch")

    def _tell_ready(self) -> None:
        notify("READY=1", f"STATUS={self.observed.sentence()}")

    # --- passes ---

    async def _pass(self, pulled: frozenset[Trigger]) -> bool:
        if "endpoints" in pulled:
            await self.rooms.push_endpoints()
        if not pulled - {"endpoints", "proxy"}:
            self.observed.assess(await self.rooms.proxy_states())
            return True
        await self._adopt_config()
        if "sync" in pulled:
            self.rooms.forget_refusals()
        self.observed.begin()
        await self.rooms.notice_pushes()
        good = await self._reconcile()
        self.observed.assess(await self.rooms.proxy_states())
        self._tell_ready()
        return good

    async def _reconcile(self) -> bool:
        began = time.monotonic()
        try:
            outcome = await reconcile(self.rooms.world)
        except SourceError as error:
            self.observed.fetch_failed(error)
            return False
        except DeliveryError as error:
            self.observed.delivery_failed(error)
            return False
        except Exception as error:
            self.observed.crashed(error)
            raise
        milliseconds = round((time.monotonic() - began) * 1000)
        await self.rooms.remember(outcome)
        _log(outcome, self.observed.reconciled(outcome), milliseconds)
        return await self._keep_proxies()

    async def _keep_proxies(self) -> bool:
        """The host's Envoys run, and only they. What cannot be started is told and tried again."""
        try:
            await self.rooms.keep_proxies()
        except ProxyError as error:
            log.error("proxy.failed", error=str(error), hint=error.hint)
            self.observed.proxy_failed(error)
            return False
        self.observed.proxy_failed(None)
        return True

    def _until_poll(self) -> timedelta:
        return self.rooms.until_poll()

    # --- configuration ---

    def hangup(self) -> None:
        """SIGHUP: as `meshd reload`, with nobody waiting for the verdict but systemd."""
        errand = asyncio.create_task(self._hangup())
        self._errands.add(errand)
        errand.add_done_callback(self._errands.discard)

    async def _hangup(self) -> None:
        reply = await self.reload()
        if not reply.ok:
            log.error("reload.refused", **reply.body)

    async def reload(self) -> Reply:
        """Reads the configuration again; with an error in it, nothing changes."""
        notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        config, problems = await asyncio.to_thread(load_config, self._config_path, socket.gethostname())
        problems = (*problems, *(self.rooms.obstacles(config) if config else ()))
        if config is None or errors(problems):
            self._tell_ready()
            return Reply(ok=False, body={"message": "the configuration has errors", "problems": told(problems)})
        self._next_config = config
        await self.passes.asked("reload")
        return self._verdict()

    async def _adopt_config(self) -> None:
        config, self._next_config = self._next_config, None
        if config is not None:
            await self.rooms.rewire(config)
            log.info("reload.done", host=config.host)

    # --- answers ---

    async def answer(self, request: Request) -> Reply:
        match request.verb:
            case "status":
                return Reply(ok=True, body=self.observed.status(await self.rooms.proxy_states()))
            case "sync":
                await self.passes.asked("sync")
                return self._verdict()
            case "reload":
                return await self.reload()
            case "wait":
                return await self._wait(str(request.arguments["revision"]), float(request.arguments["seconds"]))

    async def _wait(self, revision: str, seconds: float) -> Reply:
        """Settled when the revision is active, refused, or overtaken by what came after it."""
        try:
            async with asyncio.timeout(seconds):
                await self.passes.until(lambda: self.observed.settled(revision))
        except TimeoutError:
            return Reply(ok=False, body={"message": f"{revision[:12]} is not active after {seconds:g} s"})
        return self.observed.verdict_on(revision)

    def _verdict(self) -> Reply:
        return self.observed.verdict()


@asynccontextmanager
async def _beside(work: Callable[[], object]) -> AsyncIterator[None]:
    """Runs a coroutine beside the block, and ends it with the block."""
    task = asyncio.ensure_future(work())  # type: ignore[call-overload]
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _log(outcome: Outcome, rejected: tuple[Rejection, ...], milliseconds: int) -> None:
    """Only what a pass changed, or refused for the first time."""
    if outcome.delivered is not None:
        log.info(
            "generation.delivered",
            revision=outcome.accepted,
            generation=outcome.delivered.generation,
            sent=outcome.delivered.sent,
            milliseconds=milliseconds,
        )
    for rejection in rejected:
        for problem in errors(rejection.problems):
            log.warning("revision.rejected", revision=rejection.revision, problem=str(problem))
