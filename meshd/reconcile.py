"""One pass, from the head of the branch to the proxies, told as a story.

In: a world of rooms, each behind the Protocol declared here. Out: an Outcome. It refuses to know git, Envoy's wire
and the clock on the wall; what fails in the world is raised by the room that met it, and is the daemon's to tell.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import chain, islice
from typing import Final, ParamSpec, Protocol, TypeVar

from meshd.compiler import Reach, compile_plan
from meshd.envoy import render
from meshd.envoy.resource import Rendered
from meshd.memo import Memo
from meshd.mesh.load import load
from meshd.names import BlobId, DnsName, HostName, ProxyName, RevisionId
from meshd.plan import Probe, ProxyPlan
from meshd.problems import Problems, errors

P = ParamSpec("P")
R = TypeVar("R")

ANCESTORS: Final = 100
"""How far back the pass looks for a revision that is good, when the newest ones are not."""

FIRST_ANSWER: Final = timedelta(seconds=1)
"""How long new DNS names may hold up a revision; who answers later comes by EDS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyConfiguration:
    """One proxy's plan, and what the plan is in Envoy's terms."""

    plan: ProxyPlan
    rendered: Rendered


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A good revision, compiled and rendered for this host. `problems` are warnings and host-level ones.

    `probes`: how the workloads of this host are found healthy or not.
    """

    revision: RevisionId
    proxies: Mapping[ProxyName, ProxyConfiguration]
    probes: tuple[Probe, ...] = ()
    problems: Problems
    resources: int
    skipped: int

    @property
    def dns_names(self) -> frozenset[DnsName]:
        return frozenset(name for proxy in self.proxies.values() for name in proxy.plan.dns_names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """A revision that is not for this host, and why: its own errors, or Envoy's verdict."""

    revision: RevisionId
    problems: Problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    generation: int
    sent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The preflight or a proxy said no; the last known good generation is in force again."""

    problems: Problems


Verdict = Delivered | Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a pass. `accepted` is None when no revision near the head is good: all stays as it was."""

    fetched: RevisionId
    accepted: RevisionId | None
    rejected: tuple[Rejection, ...] = ()
    problems: Problems = ()
    delivered: Delivered | None = None


class Tree(Protocol):
    @property
    def id(self) -> RevisionId: ...
    @property
    def files(self) -> Mapping[str, BlobId]: ...


class Source(Protocol):
    """Blocking; called aside."""

    def fetch(self) -> RevisionId: ...
    def revision(self, revision: RevisionId, /) -> Tree: ...
    def read(self, blob: BlobId, /) -> bytes: ...
    def ancestors(self, revision: RevisionId, /) -> Iterator[RevisionId]: ...


class Resolver(Protocol):
    def want(self, names: Iterable[DnsName], /) -> None: ...
    async def settle(self, names: Iterable[DnsName], deadline: timedelta, /) -> None: ...


class Delivery(Protocol):
    """`refusal` remembers, across restarts, which revisions are refused; not those to try again, as things are now.

    `is_due`: it came too late, and now it is time to try it again.
    """

    async def deliver(self, prepared: Prepared, /) -> Verdict: ...
    def refusal(self, revision: RevisionId, /) -> Problems | None: ...
    def is_due(self, revision: RevisionId, /) -> bool: ...


