"""Names in, answers out: what a fleet needs of its resolver when nameservers do well, and when they do not."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from meshd.names import DnsName
from meshd.resolve.clock import SystemClock
from meshd.resolve.resolver import Resolver
from tests.dns_server import DnsServer
from tests.resolve.house import FakeClock, a_house, on_a_loop, settings

MINUTE = timedelta(minutes=1)


@on_a_loop
async def test_both_families_are_looked_up_and_sorted(tmp_path):
    async with a_house(tmp_path) as house:
        house.server.set("db.shop", "10.0.0.9", "10.0.0.10", "fd00::1", ttl=30)

        await house.want("db.shop")

        answer = house.answer("db.shop")
        assert answer.addresses == ("10.0.0.10", "10.0.0.9", "fd00::1")
        assert (answer.source, answer.error, answer.canonical) == ("dns", "", "db.shop")
        assert answer.expires - answer.looked_up == timedelta(seconds=30)


@on_a_loop
async def test_only_the_families_asked_for_are_looked_up(tmp_path):
    async with a_house(tmp_path, families=("A",)) as house:
        house.server.set("db.shop", "10.0.0.9", "fd00::1")

        await house.want("db.shop")

        assert house.answer("db.shop").addresses == ("10.0.0.9",)
        assert [family for _, family, _ in house.server.asked] == ["A"]


@on_a_loop
async def test_an_alias_is_followed_and_told(tmp_path):
    async with a_house(tmp_path) as house:
        house.server.set("www.shop", alias="lb.shop", ttl=20)
        house.server.set("lb.shop", "10.0.0.1", ttl=300)

        await house.want("www.shop")

        answer = house.answer("www.shop")
        assert (answer.addresses, answer.canonical) == (("10.0.0.1",), "lb.shop")
        assert answer.expires - answer.looked_up == timedelta(seconds=20)


@on_a_loop
async def test_a_name_is_looked_up_again_after_its_ttl_and_not_before(tmp_path):
    async with a_house(tmp_path) as house:
        house.server.set("db.shop", "10.0.0.1", ttl=60)
        await house.want("db.shop")
        house.server.set("db.shop", "10.0.0.2", ttl=60)
        house.clock.advance(timedelta(seconds=59))
        assert house.server.questions("db.shop") == 2

        await house.look_up_again("db.shop", timedelta(seconds=8))

        assert house.answer("db.shop").addresses == ("10.0.0.2",)
        assert house.server.questions("db.shop") == 4


@pytest.mark.parametrize(("ttl", "seconds"), [(0, 5), (86400, 300)])
@on_a_loop
async def test_the_ttl_counts_only_between_floor_and_ceiling(tmp_path, ttl, seconds):
    async with a_house(tmp_path, floor=timedelta(seconds=5)) as house:
        house.server.set("db.shop", "10.0.0.1", ttl=ttl)
        await house.want("db.shop")
        house.clock.advance(timedelta(seconds=seconds - 0.1))
        assert house.server.questions("db.shop") == 2

        await house.look_up_again("db.shop", timedelta(seconds=seconds * 0.12))

        assert house.server.questions("db.shop") == 4


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("NXDOMAIN", "NXDOMAIN"),
        ("SERVFAIL", "SERVFAIL"),
        ("REFUSED", "REFUSED"),
        ("silent", "Timeout"),
        ("garbage", "Malformed"),
        ("lie", "Malformed"),
        ("", "NoAnswer"),
    ],
)
@on_a_loop
async def test_a_failed_lookup_keeps_the_last_known_addresses_and_says_why(tmp_path, fault, reason):
    async with a_house(tmp_path) as house:
        house.server.set("db.shop", "10.0.0.7")
        await house.want("db.shop")
        looked_up = house.answer("db.shop").looked_up
        house.server.set("db.shop", fault=fault)

        await house.look_up_again("db.shop", 2 * MINUTE)

        answer = house.answer("db.shop")
        assert (answer.addresses, answer.source, answer.error) == (("10.0.0.7",), "kept", reason)
        assert answer.looked_up == looked_up
        assert len(house.changes) == 1


@on_a_loop
async def test_a_name_that_was_never_known_has_no_addresses_and_a_reason(tmp_path):
    async with a_house(tmp_path) as house:
        await house.want("nowhere.shop", "a..b", "x" * 64 + ".shop")

        assert (house.answer("nowhere.shop").addresses, house.answer("nowhere.shop").error) == ((), "NXDOMAIN")
        assert house.answer("a..b").error == "BadName"
        assert house.answer("x" * 64 + ".shop").error == "BadName"
        assert house.changes == []


@on_a_loop
async def test_search_domains_are_never_tried(tmp_path):
    (tmp_path / "resolv.conf").write_text("search example.com\noptions ndots:5\n")
    async with a_house(tmp_path) as house:
        await house.want("db")

        assert {name for name, _, _ in house.server.asked} == {"db"}


@on_a_loop
async def test_an_international_name_is_asked_in_ascii(tmp_path):
    async with a_house(tmp_path) as house:
        house.server.set("xn--bcher-kva.shop", "10.0.0.1")

        await house.want("bücher.shop")

        assert house.answer("bücher.shop").addresses == ("10.0.0.1",)


@on_a_loop
async def test_failures_are_tried_again_ever_later(tmp_path):
    async with a_house(tmp_path) as house:
        await house.want("nowhere.shop")
        pauses = []
        for _ in range(8):
            timer = house.resolver._names[DnsName("nowhere.shop")].timer
            pauses.append((timer.due - house.clock.now()).total_seconds())
            await house.look_up_again("nowhere.shop", timer.due - house.clock.now())

        for pause, nominal in zip(pauses, (1, 2, 4, 8, 16, 32, 60, 60), strict=True):
            assert 0.8 * nominal <= pause <= 1.2 * nominal


@on_a_loop
async def test_the_mesh_says_how_long_the_pauses_become_and_shorter_ones_begin_at_once(tmp_path):
    async with a_house(tmp_path) as house:
        await house.want("nowhere.shop")
        entry = house.resolver._names[DnsName("nowhere.shop")]
        for _ in range(6):
            await house.look_up_again("nowhere.shop", entry.timer.due - house.clock.now())
        failures = entry.failures

        house.resolver.retry_within(timedelta(seconds=5))
        await house.until(lambda: entry.failures == failures + 1)
        sooner = entry.timer.due - house.clock.now()
        house.resolver.retry_within(timedelta(seconds=50))

        assert timedelta(seconds=4) <= sooner <= timedelta(seconds=6)
        assert entry.timer.due - house.clock.now() == sooner


@on_a_loop
async def test_a_name_that_answers_again_is_used_again(tmp_path):
    async with a_house(tmp_path) as house:
        house.server.set("db.shop", fault="SERVFAIL")
        await house.want("db.shop")
        house.server.set("db.shop", "10.0.0.1")

        await house.look_up_again("db.shop", timedelta(seconds=2))

        assert house.answer("db.shop").addresses == ("10.0.0.1",)
        assert house.answer("db.shop").error == ""
        assert len(house.changes) == 1


@on_a_loop
async def test_one_family_that_fails_keeps_its_own_addresses_beside_the_fresh_ones(tmp_path):
    async with a_house(tmp_path) as house:
        house.server.set("db.shop", "10.0.0.1", "fd00::1")
        await house.want("db.shop")
        house.server.set("db.shop", "10.0.0.2", aaaa_fault="SERVFAIL")

        await house.look_up_again("db.shop", 2 * MINUTE)

        answer = house.answer("db.shop")
        assert (answer.addresses, answer.error) == (("10.0.0.2", "fd00::1"), "SERVFAIL")


@on_a_loop
async def test_a_family_that_is_gone_is_dropped(tmp_path):
    async with a_house(tmp_path) as house:
        house.server.set("db.shop", "10.0.0.1", "fd00::1")
        await house.want("db.shop")
        house.server.set("db.shop", "10.0.0.1")

        await house.look_up_again("db.shop", 2 * MINUTE)

        assert house.answer("db.shop").addresses == ("10.0.0.1",)


@on_a_loop
async def test_a_family_that_no_server_knows_does_not_spoil_the_other(tmp_path):
    async with a_house(tmp_path) as house:
        house.server.set("db.shop", "10.0.0.1", aaaa_fault="silent")

        await house.want("db.shop")

        assert (house.answer("db.shop").addresses, house.answer("db.shop").error) == (("10.0.0.1",), "")


@on_a_loop
async def test_rotation_is_no_change_and_the_first_address_stays_first(tmp_path):
    async with a_house(tmp_path) as house:
        house.server.set("db.shop", "10.0.0.2", "10.0.0.1")
        await house.want("db.shop")
        house.server.set("db.shop", "10.0.0.1", "10.0.0.2")

        await house.look_up_again("db.shop", 2 * MINUTE)

        assert house.answer("db.shop").first == "10.0.0.2"
        assert len(house.changes) == 1


@on_a_loop
async def test_a_first_address_that_is_gone_gives_way_to_the_servers_first(tmp_path):
    async with a_house(tmp_path) as house:
        house.server.set("db.shop", "10.0.0.2", "10.0.0.1")
        await house.want("db.shop")
        house.server.set("db.shop", "10.0.0.5", "10.0.0.1")

        await house.look_up_again("db.shop", 2 * MINUTE)

        assert house.answer("db.shop").first == "10.0.0.5"


@on_a_loop
async def test_a_truncated_answer_is_asked_again_over_tcp(tmp_path):
    async with a_house(tmp_path) as house:
        addresses = [f"10.0.{high}.{low}" for high in range(4) for low in range(100)]
        house.server.set("big.shop", *addresses, fault="truncate")

        await house.want("big.shop")

        assert set(house.answer("big.shop").addresses) == set(addresses)
        assert "tcp" in {transport for _, _, transport in house.server.asked}


@on_a_loop
async def test_a_silent_nameserver_is_passed_over_and_asked_last_for_a_while(tmp_path):
    silent = DnsServer(silent=True)
    await silent.start()
    async with a_house(tmp_path) as house:
        house.server.set("db.shop", "10.0.0.1")
        house.server.set("web.shop", "10.0.0.2")
        both = Resolver(settings(tmp_path, silent.address, house.server.address), house.clock, lambda: None)
        both.want([DnsName("db.shop")])
        await both.settle([DnsName("db.shop")], MINUTE)
        asked = len(silent.asked)

        both.want([DnsName("db.shop"), DnsName("web.shop")])
        await both.settle([DnsName("web.shop")], MINUTE)

        assert both.answers()[DnsName("db.shop")].addresses == ("10.0.0.1",)
        assert both.answers()[DnsName("web.shop")].addresses == ("10.0.0.2",)
        assert len(silent.asked) == asked
        await both.close()
    await silent.stop()


@on_a_loop
async def test_another_nameserver_is_asked_when_the_first_one_fails(tmp_path):
    failing = DnsServer()
    await failing.start()
    failing.set("db.shop", fault="SERVFAIL")
    async with a_house(tmp_path) as house:
        house.server.set("db.shop", "10.0.0.1")
        both = Resolver(settings(tmp_path, failing.address, house.server.address), house.clock, lambda: None)
        both.want([DnsName("db.shop")])

        await both.settle([DnsName("db.shop")], MINUTE)

        assert both.answers()[DnsName("db.shop")].addresses == ("10.0.0.1",)
        await both.close()
    await failing.stop()


@on_a_loop
async def test_a_name_is_asked_once_however_often_it_is_wanted(tmp_path):
    async with a_house(tmp_path) as house:
        house.server.set("db.shop", "10.0.0.1")
        for _ in range(3):
            await house.want("db.shop")

        assert house.server.questions("db.shop") == 2


@on_a_loop
async def test_a_name_that_is_not_wanted_any_more_is_forgotten(tmp_path):
    async with a_house(tmp_path) as house:
        house.server.set("db.shop", "10.0.0.1")
        await house.want("db.shop")

        await house.want("web.shop")
        house.clock.advance(timedelta(hours=1))

        assert set(house.resolver.answers()) == {"web.shop"}
        assert house.server.questions("db.shop") == 2


@on_a_loop
async def test_settling_ends_at_its_deadline_and_with_names_that_are_dropped(tmp_path):
    async with a_house(tmp_path, timeouts=(MINUTE,)) as house:
        house.server.set("slow.shop", fault="silent")
        house.resolver.want([DnsName("slow.shop")])
        first = asyncio.create_task(house.resolver.settle([DnsName("slow.shop")], timedelta(seconds=1)))
        second = asyncio.create_task(house.resolver.settle([DnsName("slow.shop")], timedelta(hours=1)))
        await house.until(lambda: house.server.asked)

        house.clock.advance(timedelta(seconds=1))
        await first
        assert not second.done()
        house.resolver.want([])
        await second

        assert house.resolver.answers() == {}


@on_a_loop
async def test_names_that_answer_are_not_held_up_by_as_many_that_never_do(tmp_path):
    # Behind the second tries of the dead, which end in an hour, nobody who answers may have to wait.
    timeouts = (timedelta(seconds=1), timedelta(hours=1))
    async with a_house(tmp_path, queries=20, patient_queries=4, families=("A",), timeouts=timeouts) as house:
        good = [f"good{number}.shop" for number in range(30)]
        dead = [f"dead{number}.shop" for number in range(30)]
        for name in good:
            house.server.set(name, "10.0.0.1")
        for name in dead:
            house.server.set(name, fault="silent")
        house.resolver.want([DnsName(name) for name in good + dead])

        await house.settled(*good)

        assert not any(house.resolver._names[DnsName(name)].tried for name in dead)
        assert {house.answer(name).addresses for name in good} == {("10.0.0.1",)}


@on_a_loop
async def test_the_systems_clock_drives_it_too(tmp_path):
    server = DnsServer()
    await server.start()
    server.set("db.shop", "10.0.0.1", ttl=0)
    changed = asyncio.Event()
    resolver = Resolver(settings(tmp_path, server.address, floor=timedelta(0)), SystemClock(), changed.set)
    resolver.want([DnsName("db.shop")])
    async with asyncio.timeout(20):
        await changed.wait()
        changed.clear()

        server.set("db.shop", "10.0.0.2", ttl=0)
        await changed.wait()

    assert resolver.answers()[DnsName("db.shop")].addresses == ("10.0.0.2",)
    await resolver.close()
    await server.stop()


def test_a_moved_clock_calls_what_is_due_in_order():
    clock = FakeClock()
    called = []
    clock.call_later(timedelta(seconds=2), lambda: called.append("second"))
    clock.call_later(timedelta(seconds=1), lambda: called.append("first"))
    clock.call_later(timedelta(seconds=9), lambda: called.append("later"))

    clock.advance(timedelta(seconds=3))

    assert called == ["first", "second"]


def test_answers_on_disk_of_a_closed_resolver_are_whole(tmp_path: Path):
    async def once() -> None:
        async with a_house(tmp_path) as house:
            house.server.set("db.shop", "10.0.0.1")
            await house.want("db.shop")

    asyncio.run(once())

    assert [path.name for path in tmp_path.iterdir()] == ["answers.json"]
