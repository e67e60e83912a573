"""SRV names: the records and their targets are looked up, each once, and neither takes down what the other knows."""

from __future__ import annotations

from datetime import timedelta

import pytest

from meshd.names import DnsName
from meshd.plan import SrvTarget
from tests.resolve.house import a_house, on_a_loop

HTTP = "_http._tcp.shop"
HOUR = timedelta(hours=1)


def a_target(target: str, ip: str, *, port: int = 8080, weight: int = 10, priority: int = 0) -> SrvTarget:
    return SrvTarget(priority=priority, target=DnsName(target), ip=ip, port=port, weight=weight)


def serve(house, *records, **more):
    house.server.set(HTTP, srv=records, **more)


@on_a_loop
async def test_each_address_of_each_target_has_the_port_weight_and_priority_of_its_record(tmp_path):
    async with a_house(tmp_path) as house:
        serve(house, (0, 10, 8080, "a.shop"), (5, 1, 9090, "b.shop"), ttl=30)
        house.server.set("a.shop", "10.0.0.2", "10.0.0.1", ttl=300)
        house.server.set("b.shop", "fd00::1", ttl=300)

        await house.want(HTTP)

        answer = house.answer(HTTP)
        assert answer.targets == (
            a_target("a.shop", "10.0.0.1"),
            a_target("a.shop", "10.0.0.2"),
            a_target("b.shop", "fd00::1", port=9090, weight=1, priority=5),
        )
        assert answer.addresses == ("10.0.0.1", "10.0.0.2", "fd00::1")
        assert (answer.source, answer.error, answer.ttl) == ("srv", "", timedelta(seconds=30))
        assert set(house.resolver.answers()) == {HTTP}


@on_a_loop
async def test_a_target_is_looked_up_once_whoever_leads_to_it(tmp_path):
    async with a_house(tmp_path) as house:
        serve(house, (0, 1, 80, "a.shop"))
        house.server.set("_https._tcp.shop", srv=((0, 1, 443, "a.shop"),))
        house.server.set("a.shop", "10.0.0.1")

        await house.want(HTTP, "_https._tcp.shop", "a.shop")

        assert house.server.questions("a.shop") == 2  # A and AAAA
        assert house.answer("a.shop").addresses == ("10.0.0.1",)
        assert [house.answer(name).targets[0].port for name in (HTTP, "_https._tcp.shop")] == [80, 443]


@on_a_loop
async def test_a_target_that_moves_moves_the_service(tmp_path):
    async with a_house(tmp_path) as house:
        serve(house, (0, 10, 8080, "a.shop"), ttl=300)
        house.server.set("a.shop", "10.0.0.1", ttl=10)
        await house.want(HTTP)
        house.server.set("a.shop", "10.0.0.2", ttl=10)

        await house.look_up_again("a.shop", timedelta(seconds=12))

        assert house.answer(HTTP).targets == (a_target("a.shop", "10.0.0.2"),)
        assert house.server.questions(HTTP) == 1
        assert len(house.changes) == 2


@on_a_loop
async def test_another_port_or_weight_is_a_change(tmp_path):
    async with a_house(tmp_path) as house:
        serve(house, (0, 10, 8080, "a.shop"))
        house.server.set("a.shop", "10.0.0.1")
        await house.want(HTTP)
        serve(house, (0, 20, 8081, "a.shop"))

        await house.look_up_again(HTTP, timedelta(seconds=70))

        assert house.answer(HTTP).targets == (a_target("a.shop", "10.0.0.1", port=8081, weight=20),)
        assert len(house.changes) == 2


@on_a_loop
async def test_targets_that_are_not_led_to_any_more_are_forgotten(tmp_path):
    async with a_house(tmp_path) as house:
        serve(house, (0, 10, 8080, "a.shop"))
        house.server.set("a.shop", "10.0.0.1")
        house.server.set("b.shop", "10.0.0.2")
        await house.want(HTTP)
        serve(house, (0, 10, 8080, "b.shop"))
        await house.look_up_again(HTTP, timedelta(seconds=70))
        assert set(house.resolver._names) == {HTTP, "b.shop"}

        house.resolver.want([DnsName("b.shop")])
        assert set(house.resolver._names) == {"b.shop"}

        house.resolver.want([])
        assert house.resolver._names == {}


@on_a_loop
async def test_a_name_that_is_wanted_itself_survives_the_service_that_led_to_it(tmp_path):
    async with a_house(tmp_path) as house:
        serve(house, (0, 10, 8080, "a.shop"))
        house.server.set("a.shop", "10.0.0.1")
        await house.want(HTTP, "a.shop")

        await house.want("a.shop")

        assert set(house.resolver._names) == {"a.shop"}
        assert house.server.questions("a.shop") == 2


