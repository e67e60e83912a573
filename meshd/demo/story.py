"""The demo, told as a story: what is pushed, what must come of it, and what is shown of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from meshd.control import Reply
from meshd.demo import meshes, show
from meshd.demo.commands import DemoError
from meshd.demo.daemon import daemon, meshd, settled
from meshd.demo.traffic import Question, answers
from meshd.demo.world import VERSIONS, World, a_world
from meshd.names import RevisionId

_SHOP_URL: Final = f"http://{meshes.SHOP}/"
_TESTER: Final = ("x-user", "tester")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One commit, and the requests that show what it did. `good`: whether meshd must accept it."""

    title: str
    files: Mapping[str, str]
    questions: tuple[Question, ...]
    good: bool = True


def steps(world: World) -> tuple[Step, ...]:
    shares = {"v1": 75, "v2": 25}
    canary = meshes.by_header(shares, *_TESTER, "v3")
    return (
        Step(
            title="a shop in three versions, and no route yet: everybody gets a share",
            files={"hosts.yaml": meshes.hosts(), "shop.yaml": meshes.shop(world.shop_ports)},
            questions=(_shop(*VERSIONS),),
        ),
        Step(
            title="everything to v1",
            files={"routes.yaml": meshes.all_to("v1")},
            questions=(_shop("v1"),),
        ),
        Step(
            title="a quarter of it to v2",
            files={"routes.yaml": meshes.shared(shares)},
            questions=(_shop("v1", "v2"),),
        ),
        Step(
            title="testers see v3, by a header",
            files={"routes.yaml": canary},
            questions=(_shop("v1", "v2"), _tester("v3")),
        ),
        Step(
            title="plain http to a service that speaks TLS: the proxy opens it, and verifies the certificate",
            files={"payments.yaml": meshes.payments(world.payments_port, world.certificate.authority)},
            questions=(Question(url=f"http://{meshes.PAYMENTS}/", among=frozenset({"payments over TLSv1.3"})),),
        ),
        Step(
            title="a commit with two slips in it",
            files={"routes.yaml": meshes.broken(canary)},
            questions=(_shop("v1", "v2"), _tester("v3")),
            good=False,
        ),
        Step(
            title="the fix, and more for v2",
            files={"routes.yaml": meshes.mended(canary)},
            questions=(_shop("v1", "v2"), _tester("v3")),
        ),
    )


async def tell(envoy: Path | None, *, keep: bool) -> None:
    """Raises DemoError when what must be seen is not seen. Whatever happens, nothing is left behind."""
    async with a_world(envoy) as world:
        show.opening(world)
        first, *others = steps(world)
        revision = await _commit(world, 1, first)
        await world.repository.push()
        started = time.time()
        async with daemon(world.place):
            _judge(first, await _settled_at(world, revision), started, "meshd was started")
            await _ask(world, first)
            for number, step in enumerate(others, start=2):
                await _play(world, number, step)
            await _status(world)
            if keep:
                show.play(world)
                await asyncio.Event().wait()
    show.closing()


async def _play(world: World, number: int, step: Step) -> None:
    revision = await _commit(world, number, step)
    waiting = asyncio.create_task(_settled_at(world, revision))
    pushed = await world.repository.push()
    _judge(step, await waiting, pushed, "the push")
    await _ask(world, step)


async def _commit(world: World, number: int, step: Step) -> RevisionId:
    revision = await world.repository.commit(step.files, step.title)
    show.commit(number, step.title, revision, await world.repository.changes())
    return revision


async def _settled_at(world: World, revision: RevisionId) -> tuple[Reply, float]:
    """The daemon's verdict, and when we had it."""
    reply = await settled(world.place, revision)
    return reply, time.time()


def _judge(step: Step, verdict: tuple[Reply, float], since: float, event: str) -> None:
    reply, at = verdict
    problems = tuple(problem["text"] for problem in reply.body.get("problems", ()))
    if reply.ok != step.good:
        raise DemoError(f"{step.title}: {reply.body.get('message', 'no verdict')}", " | ".join(problems))
    after = f"{(at - since) * 1000:.0f} ms after {event}"
    if reply.ok:
        show.live(after)
    else:
        show.refused(after, problems)


async def _ask(world: World, step: Step) -> None:
    for question in step.questions:
        got = await answers(world.place.proxy_port, question)
        show.traffic(question, got)
        if not question.among.issuperset(got):
            raise DemoError(f"{step.title}: only {sorted(question.among)} may answer, not {sorted(got)}")


async def _status(world: World) -> None:
    """As a person would ask, on the same terminal."""
    show.command("meshd status")
    process = await asyncio.create_subprocess_exec(*meshd("status", "--socket", str(world.place.control)))
    if await process.wait() != 0:
        raise DemoError("the host is not ready at the end", "the status above says why")


def _shop(*versions: str) -> Question:
    return Question(url=_SHOP_URL, among=frozenset(versions))


def _tester(version: str) -> Question:
    return Question(url=_SHOP_URL, headers=dict([_TESTER]), among=frozenset({version}))
