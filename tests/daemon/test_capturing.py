"""What the daemon says of the capture, on hosts of their own with the real kernel; systemd is a stand-in."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from meshd.capture.nft import load, remove
from meshd.capture.served import Served, read
from meshd.capture.wanted import wanted_table
from meshd.config import load_config
from meshd.daemon.capturing import Capturing
from meshd.names import HostName, ListenerName
from meshd.plan import Listener, ProxyPlan, SocketBind, TcpChain
from meshd.systemd.units import Systemd
from tests.live.namespace import namespace
from tests.private_bus import FakeSystemd, answering, private_bus

CHAIN = TcpChain(destinations=(), stat_prefix="x")


def a_plan(port=15001, *, captures=True):
    listeners = (
        Listener(
            name=ListenerName("virtualOutbound"),
            bind=SocketBind(ip="0.0.0.0", port=port),
            chains=(CHAIN,),
            captures=True,
            hands_over=True,
        ),
        Listener(
            name=ListenerName("virtualInbound"),
            bind=SocketBind(ip="0.0.0.0", port=15006),
            chains=(CHAIN,),
            side="inbound",
            captures=True,
        ),
    )
    return ProxyPlan(proxy="sidecar", host=HostName("web-1"), listeners=listeners if captures else ())


@pytest.fixture
def config(tmp_path):
    file = tmp_path / "meshd.yaml"
    file.write_text(
        f"repository: {{url: /mesh.git}}\ncapture: nftables\nstateDirectory: {tmp_path}\n"
        "nftables: {agentUser: 64002, proxyUser: 64003}\n"
    )
    config, _ = load_config(file, "web-1")
    assert config is not None
    return config


class World:
    """`asked`: what systemd was asked for."""

    def __init__(self, room, systemd, address):
        self.room, self._systemd = room, systemd
        self.capturing = Capturing(Systemd(address))

    @property
    def asked(self):
        return self._systemd.asked

    def keep(self, config, *plans):
        if self.room.within(self.capturing.keep, config, plans):
            asyncio.run(self.capturing.reload())

    def told(self):
        captured = self.room.within(self.capturing.captured)
        return captured and (captured.status, captured.reason)

    def load(self, config, port=15001):
        table, _ = wanted_table(config, Served(proxy_listen_port=port))
        assert table is not None
        self.room.within(load, table)


@pytest.fixture
def world(short_tmp):
    systemd = FakeSystemd()
    with namespace() as room, private_bus(short_tmp) as bus, answering(systemd, bus.address):
        yield World(room, systemd, bus.address)


RELOAD = "reload meshd-capture.service fail"


def test_the_capture_is_told_the_ports_by_a_file_that_everybody_may_read(world, config, tmp_path):
    world.keep(config, a_plan(port=16001))

    assert read(tmp_path / "capture.json") == Served(proxy_listen_port=16001)
    assert (tmp_path / "capture.json").stat().st_mode & 0o777 == 0o644


def test_the_file_is_left_alone_while_it_says_the_same(world, config, tmp_path):
    world.keep(config, a_plan())
    before = (tmp_path / "capture.json").stat().st_ino

    world.keep(config, a_plan())

    assert (tmp_path / "capture.json").stat().st_ino == before


def test_a_host_without_sidecar_says_so(world, config, tmp_path):
    world.keep(config)

    assert json.loads((tmp_path / "capture.json").read_text()) == {"format": 1, "sidecar": None}
    assert world.told() is None
    assert world.asked == []


def test_nothing_is_said_before_anything_is_known(world):
    assert world.told() is None


def test_a_table_that_is_loaded_as_configured_is_well(world, config):
    world.load(config)

    world.keep(config, a_plan())

    assert world.told() == ("True", "Redirected")
    assert world.asked == []


def test_a_table_that_is_not_loaded_is_told_and_its_unit_asked_to_load_it(world, config):
    """systemd does so where the unit is active, as after a flush of all tables, and else nothing."""
    world.keep(config, a_plan())

    assert world.told() == ("False", "NotLoaded")
    assert world.asked == [RELOAD]


def test_a_flush_is_noticed_without_a_pass(world, config):
    world.load(config)
    world.keep(config, a_plan())
    world.room.within(remove)

    assert world.told() == ("False", "NotLoaded")


def test_the_table_follows_the_ports_of_the_mesh(world, config):
    world.load(config)
    world.keep(config, a_plan(port=16001))
    assert world.told() == ("False", "Outdated")
    assert world.asked == [RELOAD]

    world.load(config, port=16001)

    assert world.told() == ("True", "Redirected")


def test_a_table_that_nobody_serves_any_more_is_told_and_taken_away(world, config):
    world.load(config)

    world.keep(replace(config, capture="none"), a_plan(captures=False))

    assert world.told() == ("False", "Unwanted")
    assert world.asked == [RELOAD]


def test_where_meshd_runs_the_proxies_itself_the_operator_is_told_the_command(world, config):
    child = replace(config, envoy=replace(config.envoy, supervisor="child"))

    world.keep(child, a_plan())

    captured = world.room.within(world.capturing.captured)
    assert captured.message.endswith("as root: meshd capture apply")
    assert world.asked == []


def test_a_user_who_is_not_known_is_told(world, config):
    world.keep(replace(config, nftables=replace(config.nftables, proxy_user="envoi")), a_plan())

    assert world.told() == ("Unknown", "OwnerUnknown")


def test_a_host_without_systemd_is_no_failure(config, tmp_path):
    with namespace() as room:
        capturing = Capturing(Systemd(f"unix:path={tmp_path}/nobody"))
        assert room.within(capturing.keep, config, [a_plan()])
        asyncio.run(capturing.reload())

        assert room.within(capturing.captured).reason == "NotLoaded"


def test_a_state_directory_that_cannot_be_written_is_logged(world, config, capsys):
    world.keep(replace(config, state_directory="/proc"), a_plan())

    assert "capture.not_noted" in capsys.readouterr().out
