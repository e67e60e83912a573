"""What the host itself says goes first: /etc/hosts and /etc/resolv.conf, also when they change."""

from __future__ import annotations

from datetime import timedelta

import pytest

from meshd.names import DnsName
from meshd.resolve.local import LocalFile, hosts, nameservers
from meshd.resolve.nameservers import Nameserver, Nameservers, nameserver
from meshd.resolve.settings import families_of_this_host
from tests.resolve.house import FakeClock, a_house, on_a_loop

UPKEEP = timedelta(seconds=5)


@on_a_loop
async def test_hosts_goes_before_dns(tmp_path):
    (tmp_path / "hosts").write_text("10.1.1.1 DB.shop db # ours\n10.1.1.2 db.shop\n")
    async with a_house(tmp_path) as house:
        house.server.set("db.shop", "10.0.0.1")

        await house.want("db.shop")

        answer = house.answer("db.shop")
        assert (answer.addresses, answer.source) == (("10.1.1.1", "10.1.1.2"), "hosts")
        assert house.server.asked == []


@on_a_loop
async def test_a_line_in_hosts_counts_soon_after_it_is_written_and_until_it_is_gone(tmp_path):
    async with a_house(tmp_path) as house:
        house.server.set("db.shop", "10.0.0.1")
        await house.want("db.shop")

        (tmp_path / "hosts").write_text("10.1.1.1 db.shop\n")
        house.clock.advance(UPKEEP)
        assert house.answer("db.shop").addresses == ("10.1.1.1",)

        (tmp_path / "hosts").unlink()
        await house.look_up_again("db.shop", UPKEEP)
        assert house.answer("db.shop").addresses == ("10.0.0.1",)


@on_a_loop
async def test_a_line_in_hosts_that_comes_while_the_name_is_looked_up_goes_first(tmp_path):
    async with a_house(tmp_path) as house:
        house.server.set("db.shop", "10.0.0.1", delay=0.05)
        house.resolver.want([DnsName("db.shop")])
        await house.until(lambda: house.server.asked)

        (tmp_path / "hosts").write_text("10.1.1.1 db.shop\n")
        house.clock.advance(UPKEEP)
        await house.until(house.resolver._names[DnsName("db.shop")].task.done)

        assert house.answer("db.shop").addresses == ("10.1.1.1",)


@on_a_loop
async def test_an_address_in_hosts_of_a_family_that_is_not_asked_for_does_not_hide_dns(tmp_path):
    (tmp_path / "hosts").write_text("fd00::5 db.shop\n")
    async with a_house(tmp_path, families=("A",)) as house:
        house.server.set("db.shop", "10.0.0.1")

        await house.want("db.shop")

        assert house.answer("db.shop").addresses == ("10.0.0.1",)


@on_a_loop
async def test_nameservers_of_the_host_are_read_again_when_they_change(tmp_path):
    async with a_house(tmp_path, nameservers=()) as house:
        (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.2\n")
        house.clock.advance(UPKEEP)

        assert house.resolver._lookup.nameservers.in_order() == (Nameserver("127.0.0.2"),)


@on_a_loop
async def test_names_that_failed_are_looked_up_at_once_with_new_nameservers(tmp_path):
    # Nothing listens at these two; the point is when they are asked.
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.2\n")
    async with a_house(tmp_path, nameservers=(), timeouts=(timedelta(milliseconds=50),)) as house:
        await house.want("db.shop")
        entry = house.resolver._names[DnsName("db.shop")]
        entry.timer.cancel()

        (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.3\n")
        house.clock.advance(UPKEEP)
        await house.until(lambda: entry.failures == 2)

        assert house.answer("db.shop").error == "Unreachable"


def test_a_nameserver_that_answers_others_keeps_its_place_when_one_name_has_no_answer():
    clock = FakeClock()
    servers = Nameservers(("10.0.0.2", "10.0.0.3"), clock)
    first, second = servers.in_order()
    servers.answered(first)

    servers.was_silent(first)
    assert servers.in_order() == (first, second)

    clock.advance(timedelta(seconds=6))
    servers.was_silent(first)
    assert servers.in_order() == (second, first)

    clock.advance(timedelta(seconds=31))
    assert servers.in_order() == (first, second)


def test_a_hosts_file_is_read_as_libc_does(tmp_path):
    file = tmp_path / "hosts"
    file.write_text("# a comment\n127.0.0.1 localhost\n::1 localhost ip6-localhost\nbroken line\n10.0.0.1\n")

    assert hosts(LocalFile(file)) == {"localhost": ("127.0.0.1", "::1"), "ip6-localhost": ("::1",)}


def test_the_nameserver_of_this_machine_is_asked_when_none_is_named(tmp_path):
    assert nameservers(LocalFile(tmp_path / "absent")) == ("127.0.0.1",)


def test_nameservers_are_read_from_resolv_conf(tmp_path):
    file = tmp_path / "resolv.conf"
    file.write_text("search a b\nnameserver 10.0.0.2\nnameserver nonsense\nnameserver fd00::2 # v6\nnameserver\n")

    assert nameservers(LocalFile(file)) == ("10.0.0.2", "fd00::2")


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("10.0.0.2", Nameserver("10.0.0.2", 53)),
        ("10.0.0.2:5353", Nameserver("10.0.0.2", 5353)),
        ("fd00::2", Nameserver("fd00::2", 53)),
        ("[fd00::2]", Nameserver("fd00::2", 53)),
        ("[fd00::2]:5353", Nameserver("fd00::2", 5353)),
    ],
)
def test_a_nameserver_is_an_address_perhaps_with_a_port(text, server):
    assert nameserver(text) == server


@pytest.mark.parametrize("text", ["dns.example.com", "10.0.0.2:0", "10.0.0.2:x", "10.0.0.2:70000", "", "[::1]x"])
def test_what_is_no_nameserver_is_refused(text):
    with pytest.raises(ValueError):
        nameserver(text)


def test_ipv4_is_always_a_family_of_this_host():
    assert families_of_this_host()[0] == "A"