@pytest.mark.parametrize("fault", ["NXDOMAIN", "SERVFAIL", "silent", "garbage", "cut", ""])
@on_a_loop
async def test_records_that_cannot_be_looked_up_stay_and_their_targets_stay_fresh(tmp_path, fault):
    async with a_house(tmp_path) as house:
        serve(house, (0, 10, 8080, "a.shop"), ttl=5)
        house.server.set("a.shop", "10.0.0.1", ttl=60)
        await house.want(HTTP)
        began = house.answer(HTTP).looked_up
        house.server.set(HTTP, fault=fault)
        await house.look_up_again(HTTP, timedelta(seconds=6))
        house.server.set("a.shop", "10.0.0.2", ttl=60)

        await house.look_up_again("a.shop", timedelta(seconds=61))

        answer = house.answer(HTTP)
        assert (answer.addresses, answer.source, answer.looked_up) == (("10.0.0.2",), "kept", began)
        assert answer.error
        assert answer.culprit == ""


@on_a_loop
async def test_one_target_that_fails_keeps_its_own_addresses_and_is_named(tmp_path):
    async with a_house(tmp_path) as house:
        serve(house, (0, 10, 8080, "a.shop"), (0, 10, 8080, "b.shop"), ttl=300)
        house.server.set("a.shop", "10.0.0.1", ttl=10)
        house.server.set("b.shop", "10.0.0.2", ttl=300)
        await house.want(HTTP)
        house.server.set("a.shop", fault="NXDOMAIN")

        await house.look_up_again("a.shop", timedelta(seconds=12))

        answer = house.answer(HTTP)
        assert answer.addresses == ("10.0.0.1", "10.0.0.2")
        assert (answer.source, answer.error, answer.culprit) == ("srv", "NXDOMAIN", "a.shop")
        assert answer.failing_since is not None


@on_a_loop
async def test_what_was_known_stays_until_the_new_targets_are_known(tmp_path):
    async with a_house(tmp_path) as house:
        serve(house, (0, 10, 8080, "a.shop"), ttl=5)
        house.server.set("a.shop", "10.0.0.1")
        await house.want(HTTP)
        serve(house, (0, 10, 8080, "b.shop"), ttl=5)
        house.server.set("b.shop", "10.0.0.2", delay=0.1)
        house.clock.advance(timedelta(seconds=6))
        await house.until(lambda: house.server.questions("b.shop"))
        assert house.answer(HTTP).addresses == ("10.0.0.1",)

        await house.until(lambda: house.answer(HTTP).addresses == ("10.0.0.2",))

        assert (house.answer(HTTP).source, house.answer(HTTP).error) == ("srv", "")


@on_a_loop
async def test_new_targets_of_which_none_is_known_do_not_empty_the_service(tmp_path):
    async with a_house(tmp_path) as house:
        serve(house, (0, 10, 8080, "a.shop"), ttl=5)
        house.server.set("a.shop", "10.0.0.1")
        await house.want(HTTP)
        serve(house, (0, 10, 8080, "gone.shop"), ttl=5)

        await house.look_up_again(HTTP, timedelta(seconds=6))
        await house.until(lambda: house.answer(HTTP).error)

        answer = house.answer(HTTP)
        assert (answer.addresses, answer.source) == (("10.0.0.1",), "kept")
        assert (answer.error, answer.culprit) == ("NXDOMAIN", "gone.shop")


@on_a_loop
async def test_nobody_waits_for_a_dead_target_to_use_the_others(tmp_path):
    async with a_house(tmp_path, timeouts=(HOUR,)) as house:
        serve(house, (0, 10, 8080, "a.shop"), (0, 10, 8080, "dead.shop"))
        house.server.set("a.shop", "10.0.0.1")
        house.server.set("dead.shop", fault="silent")

        house.resolver.want([DnsName(HTTP)])
        await house.until(lambda: HTTP in house.resolver.answers())

        assert house.answer(HTTP).addresses == ("10.0.0.1",)
        assert house.answer(HTTP).error == ""


@on_a_loop
async def test_a_service_that_says_it_is_not_there_has_no_addresses(tmp_path):
    async with a_house(tmp_path) as house:
        serve(house, (0, 10, 8080, "a.shop"))
        house.server.set("a.shop", "10.0.0.1")
        await house.want(HTTP)
        serve(house, (0, 0, 0, ""))

        await house.look_up_again(HTTP, timedelta(seconds=70))

        answer = house.answer(HTTP)
        assert (answer.addresses, answer.targets, answer.error) == ((), (), "NoService")
        assert set(house.resolver._names) == {HTTP}


@on_a_loop
async def test_the_root_beside_others_leads_nowhere(tmp_path):
    async with a_house(tmp_path) as house:
        serve(house, (0, 0, 0, ""), (0, 10, 8080, "a.shop"))
        house.server.set("a.shop", "10.0.0.1")

        await house.want(HTTP)

        assert house.answer(HTTP).targets == (a_target("a.shop", "10.0.0.1"),)


@pytest.mark.parametrize("record", [(0, 1, 0, "a.shop"), (0, 1, 80, "_http._tcp.shop")])
@on_a_loop
async def test_a_record_that_leads_to_no_port_or_to_another_service_is_of_no_use(tmp_path, record):
    async with a_house(tmp_path) as house:
        serve(house, record)

        await house.want(HTTP)

        assert (house.answer(HTTP).addresses, house.answer(HTTP).error) == ((), "Malformed")


