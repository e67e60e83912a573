"""The daemon's life: serve what was good last, then keep the host at the newest good revision until told to stop."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import structlog

from meshd.config import AgentConfig, load_config
from meshd.control import Awaited, Reply, Request, asked_service, awaited
from meshd.daemon import watchdog, wiring
from meshd.daemon.certificate_watch import CertificateWatch
from meshd.daemon.control_server import ControlServer
from meshd.daemon.delivery_room import DeliveryRoom
from meshd.daemon.endpoints import tell_endpoints
from meshd.daemon.events import log_outcome
from meshd.daemon.logs import configure
from meshd.daemon.looking import GLANCE
from meshd.daemon.observed import Observed
from meshd.daemon.passes import Passes
from meshd.daemon.rooms import Rooms
from meshd.daemon.status import told
from meshd.daemon.triggers import SMALL, Trigger
from meshd.deliver.error import DeliveryError
from meshd.problems import errors
from meshd.proxies.error import ProxyError
from meshd.reconcile import is_due_again, reconcile
from meshd.sd_notify import notify
from meshd.source.revision import SourceError

log = structlog.get_logger()

_ATTENTION: Final = timedelta(seconds=1)


class Daemon:
    """Everything here happens on one event loop; what blocks or computes goes aside."""

    def __init__(self, config_path: Path, config: AgentConfig, delivery: DeliveryRoom) -> None:
        self._config_path = config_path
        self._next_config: AgentConfig | None = None
        self.passes = Passes(work=self._pass, poll=self._until_poll)
        self.rooms = Rooms(config, delivery, self.passes.triggers.pull)
        self.observed = Observed(self.rooms)
        self.certificates = CertificateWatch(self.rooms, lambda: datetime.now(UTC), self.observed.certified)
        self._errands: set[asyncio.Task[None]] = set()
        self._ready = asyncio.Event()
        self._reloading = asyncio.Lock()
        self._told: list[str] = []

    # --- life ---

    async def serve(self) -> None:
        """Until cancelled. Raises what keeps the daemon from starting at all."""
        control = ControlServer(self.rooms.runtime / "control.sock", self.answer)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.rooms.stop)
            self.rooms.start()
            stack.push_async_callback(control.stop)
            await control.start()
            stack.callback(notify, "STOPPING=1")
            for work in self._companions():
                await stack.enter_async_context(_beside(work))
            if self.rooms.active is not None:
                self._tell_systemd()
            self.passes.triggers.pull("start")
            await self.passes.run()

    def _companions(self) -> list[Coroutine[None, None, None]]:
        every = watchdog.interval()
        return [self._attend(), self.certificates.run(), *([watchdog.feed(every, self._is_well)] if every else [])]

    def _is_well(self) -> bool:
        return self.passes.age() < watchdog.PATIENCE + self.rooms.config.repository.timeout

    async def _attend(self) -> None:
        """An Envoy that was started acknowledges after the pass that started it: nobody should wait for a poll.

        Nor for what came too late, once its time has come.
        """
        while True:
            await asyncio.sleep(_ATTENTION.total_seconds())
            if not self.observed.proxies_healthy:
                self.passes.triggers.pull("proxy")
            if not self.passes.age() and is_due_again(self.rooms.world):
                self.passes.triggers.pull("again")

    async def _resume(self) -> None:
        """What is served from disk is understood again, from the mirror, so that its endpoints stay fresh."""
        try:
            await self.rooms.resume()
        except SourceError as error:
            log.warning("resume.postponed", reason=error.reason, error=str(error), next="the next fetch")
        except Exception:
            # A newer meshd may stumble over what an older one served; that must not keep it from serving it.
            log.exception("resume.crashed", next="please report this; the next fetch may help")

    def _tell_systemd(self) -> None:
        """Ready is who serves what was good last, or has tried a first time; but not in the midst of a reload."""
        ready = [] if self._reloading.locked() else ["READY=1"]
        lines = [*ready, f"STATUS={self.observed.sentence()}"]
        if lines != self._told and notify(*lines):
            self._told = lines
        self._ready.set()

    # --- passes ---

    async def _pass(self, pulled: frozenset[Trigger]) -> bool:
        try:
            return await self._work(pulled)
        except Exception as error:
            self.observed.crashed(error)
            raise
        finally:
            self._tell_systemd()

    async def _work(self, pulled: frozenset[Trigger]) -> bool:
        if "start" in pulled:
            await asyncio.to_thread(wiring.keep_config, self._config_path, self.rooms.config)
            await self._keep_proxies()
            await self._resume()
            self.certificates.soon()
        if "endpoints" in pulled:
            await self.rooms.push_endpoints()
        good = pulled <= SMALL or await self._whole_pass(again="sync" in pulled)
        self.rooms.keep_looking_up()
        self.rooms.keep_probing()
        self.observed.assess(await self.rooms.proxies())
        return good

    async def _whole_pass(self, *, again: bool) -> bool:
        await self._adopt_config()
        self.observed.begin()
        await self.rooms.notice_pushes()
        delivered = await self._reconcile(again=again)
        await self.rooms.delivery.offer_again()
        await self.rooms.keep_capture()
        self.certificates.soon()
        return await self._keep_proxies() and delivered

    async def _reconcile(self, *, again: bool) -> bool:
        """`again`: also what was refused before."""
        began = time.monotonic()
        try:
            if again:
                await self.rooms.forget_refusals()
            outcome = await reconcile(self.rooms.world)
            log_outcome(outcome, self.observed.reconciled(outcome), round((time.monotonic() - began) * 1000))
            await self.rooms.remember(outcome)
            await self.rooms.renew_secrets()
            if self.rooms.all_acknowledged():
                await self.passes.tell()  # who waits need not wait until the proxies were looked after as well
        except SourceError as error:
            self.observed.fetch_failed(error)
            return False
        except DeliveryError as error:
            self.observed.delivery_failed(error)
            return False
        return True

    async def _keep_proxies(self) -> bool:
        """The host's Envoys run, and only they. What cannot be started is told and tried again."""
        try:
            await self.rooms.keep_proxies()
        except ProxyError as error:
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
        try:
            await self.reload()
        except Exception:
            log.exception("reload.crashed", next="please report this; the configuration before it is in force")

    async def reload(self) -> Reply:
        """Reads the configuration again; with an error in it, nothing changes. One at a time, so the last one wins."""
        await self._ready.wait()
        async with self._reloading:
            notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
            try:
                return await self._reload()
            finally:
                notify("READY=1", f"STATUS={self.observed.sentence()}")

    async def _reload(self) -> Reply:
        config, problems = await asyncio.to_thread(load_config, self._config_path, socket.gethostname())
        problems = (*problems, *(wiring.obstacles(self.rooms.config, config) if config else ()))
        if config is None or errors(problems):
            for problem in problems:
                log.error("reload.refused", problem=str(problem))
            return Reply(ok=False, body={"message": "the configuration has errors", "problems": told(problems)})
        known_bad = self.observed.rejected
        self._next_config = config
        await self.passes.asked("reload")
        return self.observed.verdict_on_reload(known_bad)

    async def _adopt_config(self) -> None:
        config, self._next_config = self._next_config, None
        if config is not None:
            configure(config.log.level, config.log.format)
            await self.rooms.rewire(config)
            await asyncio.to_thread(wiring.keep_config, self._config_path, config)
            log.info("reload.done", host=config.host)

    # --- answers ---

    async def answer(self, request: Request) -> Reply:
        match request.verb:
            case "status":
                return Reply(ok=True, body=self.observed.status(await self.rooms.proxies(GLANCE)))
            case "endpoints":
                return await tell_endpoints(self.rooms, asked_service(request))
            case "sync":
                await self.passes.asked("sync")
                return self.observed.verdict()
            case "reload":
                return await self.reload()
            case "wait":
                return await self._wait(awaited(request))

    async def _wait(self, wanted: Awaited) -> Reply:
        """Settled when the revision is active, refused, or overtaken by what came after it."""
        try:
            async with asyncio.timeout(wanted.seconds):
                await self.passes.until(lambda: self.observed.settled(wanted.revision))
        except TimeoutError:
            return self.observed.late(wanted.revision, wanted.seconds)
        return self.observed.verdict_on(wanted.revision)


@asynccontextmanager
async def _beside(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Runs a coroutine beside the block, and ends it with the block."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
