"""How long what is known stays in use while nothing can be looked up: for ever, or as long as the operator says."""

from __future__ import annotations

from datetime import timedelta

from structlog.testing import capture_logs

from meshd.names import DnsName
from tests.resolve.house import a_house, on_a_loop

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
HTTP = "_http._tcp.shop"


@on_a_loop
async def test_a_nameserver_that_is_dead_for_a_day_changes_no_address(tmp_path):
    async with a_house(tmp_path, timeouts=(timedelta(milliseconds=20),)) as house:
        house.server.set("db.shop", "10.0.0.1", ttl=1)
        await house.want("db.shop")
        got = house.answer("db.shop").looked_up
        house.server.silent = True
        for _ in range(24):
            await house.look_up_again("db.shop", HOUR)

        answer = house.answer("db.shop")
        assert (answer.addresses, answer.source, answer.error) == (("10.0.0.1",), "kept", "Timeout")
        assert house.clock.now() - got == DAY
        assert answer.looked_up == got
        assert answer.failing_since - got <= timedelta(hours=2)
        assert len(house.changes) == 1

        house.server.silent = False
        house.server.set("db.shop", "10.0.0.2")
        await house.look_up_again("db.shop", HOUR)
        assert (house.answer("db.shop").addresses, house.answer("db.shop").failing_since) == (("10.0.0.2",), None)


@on_a_loop
async def test_when_failures_began_is_told_whatever_their_reasons_were(tmp_path):
    async with a_house(tmp_path) as house:
        house.server.set("db.shop", "10.0.0.1", ttl=1)
        await house.want("db.shop")
        house.server.set("db.shop", fault="SERVFAIL")
        await house.look_up_again("db.shop", HOUR)
        began = house.clock.now()
        house.server.set("db.shop", fault="NXDOMAIN")

        await house.look_up_again("db.shop", HOUR)

        assert (house.answer("db.shop").error, house.answer("db.shop").failing_since) == ("NXDOMAIN", began)


@on_a_loop
async def test_what_is_older_than_the_operator_wants_is_dropped_loudly(tmp_path):
    async with a_house(tmp_path, max_staleness=HOUR) as house:
        house.server.set("db.shop", "10.0.0.1", ttl=1)
        await house.want("db.shop")
        got = house.answer("db.shop").looked_up
        house.server.set("db.shop", fault="SERVFAIL")
        await house.look_up_again("db.shop", HOUR - timedelta(minutes=1))
        assert house.answer("db.shop").addresses == ("10.0.0.1",)

        with capture_logs() as said:
            house.clock.advance(timedelta(minutes=2))
            await house.until(lambda: house.answer("db.shop").source == "expired")

        answer = house.answer("db.shop")
        assert (answer.addresses, answer.error, answer.looked_up) == ((), "SERVFAIL", got)
        assert [(event["event"], event["name"], event["log_level"]) for event in said] == [
            ("answer.expired", "db.shop", "error")
        ]


@on_a_loop
async def test_what_expired_stays_so_until_it_is_looked_up_again(tmp_path):
    async with a_house(tmp_path, max_staleness=HOUR) as house:
        house.server.set("db.shop", "10.0.0.1", ttl=1)
        await house.want("db.shop")
        house.server.set("db.shop", fault="SERVFAIL")
        await house.look_up_again("db.shop", 2 * HOUR)
        await house.look_up_again("db.shop", HOUR)
        assert (house.answer("db.shop").source, house.answer("db.shop").addresses) == ("expired", ())

        house.server.set("db.shop", "10.0.0.1")
        await house.look_up_again("db.shop", HOUR)

        assert (house.answer("db.shop").source, house.answer("db.shop").addresses) == ("dns", ("10.0.0.1",))


@on_a_loop
async def test_a_fresh_answer_is_good_for_its_ttl_however_short_the_limit(tmp_path):
    async with a_house(tmp_path, max_staleness=timedelta(seconds=10)) as house:
        house.server.set("db.shop", "10.0.0.1", ttl=300)
        await house.want("db.shop")

        house.clock.advance(timedelta(seconds=200))

        assert house.answer("db.shop").addresses == ("10.0.0.1",)


