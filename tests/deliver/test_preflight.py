"""What the real Envoy refuses, before anything is pushed."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from meshd.deliver.error import DeliveryError
from meshd.deliver.preflight import Judge, Preflight
from meshd.deliver.snapshot import NOTHING, Snapshot
from meshd.deliver.target import Delivered, Refused
from meshd.deliver.validator import Validator
from meshd.envoy.trial import trial
from meshd.plan import RingHash, Route, TextMatch
from meshd.problems import Problems
from tests.deliver.clock import on_a_loop
from tests.deliver.worlds import World, a_cluster, a_delivery, a_listener, a_route, a_virtual_host, eventually, to

pytestmark = pytest.mark.envoy


class CountingJudge:
    def __init__(self, judge: Judge) -> None:
        self.asked = 0
        self._judge = judge

    async def complaint(self, bootstrap: bytes) -> str | None:
        self.asked += 1
        return await self._judge.complaint(bootstrap)


@contextlib.asynccontextmanager
async def a_validator(binary: Path, directory: Path, **given: object) -> AsyncIterator[Validator]:
    validator = Validator(binary, directory / "preflight", **given)  # type: ignore[arg-type]
    validator.start()
    try:
        yield validator
    finally:
        await validator.stop()


async def judged(preflight: Preflight, following: Snapshot, previous: Snapshot = NOTHING) -> Problems:
    return await preflight.judge({"sidecar": previous}, {"sidecar": following}, {})


def a_broken_route(line: int) -> Route:
    """Passes every check of ours, and Envoy cannot compile it."""
    route = a_route(to("c0"), prefix="/broken", line=line, file="broken.yaml")
    return replace(route, match=replace(route.match, path=TextMatch(kind="regex", value="(")))


@on_a_loop
async def test_what_envoy_likes_has_no_problem_and_is_not_judged_again(envoy_binary: Path, short_tmp: Path) -> None:
    async with a_validator(envoy_binary, short_tmp) as validator:
        judge = CountingJudge(validator)
        preflight = Preflight(judge)
        world = World(port=10001, clusters={"c0": (9,)}, hosts=(a_virtual_host("shop", "c0"),))

        assert await judged(preflight, world.snapshot()) == ()
        assert await judged(preflight, world.snapshot()) == ()

        assert judge.asked == 1


@on_a_loop
async def test_only_what_changed_is_judged(envoy_binary: Path, short_tmp: Path) -> None:
    async with a_validator(envoy_binary, short_tmp) as validator:
        world = World(clusters={"bad": (9,)}, changed={"bad": a_cluster("bad", load_balancer=_refused())})
        before = world.snapshot()
        world.clusters = {"bad": (9,), "good": (9,)}

        assert await judged(Preflight(validator), world.snapshot(), before) == ()


@on_a_loop
async def test_a_broken_route_among_many_is_found_at_its_line(envoy_binary: Path, short_tmp: Path) -> None:
    async with a_validator(envoy_binary, short_tmp) as validator:
        judge = CountingJudge(validator)
        hosts = [a_virtual_host(f"h{i}", "c0") for i in range(200)]
        hosts[137] = a_virtual_host("h137", *(a_route(to("c0"), f"/{i}") for i in range(5)), a_broken_route(line=42))

        problems = await judged(Preflight(judge), World(clusters={"c0": (9,)}, hosts=tuple(hosts)).snapshot())

        (problem,) = problems
        assert str(problem) == (
            "broken.yaml:42:1: spec.http: Envoy refuses virtual host h137 of route table http: "
            "missing ): ( [E-ENVOY-REFUSED]"
        )
        assert judge.asked < 20


@on_a_loop
async def test_every_broken_resource_is_reported(envoy_binary: Path, short_tmp: Path) -> None:
    async with a_validator(envoy_binary, short_tmp) as validator:
        world = World(
            clusters={f"c{i}": (9,) for i in range(20)},
            changed={name: a_cluster(name, load_balancer=_refused()) for name in ("c3", "c17")},
            hosts=(a_virtual_host("ok", "c0"), a_virtual_host("shop", a_broken_route(line=7))),
        )

        problems = await judged(Preflight(validator), world.snapshot())

        assert [(p.at.file, p.at.line) for p in problems] == [("broken.yaml", 7), ("c17.yaml", 3), ("c3.yaml", 3)]
        assert {p.code for p in problems} == {"E-ENVOY-REFUSED"}


@on_a_loop
async def test_a_resource_that_the_complaint_names_is_found_without_a_search(
    envoy_binary: Path, short_tmp: Path
) -> None:
    async with a_validator(envoy_binary, short_tmp) as validator:
        judge = CountingJudge(validator)
        listeners = tuple(a_listener(port, table=f"t{port}", line=port) for port in range(10001, 10033))
        broken = replace(listeners[20], chains=())
        world = World(listeners=(*listeners[:20], broken, *listeners[21:]))

        problems = await judged(Preflight(judge), world.snapshot())

        assert [problem.at.line for problem in problems] == [10021]
        assert judge.asked <= 8


@on_a_loop
async def test_a_domain_that_two_virtual_hosts_claim_is_one_problem(envoy_binary: Path, short_tmp: Path) -> None:
    async with a_validator(envoy_binary, short_tmp) as validator:
        twin = replace(a_virtual_host("shop", "c0"), name="twin")
        world = World(clusters={"c0": (9,)}, hosts=(a_virtual_host("shop", "c0"), twin))

        (problem,) = await judged(Preflight(validator), world.snapshot())

        assert "Duplicate entry of domain shop" in problem.message


@on_a_loop
async def test_a_refused_revision_is_not_pushed_and_is_remembered(envoy_binary: Path, short_tmp: Path) -> None:
    async with (
        a_validator(envoy_binary, short_tmp) as validator,
        a_delivery(short_tmp, preflight=Preflight(validator)) as delivery,
    ):
        good = World(clusters={"c0": (9,)})
        bad = World(clusters={"c0": (9,), "c1": (9,)}, changed={"c1": a_cluster("c1", load_balancer=_refused())})
        assert isinstance(await delivery.deliver(good.target("r1")), Delivered)

        outcome = await delivery.deliver(bad.target("r2"))

        assert isinstance(outcome, Refused)
        assert outcome.stage == "preflight"
        assert delivery.active is not None
        assert delivery.active.revision == "r1"
        assert [entry.name for entry in (short_tmp / "state" / "generations").iterdir()] == ["000001"]
        assert delivery.is_refused(bad.target("r2").revision)


@on_a_loop
async def test_the_spare_validator_ends_with_whoever_holds_its_configuration(
    envoy_binary: Path, short_tmp: Path
) -> None:
    validator = Validator(envoy_binary, short_tmp / "preflight")
    validator.start()
    spare = await validator._spare  # type: ignore[misc]
    opened = Path("/proc", str(spare.process.pid), "fd")
    await eventually(lambda: spare.fifo in [link.readlink() for link in opened.iterdir()], "Envoy to open its FIFO")

    spare.pipe.close()  # as the kernel does when meshd is killed

    await asyncio.wait_for(spare.process.wait(), 10)
    await validator.stop()
    assert list((short_tmp / "preflight").iterdir()) == []


@on_a_loop
async def test_a_spare_that_died_is_replaced_and_what_a_killed_meshd_left_is_removed(
    envoy_binary: Path, short_tmp: Path
) -> None:
    (short_tmp / "preflight").mkdir()
    os.mkfifo(short_tmp / "preflight" / "7.pb")
    (short_tmp / "preflight" / "8.pb").touch()
    async with a_validator(envoy_binary, short_tmp) as validator:
        assert not list((short_tmp / "preflight").glob("[78].pb"))
        spare = await validator._spare  # type: ignore[misc]
        spare.process.kill()
        await spare.process.wait()

        assert await validator.complaint(trial([])) is None


@on_a_loop
async def test_an_envoy_that_cannot_be_asked_is_the_worlds_fault_and_no_verdict(short_tmp: Path) -> None:
    async with a_validator(short_tmp / "no-envoy", short_tmp, spare=False) as validator:
        with pytest.raises(DeliveryError, match="no-envoy"):
            await validator.complaint(trial([]))


@on_a_loop
async def test_an_envoy_that_is_killed_while_it_judges_gave_no_verdict(short_tmp: Path) -> None:
    """By the kernel, for its memory: a good revision must not be refused, and remembered as bad, for that."""
    killed = short_tmp / "envoy"
    killed.write_text('#!/bin/sh\nfor config; do :; done\ncat "$config" >/dev/null\nkill -KILL $$\n')
    killed.chmod(0o755)
    async with a_validator(killed, short_tmp, spare=False) as validator:
        with pytest.raises(DeliveryError, match="was killed while it judged"):
            await validator.complaint(trial([]))


@on_a_loop
async def test_a_judgement_has_a_deadline(envoy_binary: Path, short_tmp: Path) -> None:
    async with a_validator(envoy_binary, short_tmp, spare=False, deadline=timedelta()) as validator:
        with pytest.raises(DeliveryError, match="within 0 s"):
            await validator.complaint(trial([]))
        await eventually(lambda: not list((short_tmp / "preflight").iterdir()))


def _refused() -> RingHash:
    return RingHash(minimum_size=9_000_000)
