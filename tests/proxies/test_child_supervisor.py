"""meshd keeps its Envoys running: the real ones, with traffic."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from meshd.proxies.child_supervisor import Backoff
from meshd.proxies.error import InvalidBootstrapError, ProxyError
from meshd.proxies.launch import EnvoySettings, choose, start
from meshd.proxies.paths import ProxyPaths
from meshd.proxies.process import Process, identify
from meshd.proxies.record import Record, find, write

from .conftest import (
    Load,
    Watched,
    ads_bootstrap,
    ads_server,
    envoys,
    fetch,
    listening,
    running_pid,
    static_bootstrap,
    until,
)

pytestmark = pytest.mark.envoy


def test_a_proxy_is_started_and_stopped_without_a_trace(paths: ProxyPaths, port: int, watched: Watched) -> None:
    async def story() -> Path:
        supervisor = watched.supervisor()
        with listening(paths.xds_socket):
            await supervisor.ensure(paths, static_bootstrap(paths, port, "one"))
            assert await fetch(port) == "one"
            (state,) = await supervisor.states()
            assert (state.name, state.state, state.mode, state.epoch) == ("sidecar", "LIVE", "xds", 0)
            assert state.version == "1.40.0"
            assert state.pid == running_pid(paths)
            assert state.since is not None
            memory = shared_memory(paths)
            assert memory.exists()

            await supervisor.stop(leave_running=False)
            return memory

    memory = asyncio.run(story())

    assert watched.kinds() == ["started", "stopped"]
    assert envoys(paths) == []
    assert sorted(file.name for file in paths.own.iterdir()) == ["envoy.log"]
    assert not memory.exists()


def shared_memory(paths: ProxyPaths) -> Path:
    """Envoy's own, which it never removes."""
    record = find(paths)
    assert record is not None
    return Path(f"/dev/shm/envoy_shared_memory_{record.base_id * 10}")


def test_a_start_that_is_interrupted_leaves_nothing(paths: ProxyPaths, port: int, watched: Watched) -> None:
    """A thread that starts an Envoy cannot be stopped; who stops the proxies next must find that Envoy."""

    async def story() -> None:
        supervisor = watched.supervisor()
        with listening(paths.xds_socket):
            starting = asyncio.create_task(supervisor.ensure(paths, static_bootstrap(paths, port, "one")))
            await until(lambda: any(launching(pid) for pid in envoys(paths)))
            starting.cancel()

            await supervisor.stop(leave_running=False)
            await asyncio.gather(starting, return_exceptions=True)

    asyncio.run(story())

    assert envoys(paths) == []


def launching(pid: int) -> bool:
    """Not the validation that comes before."""
    try:
        return b"--base-id" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def test_ensuring_the_same_again_changes_nothing(paths: ProxyPaths, port: int, watched: Watched) -> None:
    async def story() -> None:
        supervisor = watched.supervisor()
        with listening(paths.xds_socket):
            await supervisor.ensure(paths, static_bootstrap(paths, port, "one"))
            pid = running_pid(paths)
            await supervisor.ensure(paths, static_bootstrap(paths, port, "one"))

            assert running_pid(paths) == pid
            await supervisor.retire(paths)
            assert await supervisor.states() == ()

    asyncio.run(story())

    assert watched.kinds() == ["started", "stopped"]


def test_an_envoy_that_meshd_left_behind_is_adopted(paths: ProxyPaths, port: int, watched: Watched) -> None:
    async def leave_behind() -> None:
        first = watched.supervisor()
        with listening(paths.xds_socket):
            await first.ensure(paths, static_bootstrap(paths, port, "one"))
            await first.stop(leave_running=True)

    async def adopt() -> None:
        second = watched.supervisor()
        with listening(paths.xds_socket):
            pid = running_pid(paths)
            await second.ensure(paths, static_bootstrap(paths, port, "one"))
            assert running_pid(paths) == pid
            assert await fetch(port) == "one"

            os.kill(pid, signal.SIGKILL)
            await until(lambda: watched.kinds()[-1] == "restarted")
            assert await fetch(port) == "one"
            await second.stop(leave_running=False)

    asyncio.run(leave_behind())
    asyncio.run(adopt())

    assert watched.kinds() == ["started", "adopted", "died", "restarted", "stopped"]
    assert envoys(paths) == []