@on_a_loop
async def test_addresses_of_an_earlier_run_that_are_too_old_are_not_used_at_all(tmp_path):
    async with a_house(tmp_path) as house:
        house.server.set("db.shop", "10.0.0.1")
        house.server.set(HTTP, srv=((0, 1, 80, "db.shop"),))
        await house.want("db.shop", HTTP)

    async with a_house(tmp_path, max_staleness=HOUR) as house:
        house.clock.advance(DAY)
        house.server.silent = True
        house.resolver.want([DnsName("db.shop"), DnsName(HTTP)])

        assert {house.answer(name).source for name in ("db.shop", HTTP)} == {"expired"}
        assert house.answer(HTTP).targets == ()


@on_a_loop
async def test_a_family_that_fails_for_too_long_is_dropped_beside_the_fresh_one(tmp_path):
    async with a_house(tmp_path, max_staleness=HOUR) as house:
        house.server.set("db.shop", "10.0.0.1", "fd00::1", ttl=1)
        await house.want("db.shop")
        house.server.set("db.shop", "10.0.0.1", aaaa_fault="SERVFAIL", ttl=1)
        await house.look_up_again("db.shop", timedelta(minutes=1))
        assert house.answer("db.shop").addresses == ("10.0.0.1", "fd00::1")

        await house.look_up_again("db.shop", 2 * HOUR)

        assert house.answer("db.shop").addresses == ("10.0.0.1",)


@on_a_loop
async def test_records_that_are_too_old_lead_nowhere_though_their_targets_are_fresh(tmp_path):
    async with a_house(tmp_path, max_staleness=HOUR) as house:
        house.server.set(HTTP, srv=((0, 1, 80, "a.shop"),), ttl=1)
        house.server.set("a.shop", "10.0.0.1", ttl=1)
        await house.want(HTTP)
        house.server.set(HTTP, fault="SERVFAIL")
        await house.look_up_again(HTTP, timedelta(minutes=1))

        await house.look_up_again(HTTP, 2 * HOUR)

        answer = house.answer(HTTP)
        assert (answer.addresses, answer.source, answer.error) == ((), "expired", "SERVFAIL")
        assert set(house.resolver._names) == {HTTP}


@on_a_loop
async def test_a_target_that_fails_for_too_long_is_dropped_and_the_others_stay(tmp_path):
    async with a_house(tmp_path, max_staleness=HOUR) as house:
        house.server.set(HTTP, srv=((0, 1, 80, "a.shop"), (0, 1, 80, "b.shop")), ttl=1)
        for name, ip in (("a.shop", "10.0.0.1"), ("b.shop", "10.0.0.2")):
            house.server.set(name, ip, ttl=1)
        await house.want(HTTP)
        house.server.set("a.shop", fault="SERVFAIL")
        await house.look_up_again("a.shop", timedelta(minutes=1))
        assert house.answer(HTTP).addresses == ("10.0.0.1", "10.0.0.2")

        await house.look_up_again("a.shop", 2 * HOUR)
        await house.until(lambda: house.answer(HTTP).addresses == ("10.0.0.2",))

        assert (house.answer(HTTP).error, house.answer(HTTP).culprit) == ("SERVFAIL", "a.shop")


@on_a_loop
async def test_a_service_whose_only_target_is_too_old_has_no_addresses(tmp_path):
    async with a_house(tmp_path, max_staleness=HOUR) as house:
        house.server.set(HTTP, srv=((0, 1, 80, "a.shop"),), ttl=1)
        house.server.set("a.shop", "10.0.0.1", ttl=1)
        await house.want(HTTP)
        house.server.set("a.shop", fault="SERVFAIL")
        await house.look_up_again("a.shop", timedelta(minutes=1))

        await house.look_up_again("a.shop", 2 * HOUR)

        house.clock.advance(timedelta(seconds=5))

        assert (house.answer(HTTP).addresses, house.answer(HTTP).source) == ((), "expired")
