"""What no proxy acknowledged in time is tried again by itself, ever less often; what one refused is not."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from meshd.daemon.delivering import Delivering
from meshd.daemon.second_tries import FIRST, LONGEST, SecondTries
from meshd.deliver.delivery import Delivery
from meshd.deliver.push import Patience
from meshd.envoy import render
from meshd.memo import Memo
from meshd.names import RevisionId
from meshd.problems import NOWHERE, Problem
from meshd.reconcile import Delivered, Prepared, ProxyConfiguration, Refused
from tests.deliver.clock import on_a_loop
from tests.deliver.worlds import World, a_cluster, a_delivery, an_envoy, eventually, is_on

SLOW, OTHER = RevisionId("slow"), RevisionId("other")
TOO_LATE = (Problem(code="E-ENVOY-TIMEOUT", at=NOWHERE, message="the sidecar did not acknowledge it"),)
HASTY = Patience(push=timedelta(seconds=1.5), warming=timedelta(milliseconds=100))


@dataclass
class Clock:
    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds

    def advance(self, span: timedelta) -> None:
        self.seconds += span.total_seconds()


def test_each_try_waits_twice_as_long_as_the_one_before_up_to_an_hour() -> None:
    clock = Clock()
    tries = SecondTries(clock)
    waits = []
    for _ in range(40):
        tries.put_off(SLOW, TOO_LATE)
        due = tries._late[SLOW].due
        waits.append(timedelta(seconds=due - clock()))
        clock.seconds = due - 0.001
        assert not tries.is_due(SLOW)
        clock.seconds = due
        assert tries.is_due(SLOW)

    assert waits[:3] == [FIRST, FIRST * 2, FIRST * 4]
    assert set(waits[12:]) == {LONGEST}
    assert tries.tries(SLOW) == 40


def test_who_is_forgotten_begins_anew_and_a_thousand_others_are_not_kept() -> None:
    tries = SecondTries(Clock())
    tries.put_off(SLOW, TOO_LATE)
    tries.forget(SLOW)
    tries.forget(OTHER)

    for number in range(1000):
        tries.put_off(RevisionId(str(number)), TOO_LATE)

    assert tries.problems(SLOW) is None
    assert (tries.tries(RevisionId("0")), tries.tries(RevisionId("999"))) == (0, 1)


def prepared(world: World, revision: str) -> Prepared:
    plan = world.plan()
    proxies = {plan.proxy: ProxyConfiguration(plan=plan, rendered=render(plan, Memo()))}
    return Prepared(revision=RevisionId(revision), proxies=proxies, problems=(), resources=0, skipped=0)


def delivering(delivery: Delivery, clock: Clock) -> Delivering:
    async def at_once(work, /, *given, **more):  # type: ignore[no-untyped-def]
        return work(*given, **more)

    return Delivering(delivery, dict, at_once, second_tries=SecondTries(clock))


@pytest.mark.envoy
@on_a_loop
async def test_what_a_stalled_envoy_did_not_take_is_due_again_when_it_has_caught_up_and_the_time_has_come(
    envoy_binary: Path, short_tmp: Path
) -> None:
    clock = Clock()
    async with a_delivery(short_tmp, patience=HASTY) as delivery, an_envoy(envoy_binary, short_tmp) as envoy:
        rooms = delivering(delivery, clock)
        await rooms.deliver(prepared(World(clusters={"v1": (9,)}), "good"))
        await eventually(is_on(delivery, 1))
        slow = prepared(World(clusters={"v1": (9,), "v2": (9,)}), SLOW)
        envoy.send_signal(signal.SIGSTOP)

        refused = await rooms.deliver(slow)
        assert isinstance(refused, Refused)
        assert [problem.code for problem in refused.problems] == ["E-ENVOY-TIMEOUT"]
        assert rooms.refusal(SLOW) == refused.problems
        assert not delivery.is_refused(SLOW)

        clock.advance(FIRST)
        assert not rooms.is_due(SLOW)  # nobody is sent more while he owes answers
        assert rooms.refusal(SLOW) == refused.problems
        envoy.send_signal(signal.SIGCONT)
        await eventually(lambda: rooms.is_due(SLOW))
        assert rooms.refusal(SLOW) is None

        delivered = await rooms.deliver(slow)
        assert isinstance(delivered, Delivered)
        assert is_on(delivery, delivered.generation)()
        assert not rooms.is_due(SLOW)


@pytest.mark.envoy
@on_a_loop
async def test_what_an_envoy_refused_is_never_due_again_also_if_it_came_too_late_before(
    envoy_binary: Path, short_tmp: Path
) -> None:
    clock = Clock()
    async with a_delivery(short_tmp, patience=HASTY) as delivery, an_envoy(envoy_binary, short_tmp) as envoy:
        rooms = delivering(delivery, clock)
        await rooms.deliver(prepared(World(clusters={"v1": (9,)}), "good"))
        await eventually(is_on(delivery, 1))
        bad = prepared(World(clusters={"v1": (9,)}, changed={"v1": a_cluster("v1", seconds=-1)}), SLOW)
        envoy.send_signal(signal.SIGSTOP)
        await rooms.deliver(bad)
        envoy.send_signal(signal.SIGCONT)
        clock.advance(FIRST)
        await eventually(lambda: rooms.is_due(SLOW))

        refused = await rooms.deliver(bad)

        assert isinstance(refused, Refused)
        assert [problem.code for problem in refused.problems] == ["E-ENVOY-REJECTED"]
        clock.advance(LONGEST * 2)
        assert not rooms.is_due(SLOW)
        assert rooms.refusal(SLOW) == refused.problems


@on_a_loop
async def test_who_asks_for_it_has_it_tried_at_once(short_tmp: Path) -> None:
    clock = Clock()
    tries = SecondTries(clock)
    tries.put_off(SLOW, TOO_LATE)
    async with a_delivery(short_tmp) as delivery:
        rooms = delivering(delivery, clock)
        rooms._second_tries = tries
        assert rooms.refusal(SLOW) == TOO_LATE

        await rooms.forget_refusals((SLOW,))

        assert rooms.refusal(SLOW) is None
        assert tries.tries(SLOW) == 0
