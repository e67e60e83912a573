"""What a pass rendered -> judged, stored, pushed and acknowledged, or refused and the last good generation back.

It tells which: whether to try another revision, and when, is the caller's to decide.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal, Protocol, assert_never

from meshd.deliver import secret_files
from meshd.deliver.error import DeliveryError
from meshd.deliver.fallbacks import Fallback, Fallbacks
from meshd.deliver.generations import Generations, Staged
from meshd.deliver.host_secrets import on_this_host
from meshd.deliver.manifest import Label
from meshd.deliver.nack import Rejection, rejection_problems
from meshd.deliver.on_disk import on_disk
from meshd.deliver.push import (
    Absent,
    Acknowledged,
    Patience,
    PushResult,
    Rejected,
    TimedOut,
    push,
    push_endpoints,
    push_secrets,
)
from meshd.deliver.snapshot import Snapshot, snapshot
from meshd.deliver.target import TIMED_OUT, Delivered, Outcome, Refused, Target
from meshd.deliver.xds import ProxyServer
from meshd.envoy.resource import EnvoyResource
from meshd.memo import Memo
from meshd.names import ProxyName, RevisionId
from meshd.plan import Secret
from meshd.problems import NOWHERE, Problem, Problems, in_order

Snapshots = Mapping[ProxyName, Snapshot]
Secrets = Mapping[ProxyName, tuple[EnvoyResource, ...]]


class Judge(Protocol):
    """`Preflight`, or what says yes to everything where that is switched off."""

    async def judge(self, previous: Snapshots, following: Snapshots, secrets: Secrets) -> Problems:
        """`secrets`: of which the files are to be read as well. Those in the snapshots are not looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyState:
    """`generation` is the last one that it acknowledged; node, version and what was sent are of the Envoy seen last."""

    proxy: ProxyName
    connected: bool
    generation: int | None
    rejections: tuple[Rejection, ...]
    node: str
    envoy_version: str
    resources_sent: int


