from __future__ import annotations

import asyncio
from datetime import timedelta

from meshd.daemon.passes import Passes


def run(story, work, poll=timedelta(hours=1)):
    async def around():
        passes = Passes(work=work, poll=lambda: poll)
        running = asyncio.create_task(passes.run())
        try:
            return await asyncio.wait_for(story(passes), 10)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    return asyncio.run(around())


def test_who_asks_during_a_pass_waits_for_the_next_one():
    begun: list[frozenset[str]] = []
    gate, first_began = asyncio.Event(), asyncio.Event()

    async def work(pulled):
        begun.append(pulled)
        first_began.set()
        if len(begun) == 1:
            await gate.wait()
        return True

    async def story(passes):
        first = asyncio.create_task(passes.asked("push"))
        await first_began.wait()
        second = asyncio.create_task(passes.asked("sync"))
        await asyncio.sleep(0)
        gate.set()
        await first
        assert not second.done() or len(begun) == 2
        await second
        return begun

    assert run(story, work) == [frozenset({"push"}), frozenset({"sync"})]


def test_a_poll_is_a_pass_of_its_own():
    seen: list[frozenset[str]] = []

    async def work(pulled):
        seen.append(pulled)
        return True

    async def story(passes):
        await passes.until(lambda: passes.done >= 2)

    run(story, work, poll=timedelta(0))
    assert seen[:2] == [frozenset({"poll"})] * 2


def test_failures_are_retried_at_once_and_then_ever_less_often_but_never_less_than_the_poll():
    passes = Passes(work=None, poll=lambda: timedelta(minutes=1))

    pauses = []
    for failures in range(1, 12):
        passes.failures = failures
        pauses.append(passes.pause())

    assert timedelta(seconds=0.8) <= pauses[0] <= timedelta(seconds=1.2)
    assert timedelta(seconds=3.2) <= pauses[2] <= timedelta(seconds=4.8)
    assert pauses[-1] == timedelta(minutes=1)


def test_a_pass_that_crashes_is_a_failure_and_the_loop_goes_on(capsys):
    async def work(_pulled):
        raise RuntimeError("a fault")

    async def story(passes):
        await passes.asked("sync")
        return passes.failures

    assert run(story, work) == 1
    assert "pass.crashed" in capsys.readouterr().out + capsys.readouterr().err


def test_the_age_of_a_pass_is_told_while_it_runs():
    ages = []

    async def story(passes):
        await passes.asked("sync")
        return passes.age()

    async def work(_pulled):
        ages.append(True)
        return True

    assert run(story, work) == timedelta(0)
    assert ages


def test_dns_answers_do_not_put_off_the_poll():
    seen: list[frozenset[str]] = []

    async def work(pulled):
        seen.append(pulled)
        return True

    async def story(passes):
        while not any("poll" in pulled for pulled in seen):
            passes.triggers.pull("endpoints")
            await asyncio.sleep(0)

    run(story, work, poll=timedelta(milliseconds=20))


def test_a_small_pass_leaves_the_backoff_of_a_failure_alone():
    async def work(pulled):
        return pulled == {"endpoints"}

    async def story(passes):
        await passes.asked("sync")
        await passes.asked("endpoints")
        return passes.failures

    assert run(story, work) == 1


def test_a_crash_that_stays_is_one_event(capsys):
    async def work(_pulled):
        raise RuntimeError("a fault")

    async def story(passes):
        for _ in range(3):
            await passes.asked("sync")

    run(story, work)

    assert capsys.readouterr().out.count("pass.crashed") == 1
