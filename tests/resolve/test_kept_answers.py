"""Over a restart the last known addresses stay, with their age; a damaged file costs nothing but them."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from meshd.names import DnsName
from meshd.resolve.resolver import Resolver
from tests.resolve.house import a_house, on_a_loop


@on_a_loop
async def test_a_restart_while_dns_is_away_keeps_the_addresses_and_their_age(tmp_path):
    async with a_house(tmp_path) as house:
        house.server.set("db.shop", "10.0.0.2", "10.0.0.1")
        await house.want("db.shop")
        before = house.answer("db.shop")

    async with a_house(tmp_path) as house:
        house.clock.advance(timedelta(hours=3))
        house.server.set("db.shop", fault="SERVFAIL")
        house.resolver.want([DnsName("db.shop")])
        at_once = house.answer("db.shop")
        await house.settled("db.shop")
        later = house.answer("db.shop")

    assert (at_once.addresses, at_once.first, at_once.source) == (before.addresses, "10.0.0.2", "kept")
    assert (later.addresses, later.source, later.error) == (before.addresses, "kept", "SERVFAIL")
    assert later.looked_up == before.looked_up
    assert len(house.changes) == 1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"format": 2, "answers": {}}',
        b'{"format": 1, "answers": {"db.shop": {}}}',
        b'{"format": 1, "answers": {"db.shop": {"addresses": "10.0.0.1"}}}',
    ],
)
@on_a_loop
async def test_a_file_that_is_damaged_or_of_another_format_holds_nothing(tmp_path, content):
    (tmp_path / "answers.json").write_bytes(content)

    async with a_house(tmp_path) as house:
        house.resolver.want([DnsName("db.shop")])

        assert house.resolver.answers() == {}


@on_a_loop
async def test_fresh_addresses_reach_the_disk_within_seconds(tmp_path):
    async with a_house(tmp_path) as house:
        house.server.set("db.shop", "10.0.0.1")
        await house.want("db.shop", "nowhere.shop")

        house.clock.advance(timedelta(seconds=5))
        await house.until(house.settings.answers_file.exists)

        written = json.loads(house.settings.answers_file.read_bytes())
        assert list(written["answers"]) == ["db.shop"]


@on_a_loop
async def test_addresses_that_cannot_be_saved_now_are_saved_when_the_disk_is_back(tmp_path):
    file = tmp_path / "state" / "answers.json"
    async with a_house(tmp_path, answers_file=file) as house:
        house.server.set("db.shop", "10.0.0.1")
        await house.want("db.shop")
        house.clock.advance(timedelta(seconds=5))
        await house.resolver._keeping.idle()
        file.parent.mkdir()

        house.clock.advance(timedelta(seconds=30))
        await house.until(file.exists)

        assert house.answer("db.shop").addresses == ("10.0.0.1",)


@on_a_loop
async def test_a_name_that_has_another_address_each_second_does_not_wear_out_the_disk(tmp_path):
    """10 000 names are 3 MB, and of many a load balancer tells others at each look-up."""
    file, written = tmp_path / "answers.json", []
    async with a_house(tmp_path, answers_file=file) as house:
        house.server.set("db.shop", "10.0.0.0", ttl=1)
        await house.want("db.shop")
        for second in range(1, 60):
            house.server.set("db.shop", f"10.0.0.{second}", ttl=1)
            await house.look_up_again("db.shop", after=timedelta(seconds=1.2))
            await house.resolver._keeping.idle()
            if file.exists() and file.read_bytes() not in written:
                written.append(file.read_bytes())

    assert 2 <= len(written) <= 4  # in 70 s of the clock
    assert b"10.0.0.59" in file.read_bytes()


@on_a_loop
async def test_without_a_file_nothing_is_kept(tmp_path):
    async with a_house(tmp_path, answers_file=None) as house:
        house.server.set("db.shop", "10.0.0.1")
        await house.want("db.shop")
        house.clock.advance(timedelta(minutes=2))
        other = Resolver(house.settings, house.clock, lambda: None)

        assert other.answers() == {}
        assert list(tmp_path.iterdir()) == []
        await other.close()