@on_a_loop
async def test_what_the_server_adds_is_used_while_the_target_cannot_be_looked_up_itself(tmp_path):
    async with a_house(tmp_path) as house:
        serve(house, (0, 10, 8080, "a.shop"), additional=True, ttl=5)
        house.server.set("a.shop", "10.0.0.1", "fd00::1", ttl=1)
        house.server.records["a.shop"].fault = "SERVFAIL"

        await house.want(HTTP)
        await house.until(lambda: house.resolver._names[DnsName("a.shop")].failures)
        assert house.answer(HTTP).addresses == ("10.0.0.1", "fd00::1")

        house.server.set("a.shop", "10.0.0.2", ttl=1, fault="SERVFAIL")
        await house.look_up_again(HTTP, timedelta(seconds=6))
        assert house.answer(HTTP).addresses == ("10.0.0.2",)


@on_a_loop
async def test_what_the_server_adds_does_not_count_against_what_the_target_itself_says(tmp_path):
    async with a_house(tmp_path) as house:
        house.server.set("bank.shop", "10.0.0.1")
        await house.want("bank.shop")
        serve(house, (0, 10, 8080, "bank.shop"), additional=True)
        house.server.set("bank.shop", "10.6.6.6")

        await house.want("bank.shop", HTTP)

        assert house.answer("bank.shop").addresses == ("10.0.0.1",)
        assert house.answer(HTTP).addresses == ("10.0.0.1",)


@on_a_loop
async def test_only_families_of_this_host_are_taken_from_what_is_added(tmp_path):
    async with a_house(tmp_path, families=("A",)) as house:
        serve(house, (0, 10, 8080, "a.shop"), additional=True)
        house.server.set("a.shop", "fd00::1", "10.0.0.1", delay=0.0)

        await house.want(HTTP)

        assert house.answer(HTTP).addresses == ("10.0.0.1",)


@on_a_loop
async def test_targets_in_the_hosts_file_are_where_it_says(tmp_path):
    (tmp_path / "hosts").write_text("10.1.1.1 a.shop\n")
    async with a_house(tmp_path) as house:
        serve(house, (0, 10, 8080, "a.shop"))

        await house.want(HTTP)

        assert house.answer(HTTP).targets == (a_target("a.shop", "10.1.1.1"),)
        assert house.server.questions("a.shop") == 0


@on_a_loop
async def test_a_restart_while_dns_is_away_keeps_ports_and_goes_on_with_the_targets(tmp_path):
    async with a_house(tmp_path) as house:
        serve(house, (0, 10, 8080, "a.shop"))
        house.server.set("a.shop", "10.0.0.1")
        await house.want(HTTP)
        before = house.answer(HTTP)

    async with a_house(tmp_path) as house:
        house.server.set(HTTP, fault="SERVFAIL")
        house.server.set("a.shop", "10.0.0.2")
        house.resolver.want([DnsName(HTTP)])
        at_once = house.answer(HTTP)
        await house.settled(HTTP)

        assert (at_once.targets, at_once.source) == (before.targets, "kept")
        assert house.answer(HTTP).targets == (a_target("a.shop", "10.0.0.2"),)
        assert house.answer(HTTP).error == "SERVFAIL"


@on_a_loop
async def test_who_wants_one_address_gets_the_heaviest_of_those_that_come_first_and_keeps_it(tmp_path):
    async with a_house(tmp_path) as house:
        serve(house, (0, 1, 80, "a.shop"), (0, 9, 80, "b.shop"), (1, 99, 80, "c.shop"), ttl=5)
        for name, ip in (("a.shop", "10.0.0.1"), ("b.shop", "10.0.0.2"), ("c.shop", "10.0.0.3")):
            house.server.set(name, ip)
        await house.want("a.shop", "b.shop", "c.shop")
        await house.want("a.shop", "b.shop", "c.shop", HTTP)
        assert house.answer(HTTP).first == "10.0.0.2"
        serve(house, (0, 9, 80, "a.shop"), (0, 1, 80, "b.shop"), (1, 99, 80, "c.shop"), ttl=5)

        await house.look_up_again(HTTP, timedelta(seconds=6))

        assert house.answer(HTTP).first == "10.0.0.2"


@on_a_loop
async def test_of_a_service_with_thousands_of_addresses_those_that_come_first_are_used(tmp_path):
    async with a_house(tmp_path, families=("A",), timeouts=(HOUR,)) as house:
        serve(house, *((priority, 1, 80, f"t{priority}.shop") for priority in range(4)))
        for priority in range(4):
            house.server.set(f"t{priority}.shop", *(f"10.{priority}.{n >> 8}.{n & 255}" for n in range(1, 401)))

        await house.want(HTTP)

        targets = house.answer(HTTP).targets
        assert len(targets) == 1024
        assert [sum(each.priority == priority for each in targets) for priority in range(4)] == [400, 400, 224, 0]
        assert len(house.answer(HTTP).addresses) == 1024
