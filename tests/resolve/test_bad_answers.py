"""Nameservers that lie, stutter, shout or are not there: no look-up ends wrongly, and none takes the resolver along."""

from __future__ import annotations

from datetime import timedelta

import pytest

from meshd.names import DnsName
from meshd.resolve.reading import MOST_ADDRESSES, MOST_TARGETS
from meshd.resolve.resolver import Resolver
from tests.dns_server import DnsServer
from tests.ports import free_port
from tests.resolve.house import a_house, on_a_loop, settings

MINUTE = timedelta(minutes=1)


@on_a_loop
async def test_an_answer_that_somebody_forged_is_passed_over_for_the_right_one(tmp_path):
    async with a_house(tmp_path) as house:
        house.server.set("db.shop", "10.0.0.1", fault="forged")

        await house.want("db.shop")

        assert (house.answer("db.shop").addresses, house.answer("db.shop").error) == (("10.0.0.1",), "")


@pytest.mark.parametrize("fault", ["garbage", "lie", "cut", "loop"])
@on_a_loop
async def test_what_is_no_answer_is_told_as_such_and_another_nameserver_is_asked(tmp_path, fault):
    faulty = DnsServer()
    await faulty.start()
    faulty.set("db.shop", "10.6.6.6", fault=fault)
    async with a_house(tmp_path) as house:
        house.server.set("db.shop", "10.0.0.1")
        alone = Resolver(settings(tmp_path, faulty.address), house.clock, lambda: None)
        both = Resolver(settings(tmp_path, faulty.address, house.server.address), house.clock, lambda: None)
        for resolver in (alone, both):
            resolver.want([DnsName("db.shop")])
            await resolver.settle([DnsName("db.shop")], MINUTE)

        assert alone.answers()[DnsName("db.shop")].error == "Malformed"
        assert both.answers()[DnsName("db.shop")].addresses == ("10.0.0.1",)
        await alone.close()
        await both.close()
    await faulty.stop()


@on_a_loop
async def test_where_nobody_listens_is_told_at_once_and_apart_from_silence(tmp_path):
    async with a_house(tmp_path) as house:
        nobody = f"127.0.0.1:{free_port()}"
        patient = settings(tmp_path, nobody, timeouts=(timedelta(hours=1),))
        resolver = Resolver(patient, house.clock, lambda: None)
        resolver.want([DnsName("db.shop")])

        await resolver.settle([DnsName("db.shop")], MINUTE)

        assert resolver.answers()[DnsName("db.shop")].error == "Unreachable"
        await resolver.close()


@on_a_loop
async def test_of_several_nameservers_that_fail_the_reason_that_tells_most_is_told(tmp_path):
    silent = DnsServer(silent=True)
    await silent.start()
    async with a_house(tmp_path) as house:
        house.server.set("db.shop", fault="REFUSED")
        resolver = Resolver(settings(tmp_path, house.server.address, silent.address), house.clock, lambda: None)
        resolver.want([DnsName("db.shop")])

        await resolver.settle([DnsName("db.shop")], MINUTE)

        assert resolver.answers()[DnsName("db.shop")].error == "REFUSED"
        await resolver.close()
    await silent.stop()


@on_a_loop
async def test_a_truncated_answer_whose_rest_cannot_be_had_is_none(tmp_path):
    async with a_house(tmp_path) as house:
        house.server.set("db.shop", "10.0.0.1")
        await house.want("db.shop")
        house.server.set("db.shop", "10.0.0.2", fault="no-tcp")

        await house.look_up_again("db.shop", 2 * MINUTE)

        assert (house.answer("db.shop").addresses, house.answer("db.shop").error) == (("10.0.0.1",), "Malformed")


@pytest.mark.parametrize("address", ["0.0.0.0", "224.0.0.1", "255.255.255.255"])
@on_a_loop
async def test_an_address_that_no_host_has_is_none(tmp_path, address):
    async with a_house(tmp_path) as house:
        house.server.set("blocked.shop", address)
        house.server.set("db.shop", "10.0.0.1", address, "::")

        await house.want("blocked.shop", "db.shop")

        assert (house.answer("blocked.shop").addresses, house.answer("blocked.shop").error) == ((), "Malformed")
        assert house.answer("db.shop").addresses == ("10.0.0.1",)


@on_a_loop
async def test_of_far_too_many_addresses_always_the_same_are_used(tmp_path):
    async with a_house(tmp_path, timeouts=(MINUTE,)) as house:
        many = [f"10.{high}.{low}.1" for high in range(8) for low in range(250)]
        house.server.set("huge.shop", *many, fault="truncate")
        await house.want("huge.shop")
        first = house.answer("huge.shop").addresses
        house.server.set("huge.shop", *reversed(many), fault="truncate")

        await house.look_up_again("huge.shop", 2 * MINUTE)

        assert len(first) == MOST_ADDRESSES
        assert house.answer("huge.shop").addresses == first
        assert len(house.changes) == 1


@on_a_loop
async def test_of_far_too_many_targets_the_rest_is_not_looked_up(tmp_path):
    async with a_house(tmp_path, timeouts=(MINUTE,)) as house:
        records = tuple((number, 1, 80, f"t{number}.shop") for number in range(MOST_TARGETS + 50))
        house.server.set("_http._tcp.shop", srv=records, fault="truncate")
        house.server.set("t0.shop", "10.0.0.1")

        await house.want("_http._tcp.shop")

        assert len(house.resolver._names) == MOST_TARGETS + 1
        assert house.answer("_http._tcp.shop").addresses == ("10.0.0.1",)


@on_a_loop
async def test_a_nameserver_may_have_an_ipv6_address(tmp_path):
    async with a_house(tmp_path) as house:
        resolver = Resolver(settings(tmp_path, f"[::1]:{free_port()}"), house.clock, lambda: None)
        resolver.want([DnsName("db.shop")])

        await resolver.settle([DnsName("db.shop")], MINUTE)

        assert resolver.answers()[DnsName("db.shop")].error == "Unreachable"
        await resolver.close()
