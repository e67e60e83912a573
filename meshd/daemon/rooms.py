"""The rooms of one host, wired together: started, changed by a reload, asked what they see, and stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Final

import structlog

from meshd.compiler import Reach
from meshd.config import AgentConfig
from meshd.daemon import envoys, wiring
from meshd.daemon.aside import Aside
from meshd.daemon.capturing import Captured, Capturing
from meshd.daemon.circles import circles
from meshd.daemon.delivering import Delivering
from meshd.daemon.delivery_room import DeliveryRoom
from meshd.daemon.events import log_health
from meshd.daemon.history import History
from meshd.daemon.keeping_proxies import KeepingProxies
from meshd.daemon.looking import Looking
from meshd.daemon.noticing import Noticing
from meshd.daemon.places import runtime_directory
from meshd.daemon.staleness import stale_names
from meshd.daemon.status import Commit, Json, Proxy, StaleName, Workload
from meshd.daemon.triggers import Trigger
from meshd.health.health import Health
from meshd.names import DnsName, HostName, Locality, ProxyName, RevisionId
from meshd.plan import ProxyPlan, Secret
from meshd.problems import Problems
from meshd.proxies.admin import InUse, Upstream
from meshd.proxies.supervisor import Event
from meshd.reconcile import Outcome, Prepared, World, prepare
from meshd.resolve.answer import Answer
from meshd.source.polling import next_poll

log = structlog.get_logger()

_LOOK: Final = timedelta(seconds=5)
"""How long a pass waits for its proxies to say how they are."""


class Rooms:
    """Belongs to one event loop. `pull` asks for a pass; `told` are the events of the proxies' processes."""

    def __init__(self, config: AgentConfig, delivery: DeliveryRoom, pull: Callable[[Trigger], None]) -> None:
        self.config = config
        self._delivery_room = delivery
        self.delivery = delivery.delivery
        self._pull = pull
        self._random = Random()  # noqa: S311  (jitter)
        self.aside = Aside()
        self._supervisor = wiring.supervisor(config, delivery.binary, self._told)
        self._delivering = Delivering(self.delivery, self.answers, self.aside, self._unhealthy)
        self._looking = Looking(self._supervisor, self.delivery)
        self._history = History(self.aside)
        self._capturing = Capturing()
        self._served: Prepared | None = None
        self._keeping = KeepingProxies(self._supervisor)
        self._noticing = Noticing(self.aside, lambda: pull("push"))
        self._fetched_at: datetime | None = None

    # --- life ---

    def start(self) -> None:
        """On the running event loop."""
        self.source = wiring.source(self.config)
        self.resolver = wiring.resolver(self.config, lambda: self._pull("endpoints"))
        self._prober = wiring.prober(self.config, self._found)
        self._wire()

    async def stop(self) -> None:
        """A unit's proxies go on; our own children end with us, after their connections drained.

        Each part is stopped, whatever becomes of the others: on a full disk some cannot.
        """
        async with AsyncExitStack() as last_to_first:
            last_to_first.callback(self.aside.close)
            leave_running = self.config.envoy.supervisor == "systemd"
            last_to_first.push_async_callback(self._supervisor.stop, leave_running=leave_running)
            last_to_first.callback(self._looking.close)
            last_to_first.push_async_callback(self.resolver.close)
            last_to_first.push_async_callback(self._prober.close)
            last_to_first.push_async_callback(self._leave_source)

    async def rewire(self, config: AgentConfig) -> None:
        """Another configuration, from the next pass on. What is served goes on to be looked up, also if git is away."""
        before, self.config = self.config, config
        self._delivery_room.host = config.host
        self._served = self.serving
        if config.repository != before.repository:
            await self._leave_source()
            self.source = wiring.source(config)
        if config.resolver != before.resolver:
            await self.resolver.close()
            self.resolver = wiring.resolver(config, lambda: self._pull("endpoints"))
        if self._served is not None:
            self.resolver.want(self._served.dns_names)
        self._wire()
        self.keep_looking_up()

    def _wire(self) -> None:
        self.world = World(
            host=self.config.host,
            reach=Reach(
                capture=self.config.capture,
                http_proxy_port=self.config.http_proxy_port,
                exec_probes=self.config.exec_probes,
            ),
            source=self.source,
            resolver=self.resolver,
            delivery=self._delivering,
            aside=self.aside,
        )

    async def _leave_source(self) -> None:
        self.source.close()
        await self._noticing.stop()

    # --- passes ---

    async def resume(self) -> None:
        """Understands again what is served from disk, so that its DNS names are looked up while git is away."""
        active = self.active
        if active is not None:
            await self._history.remember(self.source, [active])
            self._served = await self.aside(prepare, self.world, active)
        if self._served is not None:
            self.resolver.want(self._served.dns_names)
            self.keep_looking_up()
            self.keep_probing()

    def keep_looking_up(self) -> None:
        """As often as the mesh that is served asks for: all proxies of a host have that from one MeshConfig."""
        for proxy in self.serving.proxies.values() if self.serving is not None else ():
            self.resolver.retry_within(proxy.plan.dns_refresh_rate)

    def keep_probing(self) -> None:
        """The workloads of what is served, and only they. Whom nobody probes any more, nobody holds to be unhealthy."""
        probes = self.serving.probes if self.serving is not None else ()
        before = self._prober.unhealthy
        self._prober.want(probe for probe in probes if wiring.allowed(probe, self.config))
        if self._prober.unhealthy != before:
            self._pull("endpoints")

    async def keep_capture(self) -> None:
        """Those who redirect connections to the proxies know where these listen."""
        if self.serving is not None:
            plans = [configuration.plan for configuration in self.serving.proxies.values()]
            if await self.aside(self._capturing.keep, self.config, plans):
                await self._capturing.reload()

    @property
    def serving(self) -> Prepared | None:
        """What the proxies were told, as far as this process understands it."""
        return self.world.current or self._served

    async def push_endpoints(self) -> None:
        if self.serving is not None:
            changed = await self._delivering.push_endpoints(self.serving)
            log.debug("endpoints.pushed", changed=changed)

    async def renew_secrets(self) -> None:
        """Raises DeliveryError."""
        if self.serving is not None:
            changed = await self._delivering.renew_secrets(self.serving)
            if changed:
                log.info("secrets.renewed", changed=changed)

    async def forget_refusals(self) -> None:
        """Raises DeliveryError."""
        refused = tuple(self.world.rejected)
        self.world.rejected.clear()
        await self._delivering.forget_refusals(refused)

    async def notice_pushes(self) -> None:
        await self._noticing.keep_up(self.source.local_git_directory)

    async def remember(self, outcome: Outcome) -> None:
        """What status and waiters will ask about revisions. Raises SourceError."""
        self._fetched_at = datetime.now(UTC)
        revisions = {outcome.fetched, *(rejection.revision for rejection in outcome.rejected[:1])}
        revisions |= {revision for revision in (outcome.accepted, self.active) if revision is not None}
        await self._history.remember(self.source, revisions)
        await self._history.follow(self.source, outcome.fetched)

    async def keep_proxies(self) -> None:
        """The host's Envoys run, and only they, once there is something to serve them. Raises ProxyError."""
        if self.active is not None:
            await self._keeping.keep(
                self.config, {each.proxy: self._locality(each.proxy) for each in self.delivery.states()}
            )

    def _locality(self, proxy: ProxyName) -> Locality | None:
        configuration = self.serving.proxies.get(proxy) if self.serving is not None else None
        return configuration.plan.locality if configuration is not None else None

    def until_poll(self) -> timedelta:
        return next_poll(self.config.repository.poll, self._random)

    # --- what is seen ---

    @property
    def host(self) -> HostName:
        return self.config.host

    @property
    def runtime(self) -> Path:
        return runtime_directory(self.config)

    @property
    def active(self) -> RevisionId | None:
        label = self.delivery.active
        return label.revision if label is not None else None

    def all_acknowledged(self) -> bool:
        """Every proxy that this host needs is connected and has the active generation."""
        label = self.delivery.active
        states = self.delivery.states()
        return label is not None and all(state.connected and state.generation == label.number for state in states)

    def commit(self, revision: RevisionId, /) -> Commit | None:
        return self._history.commit(revision)

    def is_behind(self, revision: str, head: RevisionId, /) -> bool:
        return self._history.is_behind(revision, head)

    def told_source(self) -> Json:
        repository = self.config.repository
        return {
            "url": wiring.shown_url(self.config),
            "branch": repository.branch,
            "path": repository.path,
            "watched": self._noticing.alive,
            "ailment": self._noticing.ailment,
            "fetched": self._fetched_at.isoformat() if self._fetched_at else None,
        }

    def answers(self) -> Mapping[DnsName, Answer]:
        return self.resolver.answers()

    def names(self) -> int:
        return len(self.serving.dns_names) if self.serving is not None else 0

    def circles(self) -> Problems:
        """Names that lead to the proxies that would call them."""
        return circles(self.plans(), self.resolver.answers())

    def stale_names(self) -> tuple[StaleName, ...]:
        return stale_names(self.resolver.answers(), datetime.now(UTC))

    def secrets(self) -> Mapping[ProxyName, tuple[Secret, ...]] | None:
        """Of what the proxies were told; None while this process does not understand it yet."""
        return {plan.proxy: plan.secrets for plan in self.plans()} if self.serving is not None else None

    async def in_use(self, proxy: ProxyName, /) -> InUse | None:
        return await envoys.in_use(self.config, proxy)

    def plans(self) -> tuple[ProxyPlan, ...]:
        return tuple(each.plan for each in self.serving.proxies.values()) if self.serving is not None else ()

    async def upstreams(self, proxy: ProxyName, clusters: str, /) -> Mapping[str, tuple[Upstream, ...]] | None:
        return await envoys.upstreams(self.config, proxy, clusters)

    def _unhealthy(self) -> frozenset[str]:
        return self._prober.unhealthy

    def workloads(self) -> tuple[Workload, ...]:
        """Those that are probed, as they were found last."""
        return tuple(
            Workload(workload=each.workload, healthy=each.healthy, since=each.since, reason=each.reason)
            for each in self._prober.states()
        )

    def captured(self) -> Captured | None:
        return self._capturing.captured()

    def _found(self, health: Health) -> None:
        log_health(health)
        self._pull("endpoints")

    async def proxies(self, patience: timedelta = _LOOK) -> tuple[Proxy, ...]:
        return await self._looking.proxies(patience)

    def _told(self, event: Event) -> None:
        say = log.warning if event.kind in {"died", "start-failed"} else log.info
        say(f"proxy.{event.kind}", proxy=event.proxy, pid=event.pid, why=event.why)
        self._pull("proxy")
