"""Proxies as units. The stand-in for systemd does what the units say, with the real Envoy."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from dbus_fast import Variant

from meshd.proxies.error import ProxyError
from meshd.proxies.launch import EnvoySettings
from meshd.proxies.paths import ProxyPaths
from meshd.proxies.stop import stop
from meshd.proxies.supervisor import Event
from meshd.proxies.systemd_supervisor import SystemdSupervisor
from meshd.systemd.units import Systemd
from tests.private_bus import FakeSystemd, answering, private_bus

from .conftest import envoys, fetch, listening, running_pid, static_bootstrap, until

UNIT = "meshd-envoy@sidecar.service"
COMMANDS = """#!{python}
import os
import sys
from datetime import timedelta
from pathlib import Path
from meshd.proxies.error import HotRestartError
from meshd.proxies.hot_restart import reload_unit
from meshd.proxies.launch import EnvoySettings, choose, start
from meshd.proxies.paths import ProxyPaths
from meshd.proxies.stop import stop

verb = sys.argv[1]
paths = ProxyPaths(proxy="sidecar", state=Path({state!r}), runtime=Path({runtime!r}))
settings = EnvoySettings(binary=Path({binary!r}), parent_shutdown=timedelta(seconds=2), concurrency=1)
if verb in ("stop", "restart"):
    stop(paths, timedelta())
if verb in ("start", "restart"):
    start(paths, settings, choose(paths))
if verb == "reload":
    said = os.dup(2)
    os.dup2(os.open(paths.log, os.O_WRONLY | os.O_APPEND), 2)  # the unit's journal
    try:
        reload_unit(paths, settings)
    except HotRestartError as error:
        os.write(said, str(error).encode())
        sys.exit(1)