def test_an_envoy_survives_the_sudden_death_of_the_meshd_that_started_it(
    paths: ProxyPaths, port: int, watched: Watched
) -> None:
    """Envoy asks the kernel for SIGTERM at its parent's death, so this is not to be taken for granted."""
    bootstrap = static_bootstrap(paths, port, "one")
    meshd = subprocess.Popen(
        [sys.executable, "-c", _A_MESHD, *map(str, (watched.settings.binary, paths.state, paths.runtime))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    with listening(paths.xds_socket):
        assert meshd.stdin is not None
        assert meshd.stdout is not None
        with meshd.stdin, meshd.stdout:
            meshd.stdin.write(bootstrap)
            meshd.stdin.close()
            assert meshd.stdout.readline() == b"LIVE\n"
            os.killpg(meshd.pid, signal.SIGKILL)
            meshd.wait()

        async def story() -> None:
            supervisor = watched.supervisor()
            await supervisor.ensure(paths, bootstrap)
            assert await fetch(port) == "one"
            await supervisor.stop(leave_running=False)

        asyncio.run(story())

    assert watched.kinds() == ["adopted", "stopped"]


_A_MESHD = """
import asyncio, pathlib, sys
from meshd.proxies.child_supervisor import ChildSupervisor
from meshd.proxies.launch import EnvoySettings
from meshd.proxies.paths import ProxyPaths

binary, state, runtime = map(pathlib.Path, sys.argv[1:])

async def main():
    supervisor = ChildSupervisor(EnvoySettings(binary=binary, concurrency=1), lambda event: None)
    await supervisor.ensure(ProxyPaths(proxy="sidecar", state=state, runtime=runtime), sys.stdin.buffer.read())
    print((await supervisor.states())[0].state, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def test_an_envoy_is_adopted_by_its_admin_socket_when_its_record_was_never_written(
    paths: ProxyPaths, port: int, watched: Watched
) -> None:
    async def story() -> None:
        with listening(paths.xds_socket):
            first = watched.supervisor()
            await first.ensure(paths, static_bootstrap(paths, port, "one"))
            await first.stop(leave_running=True)
            pid = running_pid(paths)
            paths.record.unlink()

            found = find(paths)
            assert found is not None
            assert (found.process.pid, found.epoch, found.mode, found.digest) == (pid, 0, "xds", "")

            # What it was started with is not known, so it is handed over, and known again.
            second = watched.supervisor()
            await second.ensure(paths, static_bootstrap(paths, port, "one"))
            assert watched.kinds() == ["started", "adopted", "handed-over"]
            assert running_pid(paths) != pid
            await second.stop(leave_running=False)

    asyncio.run(story())
    assert envoys(paths) == []


def test_a_death_is_noticed_and_the_proxy_restarted(paths: ProxyPaths, port: int, watched: Watched) -> None:
    async def story() -> None:
        supervisor = watched.supervisor()
        with listening(paths.xds_socket):
            await supervisor.ensure(paths, static_bootstrap(paths, port, "one"))
            for deaths in (1, 2):
                os.kill(running_pid(paths), signal.SIGKILL)
                await until(lambda deaths=deaths: watched.kinds().count("restarted") == deaths)
            assert await fetch(port) == "one"
            await supervisor.stop(leave_running=False)

    asyncio.run(story())

    assert watched.kinds() == ["started", "died", "restarted", "died", "restarted", "stopped"]


def test_a_restart_that_fails_is_tried_again(paths: ProxyPaths, port: int, watched: Watched) -> None:
    async def story() -> None:
        supervisor = watched.supervisor()
        with listening(paths.xds_socket):
            bootstrap = static_bootstrap(paths, port, "one")
            await supervisor.ensure(paths, bootstrap)
            paths.bootstrap.unlink()
            os.kill(running_pid(paths), signal.SIGKILL)
            await until(lambda: "start-failed" in watched.kinds())
            (state,) = await supervisor.states()
            assert (state.state, state.pid) == ("DOWN", None)

            paths.bootstrap.write_bytes(bootstrap)
            await until(lambda: "restarted" in watched.kinds())
            assert await fetch(port) == "one"
            await supervisor.stop(leave_running=False)

    asyncio.run(story())


def test_a_changed_bootstrap_is_handed_over_without_a_failed_request(
    paths: ProxyPaths, port: int, watched: Watched
) -> None:
    load = Load(port)

    async def story() -> None:
        supervisor = watched.supervisor()
        with listening(paths.xds_socket):
            await supervisor.ensure(paths, static_bootstrap(paths, port, "one"))
            old = running_pid(paths)
            async with load.running():
                await supervisor.ensure(paths, static_bootstrap(paths, port, "two"))
                await until(lambda: identify(old) is None)
            (state,) = await supervisor.states()
            assert state.epoch == 1
            await supervisor.stop(leave_running=False)

    asyncio.run(story())

    assert load.failures == []
    assert set(load.answers) == {"one", "two"}
    assert load.answers[-1] == "two"
    assert watched.kinds() == ["started", "handed-over", "stopped"]
    assert envoys(paths) == []


def test_two_changes_in_a_row_wait_for_each_other(paths: ProxyPaths, port: int, watched: Watched) -> None:
    load = Load(port)

    async def story() -> None:
        supervisor = watched.supervisor()
        with listening(paths.xds_socket):
            await supervisor.ensure(paths, static_bootstrap(paths, port, "one"))
            async with load.running():
                await supervisor.ensure(paths, static_bootstrap(paths, port, "two"))
                await supervisor.ensure(paths, static_bootstrap(paths, port, "three"))
                await until(lambda: load.answers[-1] == "three")
            await supervisor.stop(leave_running=False)

    asyncio.run(story())

    assert load.failures == []
    assert envoys(paths) == []


def test_from_the_fallback_it_is_handed_over_to_a_meshd_that_is_back(
    paths: ProxyPaths, port: int, watched: Watched
) -> None:
    load = Load(port)

    async def story() -> None:
        paths.fallback.write_bytes(static_bootstrap(paths, port, "fallback", mode="fallback"))
        start(paths, watched.settings, choose(paths))  # as the proxy's unit does while meshd is down
        async with load.running():
            assert set(load.answers) == {"fallback"}
            supervisor = watched.supervisor()
            async with ads_server(paths, port, "xds"):
                await supervisor.ensure(paths, ads_bootstrap(paths))
                await until(lambda: load.answers[-1] == "xds" and len(envoys(paths)) == 1)
                (state,) = await supervisor.states()
                assert (state.mode, state.epoch) == ("xds", 1)
                load.stopping = True
                await supervisor.stop(leave_running=False)

    asyncio.run(story())

    assert load.failures == []
    assert watched.kinds() == ["adopted", "handed-over", "stopped"]


def test_without_meshd_a_proxy_on_its_fallback_stays_there(paths: ProxyPaths, port: int, watched: Watched) -> None:
    async def story() -> None:
        paths.fallback.write_bytes(static_bootstrap(paths, port, "fallback", mode="fallback"))
        supervisor = watched.supervisor()
        await supervisor.ensure(paths, static_bootstrap(paths, port, "one"))
        await supervisor.ensure(paths, static_bootstrap(paths, port, "one"))

        (state,) = await supervisor.states()
        assert (state.mode, state.epoch) == ("fallback", 0)
        assert await fetch(port) == "fallback"
        await supervisor.stop(leave_running=False)

    asyncio.run(story())


def test_a_bootstrap_that_envoy_refuses_replaces_nothing(paths: ProxyPaths, port: int, watched: Watched) -> None:
    async def story() -> None:
        supervisor = watched.supervisor()
        good = static_bootstrap(paths, port, "one")
        with listening(paths.xds_socket):
            await supervisor.ensure(paths, good)
            pid = running_pid(paths)
            with pytest.raises(InvalidBootstrapError, match="Envoy refuses"):
                await supervisor.ensure(paths, static_bootstrap(paths, 99999999, "two"))

            assert running_pid(paths) == pid
            assert paths.bootstrap.read_bytes() == good
            assert await fetch(port) == "one"
            await supervisor.stop(leave_running=False)

    asyncio.run(story())


@pytest.mark.parametrize(
    ("bootstrap", "complaint"),
    [(b"\xff\xff", "is not one"), (b"", "admin socket at 'no path'")],
    ids=["garbage", "no admin socket"],
)
def test_what_envoy_would_take_for_a_bootstrap_and_is_none_is_refused(
    paths: ProxyPaths, watched: Watched, bootstrap: bytes, complaint: str
) -> None:
    with pytest.raises(InvalidBootstrapError, match=complaint):
        asyncio.run(watched.supervisor().ensure(paths, bootstrap))

    assert not paths.bootstrap.exists()
    assert envoys(paths) == []


def test_a_valid_bootstrap_that_does_not_come_up_is_taken_back(paths: ProxyPaths, port: int, watched: Watched) -> None:
    """Its port is taken, which validation cannot see."""

    async def story() -> None:
        supervisor = watched.supervisor()
        good = static_bootstrap(paths, port, "one")
        with listening(paths.xds_socket), socket.create_server(("127.0.0.1", 0)) as taken:
            bad = static_bootstrap(paths, taken.getsockname()[1], "two")
            await supervisor.ensure(paths, good)
            with pytest.raises(ProxyError, match="did not become LIVE"):
                await supervisor.ensure(paths, bad)
            assert paths.bootstrap.read_bytes() == good
            assert await fetch(port) == "one"

            pid = running_pid(paths)
            with pytest.raises(ProxyError, match="is in force again"):
                await supervisor.ensure(paths, bad)
            assert running_pid(paths) == pid
            await supervisor.stop(leave_running=False)

    asyncio.run(story())

    assert watched.kinds() == ["started", "restarted", "stopped"]
    assert envoys(paths) == []


def test_a_binary_that_cannot_take_over_is_started_plainly(
    paths: ProxyPaths, port: int, settings: EnvoySettings, watched: Watched, short_tmp: Path
) -> None:
    other = short_tmp / "envoy"
    other.write_text(f'#!/bin/sh\n[ "$1" = --hot-restart-version ] && echo 99.1 || exec {settings.binary} "$@"\n')
    other.chmod(0o755)

    async def story() -> None:
        with listening(paths.xds_socket):
            first = watched.supervisor()
            await first.ensure(paths, static_bootstrap(paths, port, "one"))
            await first.stop(leave_running=True)
            watched.settings = replace(settings, binary=other)
            second = watched.supervisor()
            await second.ensure(paths, static_bootstrap(paths, port, "two"))
            assert await fetch(port) == "two"
            await second.stop(leave_running=False)

    asyncio.run(story())

    assert watched.kinds() == ["started", "adopted", "restarted", "stopped"]
    assert envoys(paths) == []


def test_an_envoy_that_does_not_answer_any_more_is_replaced(
    paths: ProxyPaths, port: int, settings: EnvoySettings, watched: Watched
) -> None:
    watched.settings = replace(settings, live_within=timedelta(seconds=1))

    async def story() -> None:
        supervisor = watched.supervisor()
        with listening(paths.xds_socket):
            await supervisor.ensure(paths, static_bootstrap(paths, port, "one"))
            pid = running_pid(paths)
            paths.admin_socket.unlink()
            (state,) = await supervisor.states()
            assert state.state == "UNRESPONSIVE"

            await supervisor.ensure(paths, static_bootstrap(paths, port, "one"))
            assert running_pid(paths) != pid
            assert envoys(paths) == [running_pid(paths)]
            await supervisor.stop(leave_running=False)

    asyncio.run(story())
    assert watched.kinds() == ["started", "restarted", "stopped"]


def test_a_stale_record_of_a_foreign_process_is_neither_adopted_nor_killed(
    paths: ProxyPaths, port: int, watched: Watched
) -> None:
    foreign = subprocess.Popen(["sleep", "60"])
    try:
        myself = identify(foreign.pid)
        assert myself is not None
        earlier = Process(pid=foreign.pid, started=myself.started - 1, boot=myself.boot)
        write(paths, Record(process=earlier, epoch=3, base_id=7, mode="xds", digest=""))

        async def story() -> None:
            supervisor = watched.supervisor()
            with listening(paths.xds_socket):
                await supervisor.ensure(paths, static_bootstrap(paths, port, "one"))
                assert running_pid(paths) != foreign.pid
                await supervisor.stop(leave_running=False)

        asyncio.run(story())

        assert watched.kinds() == ["started", "stopped"]
        assert foreign.poll() is None
    finally:
        foreign.kill()
        foreign.wait()


def test_the_pauses_between_restarts_grow_to_a_ceiling() -> None:
    backoff = Backoff(step=timedelta(seconds=1), ceiling=timedelta(seconds=5))

    assert [backoff.pause(n).total_seconds() for n in (0, 1, 2, 3, 4, 1000)] == [0, 1, 2, 4, 5, 5]
