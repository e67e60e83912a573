"""The rooms of one host, wired together: started, changed by a reload, asked what they see, and stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from random import Random
from typing import Final

import structlog

from meshd.compiler import Reach
from meshd.config import AgentConfig
from meshd.daemon import wiring
from meshd.daemon.aside import Aside
from meshd.daemon.delivering import Delivering
from meshd.daemon.status import Commit, Json, Proxy, StaleName
from meshd.daemon.triggers import Trigger
from meshd.deliver.delivery import ProxyState as Served
from meshd.envoy.bootstrap import xds_bootstrap
from meshd.names import PROXIES, HostName, ProxyName, RevisionId
from meshd.problems import Problem, Problems
from meshd.proxies.binary import find_envoy
from meshd.proxies.supervisor import Event
from meshd.proxies.supervisor import ProxyState as Running
from meshd.reconcile import Outcome, Prepared, World, prepare
from meshd.source.polling import next_poll
from meshd.source.watch import Watch, watch

log = structlog.get_logger()

_PASSED_OVER: Final = 200
"""How many ancestors of the head are remembered, for who waits for one of them."""


class Rooms:
    """Belongs to one event loop. `pull` asks for a pass; `told` are the events of the proxies' processes."""

    def __init__(self, config: AgentConfig, pull: Callable[[Trigger], None]) -> None:
        self.config = config
        self._pull = pull
        self._random = Random()  # noqa: S311  (jitter)
        self._binary = find_envoy(config.envoy.binary)
        self._validator = wiring.validator(config, self._binary)
        self.aside = Aside()
        self.delivery = wiring.delivery(config, self._binary, self._validator, lambda: self.host)
        self._supervisor = wiring.supervisor(config, self._binary, self._told)
        self._resumed: Prepared | None = None
        self._kept: frozenset[ProxyName] | None = None
        self._commits: dict[RevisionId, Commit] = {}
        self._behind: tuple[RevisionId, ...] = ()
        self._fetched_at: datetime | None = None
        self._watch: Watch | None = None

    # --- life ---

    async def start(self) -> None:
        """From here on the last known good generation is served."""
        self._loop = asyncio.get_running_loop()
        if self.config.envoy.preflight:
            self._validator.start()
        label = await self.delivery.start()
        if label is not None:
            log.info("generation.served", generation=label.number, revision=label.revision)
        self._wire()

    async def stop(self) -> None:
        """A unit's proxies go on; our own children end with us, after their connections drained."""
        await self._unwire()
        await self.delivery.stop()
        await self._validator.stop()
        await self._supervisor.stop(leave_running=self.config.envoy.supervisor == "systemd")
        self.aside.close()

    async def rewire(self, config: AgentConfig) -> None:
        """Another configuration, from the next pass on."""
        await self._unwire()
        self.config = config
        self._wire()

    def _wire(self) -> None:
        self.source = wiring.source(self.config)
        self.resolver = wiring.resolver(self.config, lambda: self._pull("endpoints"))
        self._delivering = Delivering(self.delivery, self.resolver.answers, self.aside)
        self.world = World(
            host=self.config.host,
            reach=Reach(capture="none", http_proxy_port=self.config.http_proxy_port),
            source=self.source,
            resolver=self.resolver,
            delivery=self._delivering,
            aside=self.aside,
        )

    async def _unwire(self) -> None:
        if self._watch is not None:
            await asyncio.to_thread(self._watch.stop)
            self._watch = None
        self.source.close()
        await self.resolver.close()

    def obstacles(self, config: AgentConfig) -> Problems:
        """What a reload cannot change, because the lock, the sockets and the running proxies hang on it."""
        return tuple(
            Problem(
                code="E-CONFIG",
                at=config.origin.at(key),
                message="a reload cannot change this",
                hint="restart meshd; the proxies keep serving meanwhile",
            )
            for key, before, after in _fixed(self.config, config)
            if before != after
        )

    # --- passes ---

    async def resume(self) -> None:
        """Understands again what is served from disk, so that its DNS names are looked up while git is away."""
        active = self.active
        if active is not None:
            self._resumed = await self.aside(prepare, self.world, active)
            self._commits[active] = await self.aside(self.source.commit, active)
        if self._resumed is not None:
            self.resolver.want(self._resumed.dns_names)

    async def push_endpoints(self) -> None:
        prepared = self.world.current or self._resumed
        if prepared is not None:
            changed = await self._delivering.push_endpoints(prepared)
            log.debug("endpoints.pushed", changed=changed)

    def forget_refusals(self) -> None:
        refused = tuple(self.world.rejected)
        self.world.rejected.clear()
        self._delivering.forget_refusals(refused)

    async def notice_pushes(self) -> None:
        """Watches a repository on this machine; one that was replaced or came back is watched again."""
        self._watch = await self.aside(self._watching)

    async def remember(self, outcome: Outcome) -> None:
        """What status and waiters will ask about revisions, while the repository is read by nobody else."""
        self._fetched_at = datetime.now(UTC)
        revisions = {outcome.fetched, *(rejection.revision for rejection in outcome.rejected[:1])}
        revisions |= {revision for revision in (outcome.accepted, self.active) if revision is not None}
        self._commits = {revision: await self._told_commit(revision) for revision in revisions}
        if self._behind[:1] != (outcome.fetched,):
            self._behind = await self.aside(self._line, outcome.fetched)

    async def keep_proxies(self) -> None:
        """The host's Envoys run, and only they. Raises ProxyError."""
        if self.active is None:
            return
        wanted = frozenset(served.proxy for served in self.delivery.states())
        for proxy in PROXIES:
            paths = wiring.proxy_paths(self.config, proxy)
            if proxy in wanted:
                await self._supervisor.ensure(paths, xds_bootstrap(wiring.bootstrap_settings(self.config, proxy)))
            elif self._kept is None or proxy in self._kept:
                await self._supervisor.retire(paths)
        self._kept = wanted

    def until_poll(self) -> timedelta:
        return next_poll(self.config.repository.poll, self._random)

    def _watching(self) -> Watch | None:
        if self._watch is not None:
            self._watch.renew()
            return self._watch
        directory = self.source.local_git_directory()
        return watch(directory, self._pushed) if directory is not None else None

    def _pushed(self) -> None:
        """Called on the watch's own thread."""
        with suppress(RuntimeError):  # the loop is closed: meshd is ending
            self._loop.call_soon_threadsafe(self._pull, "push")

    def _line(self, head: RevisionId) -> tuple[RevisionId, ...]:
        return (head, *islice(self.source.ancestors(head), _PASSED_OVER))

    async def _told_commit(self, revision: RevisionId) -> Commit:
        known = self._commits.get(revision)
        return known if known is not None else await self.aside(self.source.commit, revision)

    # --- what is seen ---

    @property
    def host(self) -> HostName:
        return self.config.host

    @property
    def runtime(self) -> Path:
        return wiring.runtime_directory(self.config)

    @property
    def active(self) -> RevisionId | None:
        label = self.delivery.active
        return label.revision if label is not None else None

    def commit(self, revision: RevisionId, /) -> Commit | None:
        return self._commits.get(revision)

    def is_behind(self, revision: str, head: RevisionId, /) -> bool:
        """Whether it is among the recent ancestors of the head: then no later pass will make it active."""
        return self._behind[:1] == (head,) and any(each.startswith(revision) for each in self._behind[1:])

    def told_source(self) -> Json:
        repository = self.config.repository
        return {
            "url": wiring.shown_url(self.config),
            "branch": repository.branch,
            "path": repository.path,
            "watched": self._watch is not None and self._watch.alive,
            "fetched": self._fetched_at.isoformat() if self._fetched_at else None,
        }

    def names(self) -> int:
        prepared = self.world.current or self._resumed
        return len(prepared.dns_names) if prepared is not None else 0

    def stale_names(self) -> tuple[StaleName, ...]:
        now = datetime.now(UTC)
        return tuple(
            StaleName(
                name=name,
                error=answer.error,
                kept=len(answer.addresses),
                age=(now - answer.looked_up).total_seconds() if answer.addresses else None,
            )
            for name, answer in sorted(self.resolver.answers().items())
            if answer.error
        )

    async def proxy_states(self) -> tuple[Proxy, ...]:
        """Each proxy that this host needs, as its process and as its connection see it."""
        running = {state.name: state for state in await self._supervisor.states()}
        return tuple(self._proxy(served, running.get(served.proxy)) for served in self.delivery.states())

    def _proxy(self, served: Served, running: Running | None) -> Proxy:
        active = self.delivery.active
        return Proxy(
            name=served.proxy,
            state=running.state if running else "DOWN",
            pid=running.pid if running else None,
            version=running.version if running else served.envoy_version,
            mode=(running.mode if running else None) or "",
            generation=served.generation,
            connected=served.connected,
            acknowledged=served.connected and active is not None and served.generation == active.number,
            sent=served.resources_sent,
            rejections=tuple(rejection.text for rejection in served.rejections),
        )

    def _told(self, event: Event) -> None:
        say = log.warning if event.kind in {"died", "start-failed"} else log.info
        say(f"proxy.{event.kind}", proxy=event.proxy, pid=event.pid, why=event.why)
        self._pull("proxy")


def _fixed(before: AgentConfig, after: AgentConfig) -> Iterator[tuple[str, object, object]]:
    yield "stateDirectory", before.state_directory, after.state_directory
    yield "runtimeDirectory", before.runtime_directory, after.runtime_directory
    yield "envoy", before.envoy, after.envoy
