"""A thousand names of which a hundred never answer: the others wait neither for them nor in their queue."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from meshd.names import DnsName
from meshd.resolve.resolver import Resolver
from tests.dns_server import DnsServer, Record, serve
from tests.resolve.house import FakeClock, a_house, on_a_loop, settings

EVER = timedelta(hours=1)
"""Of real time: whoever waits for it has failed."""

IMPATIENT = timedelta(milliseconds=300)


def named(names):
    return [DnsName(name) for name in names]


@pytest.fixture
def server():
    """Beside us, in a thread: on this loop it would be as busy as we are."""
    with serve() as server:
        yield server


@on_a_loop
async def test_nine_hundred_names_are_live_while_a_hundred_never_answer(tmp_path, server):
    good = [f"good{number}.shop" for number in range(900)]
    dead = [f"dead{number}.shop" for number in range(100)]
    server.records.update({name: Record(addresses=("10.0.0.1",)) for name in good})
    server.records.update({name: Record(fault="silent") for name in dead})
    few = settings(tmp_path, server.address, families=("A",), queries=12, patient_queries=4, timeouts=(IMPATIENT, EVER))
    resolver = Resolver(few, FakeClock(), lambda: None)
    resolver.want(named(good + dead))

    async with asyncio.timeout(60):
        await resolver.settle(named(good), EVER)

    assert {resolver.answers()[name].addresses for name in named(good)} == {("10.0.0.1",)}
    assert not any(name in resolver.answers() for name in named(dead))
    assert sum(server.questions(name) for name in dead) <= len(dead) + 4
    await resolver.close()


@on_a_loop
async def test_names_stay_fresh_while_others_never_answer(tmp_path):
    async with a_house(tmp_path, families=("A",), queries=4, patient_queries=1, timeouts=(IMPATIENT, EVER)) as house:
        dead = [f"dead{number}.shop" for number in range(8)]
        for name in dead:
            house.server.set(name, fault="silent")
        house.server.set("db.shop", "10.0.0.1", ttl=30)
        await _all_asked(house, dead)
        house.server.set("db.shop", "10.0.0.2", ttl=30)

        await house.look_up_again("db.shop", timedelta(seconds=40))

        assert house.answer("db.shop").addresses == ("10.0.0.2",)
        assert not any(name in house.resolver.answers() for name in named(dead))


async def _all_asked(house, dead):
    """Until each of the dead has been asked for in vain, and waits for its turn to be asked again."""
    house.resolver.want(named(["db.shop", *dead]))
    await house.settled("db.shop")
    await house.until(lambda: all(house.server.questions(name) for name in dead))


@on_a_loop
async def test_a_dead_first_nameserver_does_not_send_names_into_the_queue_of_the_dead(tmp_path):
    silent = DnsServer(silent=True)
    await silent.start()
    async with a_house(tmp_path) as house:
        good = [f"good{number}.shop" for number in range(40)]
        dead = [f"dead{number}.shop" for number in range(10)]
        for name in good:
            house.server.set(name, "10.0.0.1")
        for name in dead:
            house.server.set(name, fault="silent")
        both = settings(
            tmp_path, silent.address, house.server.address, queries=10, patient_queries=1, timeouts=(IMPATIENT, EVER)
        )
        resolver = Resolver(both, house.clock, lambda: None)
        resolver.want(named(dead + good))

        async with asyncio.timeout(20):
            await resolver.settle(named(good), EVER)

        assert {resolver.answers()[name].addresses for name in named(good)} == {("10.0.0.1",)}
        await resolver.close()
    await silent.stop()


@on_a_loop
async def test_no_more_questions_are_open_than_allowed(tmp_path):
    async with a_house(tmp_path, queries=7, timeouts=(EVER,)) as house:
        names = [f"s{number}.shop" for number in range(60)]
        for name in names:
            house.server.set(name, "10.0.0.1", delay=0.002)

        await house.want(*names)

        assert 1 < house.server.busiest <= 7


@on_a_loop
async def test_a_name_for_which_somebody_waited_in_vain_holds_up_nobody_else(tmp_path):
    async with a_house(tmp_path, timeouts=(EVER,)) as house:
        house.server.set("dead.shop", fault="silent")
        house.server.set("new.shop", "10.0.0.1")
        house.resolver.want(named(["dead.shop"]))
        first = asyncio.create_task(house.resolver.settle(named(["dead.shop"]), timedelta(seconds=1)))
        await house.until(lambda: house.server.asked)
        house.clock.advance(timedelta(seconds=1))
        await first

        house.resolver.want(named(["dead.shop", "new.shop"]))
        async with asyncio.timeout(20):
            await house.resolver.settle(named(["dead.shop", "new.shop"]), timedelta(seconds=1))

        assert house.answer("new.shop").addresses == ("10.0.0.1",)
        assert not house.resolver._names[DnsName("dead.shop")].tried


@on_a_loop
async def test_many_names_without_a_ttl_are_not_asked_for_each_second(tmp_path, server):
    """Consul's answers have none: a thousand names would take a CPU."""
    names = [f"db{number}.shop" for number in range(600)]
    server.records.update({name: Record(addresses=("10.0.0.1",), ttl=0) for name in names})
    clock = FakeClock()
    patient = settings(tmp_path, server.address, families=("A",), timeouts=(EVER,))
    resolver = Resolver(patient, clock, lambda: None)
    resolver.want(named(names))
    async with asyncio.timeout(60):
        await resolver.settle(named(names), EVER)

    clock.advance(timedelta(seconds=2.9))
    early = sum(entry.task is not None and not entry.task.done() for entry in resolver._names.values())
    clock.advance(timedelta(seconds=0.5))
    late = sum(entry.task is not None and not entry.task.done() for entry in resolver._names.values())

    assert (early, late) == (0, 600)
    await resolver.close()