class Aside(Protocol):
    """Runs what blocks or computes off the event loop, one call at a time."""

    def __call__(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[R]: ...


@dataclass(slots=True, kw_only=True)
class World:
    """What a pass needs, and what it remembers for the next one."""

    host: HostName
    reach: Reach
    source: Source
    resolver: Resolver
    delivery: Delivery
    aside: Aside
    memo: Memo = field(default_factory=Memo)
    current: Prepared | None = None
    rejected: dict[RevisionId, Problems] = field(default_factory=dict)
    refused: set[RevisionId] = field(default_factory=set)
    """Those of the rejected that the delivery refused, in this pass: the next one asks it again."""


async def reconcile(world: World) -> Outcome:
    """Brings the host to the newest good revision. Raises what its rooms raise when the world fails them."""
    head = await world.aside(world.source.fetch)
    while world.refused:
        world.rejected.pop(world.refused.pop(), None)
    while True:
        rejected, prepared = await world.aside(choose, world, head)
        outcome = Outcome(fetched=head, accepted=None, rejected=rejected)
        if prepared is None:
            return outcome
        outcome = replace(outcome, accepted=prepared.revision, problems=prepared.problems)
        if prepared is world.current:
            return outcome
        verdict = await deliver(world, prepared)
        if isinstance(verdict, Delivered):
            world.current = prepared
            return replace(outcome, delivered=verdict)
        refuse(world, prepared.revision, verdict.problems)


def is_due_again(world: World) -> bool:
    """Of what was refused in the last pass something is to be tried again now: another pass is worth while."""
    return any(map(world.delivery.is_due, world.refused))


async def deliver(world: World, prepared: Prepared) -> Verdict:
    names = prepared.dns_names
    world.resolver.want(names | (world.current.dns_names if world.current else frozenset()))
    await world.resolver.settle(names, FIRST_ANSWER)
    verdict = await world.delivery.deliver(prepared)
    if isinstance(verdict, Delivered):
        world.resolver.want(names)
    return verdict


def choose(world: World, head: RevisionId) -> tuple[tuple[Rejection, ...], Prepared | None]:
    """The newest good revision from the head back, by first parents, and those before it that are not good.

    Every host walks the same way, so that all of them, new ones too, agree on what is in force.
    """
    rejected, prepared = walk(world, head)
    # Of what is bad elsewhere nothing is remembered: a host runs for years, and bad commits are many.
    world.rejected = {rejection.revision: rejection.problems for rejection in rejected}
    return rejected, prepared


def walk(world: World, head: RevisionId) -> tuple[tuple[Rejection, ...], Prepared | None]:
    rejected: list[Rejection] = []
    for revision in chain([head], islice(world.source.ancestors(head), ANCESTORS)):
        if world.current is not None and revision == world.current.revision:
            return tuple(rejected), world.current
        prepared = None if known_bad(world, revision) else prepare(world, revision)
        if prepared is not None:
            return tuple(rejected), prepared
        rejected.append(Rejection(revision=revision, problems=world.rejected[revision]))
    return tuple(rejected), None


def known_bad(world: World, revision: RevisionId) -> bool:
    """Refused before: in this life by its own errors, or in any by the proxies of this host."""
    refusal = world.delivery.refusal(revision)
    if refusal is not None:
        refuse(world, revision, refusal)
    return revision in world.rejected


def refuse(world: World, revision: RevisionId, problems: Problems) -> None:
    world.rejected[revision] = problems
    world.refused.add(revision)


def prepare(world: World, revision: RevisionId) -> Prepared | None:
    """The revision compiled and rendered for this host; None, with the problems remembered, when it has errors.

    A revision that no longer knows this host has an error too, for this host: it keeps what it runs.
    """
    loaded = load(world.source.revision(revision).files, world.source.read, world.memo)
    if loaded.mesh is None:
        world.rejected[revision] = loaded.problems
        return None
    compiled = compile_plan(loaded.mesh, world.host, world.reach, world.memo)
    if errors(compiled.problems):
        world.rejected[revision] = (*loaded.problems, *compiled.problems)
        return None
    proxies = {plan.proxy: ProxyConfiguration(plan=plan, rendered=render(plan, world.memo)) for plan in compiled.plans}
    world.memo.turn()
    return Prepared(
        revision=revision,
        proxies=proxies,
        probes=compiled.probes,
        problems=(*loaded.problems, *compiled.problems, *compiled.ailments),
        resources=loaded.resources,
        skipped=loaded.skipped,
    )
