from __future__ import annotations

import asyncio
import os
import socket
from datetime import timedelta

from meshd.daemon import watchdog


def test_half_of_watchdog_sec_is_the_interval():
    assert watchdog.interval({"WATCHDOG_USEC": "30000000"}) == timedelta(seconds=15)


def test_without_a_watchdog_there_is_no_interval():
    assert watchdog.interval({}) is None


def test_a_watchdog_for_another_process_is_not_ours():
    assert watchdog.interval({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid() + 1)}) is None


def test_it_is_fed_while_passes_end_and_starved_by_one_that_hangs(short_tmp, monkeypatch):
    well = iter([True, False, True])
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(short_tmp / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(short_tmp / "notify"))

        async def story():
            feeding = asyncio.create_task(watchdog.feed(timedelta(0), lambda: next(well)))
            await asyncio.gather(feeding, return_exceptions=True)

        asyncio.run(story())
        listener.setblocking(False)
        heard = [listener.recv(100), listener.recv(100)]

    assert heard == [b"WATCHDOG=1"] * 2


def test_a_watchdog_of_no_time_at_all_is_none():
    assert watchdog.interval({"WATCHDOG_USEC": "0"}) is None
