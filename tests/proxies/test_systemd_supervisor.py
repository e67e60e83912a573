"""Proxies as units. The stand-in for systemctl does what the units say, with the real Envoy."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from meshd.proxies.error import ProxyError
from meshd.proxies.launch import EnvoySettings
from meshd.proxies.paths import ProxyPaths
from meshd.proxies.stop import stop
from meshd.proxies.supervisor import Event
from meshd.proxies.systemd_supervisor import SystemdSupervisor

from .conftest import envoys, fetch, listening, running_pid, static_bootstrap, until

SYSTEMCTL = """#!{python}
import os
import sys
from datetime import timedelta
from pathlib import Path
from meshd.proxies.error import HotRestartError
from meshd.proxies.hot_restart import reload_unit
from meshd.proxies.launch import EnvoySettings, choose, start
from meshd.proxies.paths import ProxyPaths
from meshd.proxies.stop import stop

verb, unit = sys.argv[-2:]
Path({calls!r}).open("a").write(f"{{verb}} {{unit}}\\n")
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
    systemctl: str
    settings: EnvoySettings
    calls: Path
    events: list[Event] = field(default_factory=list)

    def supervisor(self) -> SystemdSupervisor:
        return SystemdSupervisor(self.settings, self.events.append, self.systemctl)

    def start(self) -> None:
        subprocess.run([self.systemctl, "start", "meshd-envoy@sidecar.service"], check=True)

    def asked(self) -> list[str]:
        return [line.split()[0] for line in self.calls.read_text().splitlines()]

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]


@pytest.fixture
def units(short_tmp: Path, paths: ProxyPaths, settings: EnvoySettings) -> Units:
    systemctl, calls = short_tmp / "systemctl", short_tmp / "calls"
    calls.touch()
    places = {"calls": calls, "state": paths.state, "runtime": paths.runtime, "binary": settings.binary}
    systemctl.write_text(
        SYSTEMCTL.format(python=sys.executable, **{name: str(place) for name, place in places.items()})
    )
    systemctl.chmod(0o755)
    return Units(str(systemctl), settings, calls)


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
            await asyncio.to_thread(units.start)
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
            reload = (units.systemctl, "reload", "meshd-envoy@sidecar.service")
            await asyncio.to_thread(subprocess.run, reload, check=True)
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


@pytest.mark.skipif(
    shutil.which("systemctl") is None or Path("/run/systemd/system").exists(), reason="needs systemctl without systemd"
)
def test_without_systemd_the_other_supervisor_is_recommended(
    paths: ProxyPaths, port: int, settings: EnvoySettings
) -> None:
    supervisor = SystemdSupervisor(settings, lambda _event: None)

    with pytest.raises(ProxyError, match="systemctl start meshd-envoy@sidecar") as caught:
        asyncio.run(supervisor.ensure(paths, static_bootstrap(paths, port, "one")))

    assert caught.value.hint == "set envoy.supervisor to child"


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("Failed to start: Unit meshd-envoy@sidecar.service not found.", "meshd install-units"),
        ("Failed to start: Interactive authentication required.", "polkit"),
        ("Job for meshd-envoy@sidecar.service failed.", "journalctl -u meshd-envoy@sidecar.service"),
    ],
)
def test_a_refusal_of_systemd_comes_with_a_hint(
    paths: ProxyPaths, port: int, units: Units, said: str, hint: str
) -> None:
    Path(units.systemctl).write_text(f"#!/bin/sh\necho '{said}' >&2\nexit 1\n")

    with pytest.raises(ProxyError, match="systemctl start") as caught:
        asyncio.run(units.supervisor().ensure(paths, static_bootstrap(paths, port, "one")))

    assert hint in caught.value.hint


def test_without_systemctl_that_is_said(paths: ProxyPaths, port: int, settings: EnvoySettings) -> None:
    supervisor = SystemdSupervisor(settings, lambda _event: None, "/no/systemctl")

    with pytest.raises(ProxyError, match="No such file"):
        asyncio.run(supervisor.retire(paths))
