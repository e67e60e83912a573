"""Moves a connected proxy from the snapshot that it has to the next, one acknowledged step after another.

At no instant does a route name a cluster that Envoy lacks. It decides nothing about what a failure means.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import timedelta

from meshd.deliver.nack import KINDS, Rejection
from meshd.deliver.snapshot import Snapshot, Table
from meshd.deliver.xds import ProxyServer, Session
from meshd.envoy.internal_listeners import is_internal
from meshd.envoy.resource import CLUSTER, ENDPOINTS, LISTENER, ROUTES, SECRET, EnvoyResource, TypeUrl


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """Every Envoy that was connected took everything. `resources` is how many were sent."""

    resources: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    rejections: tuple[Rejection, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedOut:
    """`waiting`: what was sent and not answered, in words."""

    waiting: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """No Envoy was connected, or it left meanwhile; the one that comes is served the new snapshot."""


PushResult = Acknowledged | Rejected | TimedOut | Absent


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long Envoy may take: for the whole push, and for clusters to warm before their routes follow.

    Envoy holds back the verdict on clusters while any of them warms. One that waits for a certificate or a health
    check must not hold up the rest, so after `warming` the push goes on, and asks for that verdict at its end.
    Where nothing is wrong, the verdict comes a few milliseconds after the endpoints.
    """

    push: timedelta = timedelta(seconds=15)
    warming: timedelta = timedelta(seconds=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    types: tuple[TypeUrl, ...]
    towards: Callable[[Snapshot, Snapshot], Snapshot]


def _add_new_clusters(now: Snapshot, target: Snapshot) -> Snapshot:
    """Nothing leads to these yet, whatever they lead to themselves."""
    added = {name: each for name, each in target.endpoints.items() if name not in now.clusters}
    return replace(
        now,
        clusters={**target.clusters, **now.clusters},
        endpoints={**now.endpoints, **added},
        routes={**target.routes, **now.routes},
        secrets={**now.secrets, **target.secrets},
    )


def _add_internal_listeners(now: Snapshot, target: Snapshot) -> Snapshot:
    """Endpoints lead to them, so they come first; and are dropped with the others, when none does any more."""
    return replace(now, listeners={**now.listeners, **_new_internal_listeners(now, target)})


def _add_clusters(now: Snapshot, target: Snapshot) -> Snapshot:
    """New route tables are already there when a new listener asks for them; changed ones wait for their turn.

    So are secrets; changed ones are told at once, to who has them already.
    """
    return replace(
        now,
        clusters={**now.clusters, **target.clusters},
        endpoints={**now.endpoints, **target.endpoints},
        routes={**target.routes, **now.routes},
        secrets={**now.secrets, **target.secrets},
    )


def _add_listeners(now: Snapshot, target: Snapshot) -> Snapshot:
    return replace(now, listeners={**now.listeners, **target.listeners})


def _add_routes(now: Snapshot, target: Snapshot) -> Snapshot:
    return replace(now, routes={**now.routes, **target.routes})


def _drop_listeners(now: Snapshot, target: Snapshot) -> Snapshot:
    return replace(now, listeners=target.listeners)


def _drop_clusters(now: Snapshot, target: Snapshot) -> Snapshot:
    """Endpoints may have been pushed meanwhile: those that are served are the newest."""
    return replace(target, endpoints={name: now.endpoints[name] for name in target.endpoints})


_BEFORE_ENDPOINTS_LEAD_INSIDE = (
    _Step(types=(SECRET, CLUSTER, ENDPOINTS), towards=_add_new_clusters),
    _Step(types=(LISTENER,), towards=_add_internal_listeners),
)
_STEPS = (
    _Step(types=(SECRET, CLUSTER, ENDPOINTS), towards=_add_clusters),
    _Step(types=(LISTENER,), towards=_add_listeners),
    _Step(types=(ROUTES,), towards=_add_routes),
    _Step(types=(LISTENER,), towards=_drop_listeners),
    _Step(types=(CLUSTER,), towards=_drop_clusters),
)
_EVERYTHING = (SECRET, CLUSTER, ENDPOINTS, LISTENER, ROUTES)


async def push(server: ProxyServer, target: Snapshot, patience: Patience) -> PushResult:
    """After `Acknowledged` and `Absent` the target is served. After the others the caller pushes what was before."""
    audience = _Audience(server)
    if audience.gone:
        server.serve(target, _EVERYTHING)
        return Absent()
    try:
        async with asyncio.timeout(patience.push.total_seconds()):
            return await _steps(server, target, audience, patience.warming)
    except TimeoutError:
        return TimedOut(waiting=audience.waiting())


def push_endpoints(server: ProxyServer, assignments: Iterable[EnvoyResource]) -> None:
    """Waits for nobody: an assignment changes no other resource, and Envoy keeps the last good one if it refuses."""
    server.serve(server.served.with_endpoints(assignments), (ENDPOINTS,))


def push_secrets(server: ProxyServer, secrets: Table) -> None:
    """Waits for nobody either."""
    server.serve(server.served.with_secrets(secrets), (SECRET,))


async def _steps(server: ProxyServer, target: Snapshot, audience: _Audience, warming: timedelta) -> PushResult:
    clusters = tuple(name for name in target.endpoints if name not in server.served.clusters)
    secrets = tuple(name for name in target.secrets if name not in server.served.secrets)
    first = _BEFORE_ENDPOINTS_LEAD_INSIDE if _new_internal_listeners(server.served, target) else ()
    for step in (*first, *_STEPS):
        server.serve(step.towards(server.served, target), step.types)
        if step.towards in {_add_new_clusters, _add_clusters}:
            await audience.warmed(ENDPOINTS, clusters, warming)
        elif step.towards is _add_listeners and secrets:
            await audience.warmed(SECRET, secrets, warming)
        else:
            await audience.answered(apart_from=CLUSTER)
        if audience.rejections:
            return Rejected(rejections=audience.rejections)
        if audience.gone:
            server.serve(target, _EVERYTHING)
            return Absent()
    return await _verdict(audience)


def _new_internal_listeners(now: Snapshot, target: Snapshot) -> dict[str, EnvoyResource]:
    """Those that are added or changed."""
    had = {name: each.version for name, each in now.listeners.items()}
    changed = {name: each for name, each in target.listeners.items() if had.get(name) != each.version}
    return {name: each for name, each in changed.items() if is_internal(each.body)}


async def _verdict(audience: _Audience) -> PushResult:
    await audience.answered()
    if audience.rejections:
        return Rejected(rejections=audience.rejections)
    return Absent() if audience.gone else Acknowledged(resources=audience.resources)


class _Audience:
    """The Envoys that were connected when the push began; two while one hands over to the next by hot restart."""

    def __init__(self, server: ProxyServer) -> None:
        self._server = server
        self._began = server.sessions
        self._sent_before = sum(session.resources_sent for session in self._began)
        for session in self._began:
            session.begin_push()

    @property
    def present(self) -> frozenset[Session]:
        return self._began & self._server.sessions

    @property
    def gone(self) -> bool:
        return not self.present

    @property
    def rejections(self) -> tuple[Rejection, ...]:
        return tuple(dict.fromkeys(rejection for session in self.present for rejection in session.refused_in_push))

    @property
    def resources(self) -> int:
        return sum(session.resources_sent for session in self._began) - self._sent_before

    async def answered(self, apart_from: TypeUrl | None = None) -> None:
        await self._server.until(lambda: self.rejections != () or self._answered(apart_from))

    async def warmed(self, type_url: TypeUrl, added: tuple[str, ...], patience: timedelta) -> None:
        """Every response was answered, and what is new of this type was asked for, and taken.

        Every new cluster asks for its endpoints. New secrets are asked for by new clusters, or by new listeners, which
        Envoy acknowledges before it does.
        """

        def ready() -> bool:
            return all(s.subscribed(type_url, name) for s in self.present for name in added)

        try:
            async with asyncio.timeout(patience.total_seconds()):
                await self._server.until(lambda: self.rejections != () or (self._answered(None) and ready()))
        except TimeoutError:
            await self.answered(apart_from=CLUSTER)

    def waiting(self) -> str:
        sent = [sent for session in self.present for sent in session.pending.values()]
        return ", ".join(f"{KINDS[s.type_url]} {' '.join(s.names[:3])}{' ...' * (len(s.names) > 3)}" for s in sent)

    def _answered(self, apart_from: TypeUrl | None) -> bool:
        return all(sent.type_url == apart_from for s in self.present for sent in s.pending.values())