class Delivery:
    """Everything in it runs on one event loop; the disk is touched on threads."""

    def __init__(
        self,
        *,
        sockets: Path,
        generations: Generations,
        preflight: Judge,
        fallback: Fallback,
        patience: Patience | None = None,
        endpoints_settle: timedelta = timedelta(seconds=1),
    ) -> None:
        self._sockets = sockets
        self._generations = generations
        self._preflight = preflight
        self._patience = patience or Patience()
        self._fallbacks = Fallbacks(generations, fallback, self._in_force, endpoints_settle)
        self._servers: dict[ProxyName, ProxyServer] = {}
        self._good: dict[ProxyName, Snapshot] = {}
        self._active: Label | None = None
        self._acknowledged: dict[ProxyName, int] = {}
        self._turn = asyncio.Lock()
        self._newer_endpoints: dict[ProxyName, dict[str, EnvoyResource]] = {}
        self._memo = Memo()

    async def start(self) -> Label | None:
        """Serves the active generation from disk, before anybody looks at git or DNS; None when there is none."""
        stored = await on_disk(self._generations.open)
        if stored is not None:
            self._active = stored.label
            self._good = dict(stored.snapshots)
            for proxy, good in stored.snapshots.items():
                await self._serve(proxy, good)
        self._fallbacks.start()
        return self._active

    async def stop(self) -> None:
        """The proxies keep what they have. A delivery that is under way is to be cancelled before."""
        try:
            await self._fallbacks.stop()
        finally:
            await self._leave(tuple(self._servers))

    async def deliver(self, target: Target) -> Outcome:
        """Cancelled, it leaves the proxies on a consistent step of the way, and the old generation active.

        What it staged stays on disk until the next start, which forgets it: a thread may be writing it still.
        """
        async with self._turn:
            self._newer_endpoints.clear()
            here = await on_disk(on_this_host, target, self._good, self._memo)
            if here.problems:
                return Refused(problems=in_order(here.problems), stage="secrets")
            target = here.target
            wanted = {p: snapshot(each.rendered, each.assignments) for p, each in target.proxies.items()}
            staged, problems = await self._staged_and_judged(target.revision, wanted, here.readable)
            if problems:
                return await self._refused(staged, problems, "preflight", here.files)
            await on_disk(self._generations.commit, staged)
            # While Envoy works on what it was sent, there is time for the fallbacks.
            results, fallbacks = await asyncio.gather(
                self._push(wanted), self._fallbacks.add(staged, target), return_exceptions=True
            )
            if isinstance(results, BaseException):
                raise results
            problems = _problems(results, wanted, self._patience)
            if problems:
                await self._roll_back()
                if not any(isinstance(each, Rejected) for each in results.values()):
                    return await self._put_off(staged, problems)
                return await self._refused(staged, problems, "acknowledgement", here.files)
            if isinstance(fallbacks, BaseException):
                raise fallbacks
            return await self._delivered(staged, results)

    def push_endpoints(self, assignments: Mapping[ProxyName, Iterable[EnvoyResource]]) -> int:
        """Sends what differs and waits for nobody; how many differed. The fallbacks on disk follow."""
        changed = 0
        for proxy, given in assignments.items():
            if proxy in self._servers:
                changed += self._push_endpoints(proxy, self._servers[proxy], given)
        if changed:
            self._fallbacks.are_stale()
        return changed

    async def renew_secrets(self, secrets: Mapping[ProxyName, Iterable[Secret]]) -> int:
        """Where optional files came or went since the last delivery, sends what is now to be used; how many that are.

        It waits for nobody, as with endpoints: Envoy keeps what it has of a secret that it refuses.
        """
        async with self._turn:
            renewed = 0
            for proxy, given in secrets.items():
                if proxy in self._good and proxy in self._servers:
                    renewed += self._renew(proxy, await on_disk(secret_files.chosen_anew, given, self._good[proxy]))
        if renewed:
            self._fallbacks.are_stale()
        return renewed

    async def offer_again(self) -> None:
        """What an Envoy refuses when it comes, it may take later: it was started without a file that it needs.

        It waits for nobody, and no revision is to blame.
        """
        async with self._turn:
            for server in self._servers.values():
                server.offer_again()

    def states(self) -> tuple[ProxyState, ...]:
        return tuple(self._state(proxy, server) for proxy, server in sorted(self._servers.items()))

    @property
    def active(self) -> Label | None:
        return self._active

    @property
    def awaits(self) -> bool:
        """A proxy that is connected still owes an answer to what it was sent."""
        return any(session.pending for server in self._servers.values() for session in server.sessions)

    def is_refused(self, revision: RevisionId) -> bool:
        """By this meshd with this Envoy and these files: to be skipped, unless somebody asks for another try."""
        return revision in self._generations.refusals

    def forget_refusal(self, revision: RevisionId) -> None:
        self._generations.refusals.forget(revision)

    async def _staged_and_judged(
        self, revision: RevisionId, wanted: Snapshots, secrets: Secrets
    ) -> tuple[Staged, Problems]:
        """Side by side: one waits for the disk, the other for Envoy."""
        staging = asyncio.create_task(on_disk(self._generations.stage, revision, wanted))
        try:
            problems = await self._preflight.judge(self._good, wanted, secrets)
            return await asyncio.shield(staging), problems
        except BaseException:
            with contextlib.suppress(DeliveryError):
                self._generations.abandon(await staging)
            raise

    async def _push(self, wanted: Snapshots) -> dict[ProxyName, PushResult]:
        newest = {p: each.with_endpoints(self._newer_endpoints.get(p, {}).values()) for p, each in wanted.items()}
        results = await asyncio.gather(*(self._push_one(proxy, each) for proxy, each in newest.items()))
        return dict(zip(newest, results, strict=True))

    async def _push_one(self, proxy: ProxyName, wanted: Snapshot) -> PushResult:
        if proxy not in self._servers:
            await self._serve(proxy, wanted)
            return Absent()
        return await push(self._servers[proxy], wanted, self._patience)

    async def _roll_back(self) -> None:
        """Also those proxies that took it: the host runs one revision. Who does not take it back stays in `states`."""
        await self._leave(self._servers.keys() - self._good.keys())
        await asyncio.gather(*(push(s, self._good[proxy], self._patience) for proxy, s in self._servers.items()))

    async def _refused(
        self,
        staged: Staged,
        problems: Problems,
        stage: Literal["preflight", "acknowledgement"],
        files: Mapping[str, str],
    ) -> Refused:
        await on_disk(self._generations.abandon, staged)
        await on_disk(self._generations.refusals.add, staged.label.revision, files)
        return Refused(problems=in_order(problems), stage=stage)

    async def _put_off(self, staged: Staged, problems: Problems) -> Refused:
        await on_disk(self._generations.abandon, staged)
        return Refused(problems=in_order(problems), stage="patience")

    async def _delivered(self, staged: Staged, results: Mapping[ProxyName, PushResult]) -> Delivered:
        await on_disk(self._generations.activate, staged)
        self._active = staged.label
        await self._leave(self._servers.keys() - results.keys())
        self._good = {proxy: server.served for proxy, server in self._servers.items()}
        if self._newer_endpoints:
            self._fallbacks.are_stale()
        acknowledged = tuple(proxy for proxy, result in results.items() if isinstance(result, Acknowledged))
        self._acknowledged.update((proxy, staged.label.number) for proxy in acknowledged)
        return Delivered(
            generation=staged.label,
            acknowledged=acknowledged,
            absent=tuple(proxy for proxy in results if proxy not in acknowledged),
            resources=sum(each.resources for each in results.values() if isinstance(each, Acknowledged)),
        )

    async def _serve(self, proxy: ProxyName, served: Snapshot) -> None:
        server = ProxyServer(proxy, self._sockets / f"{proxy}.sock", served)
        await server.start()
        self._servers[proxy] = server

    async def _leave(self, proxies: Collection[ProxyName]) -> None:
        for proxy in proxies:
            self._acknowledged.pop(proxy, None)
        await asyncio.gather(*[self._servers.pop(proxy).stop() for proxy in proxies])

    def _push_endpoints(self, proxy: ProxyName, server: ProxyServer, assignments: Iterable[EnvoyResource]) -> int:
        given = {each.name: each for each in assignments}
        self._newer_endpoints.setdefault(proxy, {}).update(given)
        served = server.served.endpoints
        changed = [each for each in given.values() if each.name in served and served[each.name] != each]
        push_endpoints(server, changed)
        if proxy in self._good:
            self._good[proxy] = self._good[proxy].with_endpoints(changed)
        return len(changed)

    def _renew(self, proxy: ProxyName, renewed: Iterable[EnvoyResource]) -> int:
        fresh = {each.name: each for each in renewed}
        self._good[proxy] = self._good[proxy].with_secrets(fresh)
        push_secrets(self._servers[proxy], fresh)
        return len(fresh)

    async def _in_force(self) -> tuple[Label | None, Snapshots]:
        async with self._turn:
            return self._active, dict(self._good)

    def _state(self, proxy: ProxyName, server: ProxyServer) -> ProxyState:
        last = server.last
        connected = last is not None and last in server.sessions
        if connected and last is not None and last.settled and self._active and not self._turn.locked():
            self._acknowledged[proxy] = self._active.number
        return ProxyState(
            proxy=proxy,
            connected=connected,
            generation=self._acknowledged.get(proxy),
            rejections=tuple(last.rejected.values()) if last else (),
            node=last.node if last else "",
            envoy_version=last.envoy_version if last else "",
            resources_sent=last.resources_sent if last else 0,
        )


def _problems(results: Mapping[ProxyName, PushResult], wanted: Snapshots, patience: Patience) -> Problems:
    problems: list[Problem] = []
    for proxy, result in results.items():
        match result:
            case Rejected(rejections=rejections):
                problems += rejection_problems(rejections, wanted[proxy])
            case TimedOut(waiting=waiting):
                seconds = patience.push.total_seconds()
                message = f"the {proxy} did not acknowledge {waiting} within {seconds:g} s"
                hint = "meshd tries again by itself, ever less often; is the machine overloaded, or its Envoy stuck?"
                problems.append(Problem(code=TIMED_OUT, at=NOWHERE, message=message, hint=hint))
            case Acknowledged() | Absent():
                pass
            case _:
                assert_never(result)
    return tuple(problems)