"""


@dataclass
class Units:
    """One unit. `commands` are those that it names."""

    commands: Path
    settings: EnvoySettings
    systemd: FakeSystemd
    address: str
    events: list[Event] = field(default_factory=list)

    def supervisor(self) -> SystemdSupervisor:
        return SystemdSupervisor(self.settings, self.events.append, Systemd(self.address))

    def do(self, verb: str, _unit: str = UNIT) -> str:
        done = subprocess.run([self.commands, verb], check=False, capture_output=True, text=True)
        self.systemd.states[UNIT] = "inactive" if verb == "stop" else "active"
        if done.returncode == 0:
            return "done"
        self.systemd.service = {
            "ReloadResult": Variant("s", "exit-code"),
            "ExecReload": Variant("a(sasbttttuii)", [["", [], False, 0, 0, 0, 0, 0, 1, done.returncode]]),
            "StatusText": Variant("s", done.stderr),
        }
        return "failed"

    def asked(self) -> list[str]:
        assert {each.partition(" ")[2] for each in self.systemd.asked} <= {f"{UNIT} replace"}
        return [each.split()[0] for each in self.systemd.asked]

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]


@pytest.fixture
def units(short_tmp: Path, paths: ProxyPaths, settings: EnvoySettings) -> Iterator[Units]:
    commands = short_tmp / "commands"
    places = {"state": paths.state, "runtime": paths.runtime, "binary": settings.binary}
    commands.write_text(COMMANDS.format(python=sys.executable, **{name: str(place) for name, place in places.items()}))
    commands.chmod(0o755)
    systemd = FakeSystemd()
    with private_bus(short_tmp) as bus, answering(systemd, bus.address):
        units = Units(commands, settings, systemd, bus.address)
        systemd.work = units.do
        yield units


@pytest.mark.envoy
def test_a_unit_is_started_reloaded_and_stopped_only_when_something_must_change(
    paths: ProxyPaths, port: int, units: Units
) -> None:
    async def story() -> None:
        supervisor = units.supervisor()
        with listening(paths.xds_socket):
            await supervisor.ensure(paths, static_bootstrap(paths, port, "one"))
            await supervisor.ensure(paths, static_bootstrap(paths, port, "one"))
            assert units.asked() == ["start"]
            await supervisor.ensure(paths, static_bootstrap(paths, port, "two"))
            (state,) = await supervisor.states()
            assert (state.state, state.epoch, state.pid) == ("LIVE", 1, running_pid(paths))
            await supervisor.stop(leave_running=True)
            assert await fetch(port) in {"one", "two"}

            second = units.supervisor()
            await second.ensure(paths, static_bootstrap(paths, port, "two"))
            assert units.asked() == ["start", "reload"]
            await second.stop(leave_running=False)

    asyncio.run(story())

    assert units.asked() == ["start", "reload", "stop"]
    assert units.kinds() == ["started", "handed-over", "adopted", "stopped"]
    assert envoys(paths) == []


@pytest.mark.envoy
def test_a_bootstrap_that_does_not_come_up_is_taken_back_and_not_tried_again(
    paths: ProxyPaths, port: int, units: Units
) -> None:
    async def story() -> None:
        supervisor = units.supervisor()
        good = static_bootstrap(paths, port, "one")
        with listening(paths.xds_socket), socket.create_server(("127.0.0.1", 0)) as taken:
            bad = static_bootstrap(paths, taken.getsockname()[1], "two")
            await supervisor.ensure(paths, good)
            with pytest.raises(ProxyError, match="did not become LIVE"):
                await supervisor.ensure(paths, bad)
            assert paths.bootstrap.read_bytes() == good
            with pytest.raises(ProxyError, match="in force again"):
                await supervisor.ensure(paths, bad)
            await supervisor.ensure(paths, good)
            assert await fetch(port) == "one"
            await supervisor.stop(leave_running=False)

    asyncio.run(story())

    assert units.asked() == ["start", "reload", "start", "stop"]


@pytest.mark.envoy
def test_what_systemd_did_by_itself_is_told(paths: ProxyPaths, port: int, units: Units) -> None:
    async def story() -> None:
        supervisor = units.supervisor()
        with listening(paths.xds_socket):
            await supervisor.ensure(paths, static_bootstrap(paths, port, "one"))
            os.kill(running_pid(paths), signal.SIGKILL)
            while (await supervisor.states())[0].state != "DOWN":
                pass
            await asyncio.to_thread(units.do, "start")
            assert (await supervisor.states())[0].state == "LIVE"

    asyncio.run(story())
    stop(paths, timedelta())

    assert units.kinds() == ["started", "died", "restarted"]


@pytest.mark.envoy
def test_a_reload_by_the_operator_is_told_as_a_handover_and_not_as_a_death(
    paths: ProxyPaths, port: int, units: Units
) -> None:
    async def story() -> None:
        supervisor = units.supervisor()
        with listening(paths.xds_socket):
            await supervisor.ensure(paths, static_bootstrap(paths, port, "one"))
            await asyncio.to_thread(units.do, "reload")
            assert (await supervisor.states())[0].epoch == 1

    asyncio.run(story())
    stop(paths, timedelta())

    assert units.kinds() == ["started", "handed-over"]


@pytest.mark.envoy
def test_a_dead_unit_is_started_at_once_and_its_death_told(paths: ProxyPaths, port: int, units: Units) -> None:
    async def story() -> None:
        supervisor = units.supervisor()
        with listening(paths.xds_socket):
            await supervisor.ensure(paths, static_bootstrap(paths, port, "one"))
            os.kill(running_pid(paths), signal.SIGKILL)
            await until(lambda: envoys(paths) == [])
            await supervisor.ensure(paths, static_bootstrap(paths, port, "one"))
            assert await fetch(port) == "one"

    asyncio.run(story())
    stop(paths, timedelta())

    assert units.kinds() == ["started", "died", "started"]


@pytest.mark.envoy
def test_an_unresponsive_unit_is_restarted(paths: ProxyPaths, port: int, units: Units) -> None:
    async def story() -> None:
        supervisor = units.supervisor()
        with listening(paths.xds_socket):
            await supervisor.ensure(paths, static_bootstrap(paths, port, "one"))
            paths.admin_socket.unlink()
            await supervisor.ensure(paths, static_bootstrap(paths, port, "one"))
            assert await fetch(port) == "one"

    asyncio.run(story())
    stop(paths, timedelta())

    assert units.asked() == ["start", "restart"]
    assert units.kinds() == ["started", "restarted"]


@pytest.mark.envoy
def test_a_death_is_told_without_a_look(paths: ProxyPaths, port: int, units: Units) -> None:
    async def story() -> None:
        supervisor = units.supervisor()
        with listening(paths.xds_socket):
            await supervisor.ensure(paths, static_bootstrap(paths, port, "one"))
            os.kill(running_pid(paths), signal.SIGKILL)
            await until(lambda: units.kinds() == ["started", "died"])
            await supervisor.stop(leave_running=True)

    asyncio.run(story())
    stop(paths, timedelta())


@pytest.mark.envoy
def test_a_proxy_of_an_earlier_life_that_nobody_needs_any_more_is_stopped(
    paths: ProxyPaths, port: int, units: Units
) -> None:
    paths.bootstrap.parent.mkdir(parents=True)
    paths.bootstrap.write_bytes(static_bootstrap(paths, port, "one"))
    with listening(paths.xds_socket):
        units.do("start")
    pid = running_pid(paths)

    asyncio.run(units.supervisor().retire(paths))

    assert units.asked() == ["stop"]
    assert [(event.kind, event.pid) for event in units.events] == [("stopped", pid)]
    assert envoys(paths) == []


def test_a_proxy_that_systemd_is_about_to_start_once_more_is_stopped(paths: ProxyPaths, units: Units) -> None:
    units.systemd.states = {UNIT: "activating"}

    asyncio.run(units.supervisor().retire(paths))

    assert units.asked() == ["stop"]
    assert units.kinds() == ["stopped"]


@pytest.mark.parametrize("state", ["inactive", "failed", None])
def test_of_a_proxy_that_does_not_run_and_is_not_needed_nothing_is_said_or_asked(
    paths: ProxyPaths, units: Units, state: str | None
) -> None:
    units.systemd.states = {UNIT: state} if state else {}

    asyncio.run(units.supervisor().retire(paths))

    assert units.asked() == []
    assert units.events == []


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("org.freedesktop.systemd1.NoSuchUnit", "meshd install-units"),
        ("org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", "polkit"),
        ("org.freedesktop.DBus.Error.ServiceUnknown", "envoy.supervisor to child"),
    ],
)
def test_a_refusal_of_systemd_comes_with_a_hint(
    paths: ProxyPaths, port: int, units: Units, name: str, hint: str
) -> None:
    units.systemd.refusal = (name, "so it is")

    with pytest.raises(ProxyError, match=f"{UNIT} was not started: so it is") as caught:
        asyncio.run(units.supervisor().ensure(paths, static_bootstrap(paths, port, "one")))

    assert hint in caught.value.hint


def test_without_a_bus_the_other_supervisor_is_recommended(
    paths: ProxyPaths, port: int, settings: EnvoySettings
) -> None:
    supervisor = SystemdSupervisor(settings, lambda _event: None, Systemd(f"unix:path={paths.runtime}/nobody"))

    async def story() -> None:
        with pytest.raises(ProxyError, match="no D-Bus here") as caught:
            await supervisor.ensure(paths, static_bootstrap(paths, port, "one"))
        assert caught.value.hint == "without systemd: set envoy.supervisor to child"
        with pytest.raises(ProxyError, match="no D-Bus here"):
            await supervisor.retire(paths)

    asyncio.run(story())


@pytest.mark.envoy
def test_who_is_stopped_in_the_midst_of_a_reload_leaves_a_bootstrap_that_works(
    paths: ProxyPaths, port: int, units: Units
) -> None:
    """The reload fails only after meshd was told to end; the next start of the unit must not begin with what failed."""
    cancelled, good = threading.Event(), static_bootstrap(paths, port, "one")

    def work(verb: str, _unit: str) -> str:
        if verb == "reload":
            assert cancelled.wait(10)
            return "failed"
        return units.do(verb)

    async def story() -> None:
        supervisor = units.supervisor()
        with listening(paths.xds_socket):
            await supervisor.ensure(paths, good)
            units.systemd.began.clear()
            units.systemd.work = work
            reloading = asyncio.create_task(supervisor.ensure(paths, static_bootstrap(paths, port, "two")))
            await asyncio.to_thread(units.systemd.began.wait, 10)
            reloading.cancel()
            cancelled.set()
            with pytest.raises(asyncio.CancelledError):
                await reloading
            await supervisor.stop(leave_running=True)

    asyncio.run(story())
    stop(paths, timedelta())

    assert paths.bootstrap.read_bytes() == good
