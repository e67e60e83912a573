"""Ends a proxy for good, and politely: no new connection, the requests under way finish, then it quits."""

from __future__ import annotations

import contextlib
import time
from datetime import timedelta

from meshd.proxies.admin import AdminError, drain_listeners, quitquitquit, readiness, stats
from meshd.proxies.paths import ProxyPaths
from meshd.proxies.process import Process, end, wait_gone
from meshd.proxies.record import Record, find, forget, require_permission

_POLL = timedelta(milliseconds=20)
_QUIT_WITHIN = timedelta(seconds=5)
_LISTENING = r"^listener_manager\.total_listeners_active$"
_BUSY = r"^(http\..*downstream_rq_active|tcp\..*downstream_cx_active)$"


def stop(paths: ProxyPaths, drain: timedelta) -> bool:
    """False when there was nothing to stop. No process and no file of the proxy is left behind."""
    require_permission(paths)
    running = find(paths)
    if running is None:
        forget(paths)
        return False
    _drain(paths, running.process, drain)
    for process in (running.process, *running.leaving):
        end(process, _QUIT_WITHIN)
    forget(paths)
    return True


def end_crippled(paths: ProxyPaths, running: Record) -> None:
    """Makes room for a plain start after a failed hot restart. There is no admin socket left to be polite with."""
    for process in (running.process, *running.leaving):
        end(process, _QUIT_WITHIN)
    forget(paths)


def _drain(paths: ProxyPaths, process: Process, within: timedelta) -> None:
    # Where the admin socket does not answer there is nothing to be drained; the process is ended all the same.
    with contextlib.suppress(AdminError):
        if readiness(paths.admin_socket).pid != process.pid:
            return
        patience = within if any(stats(paths.admin_socket, _LISTENING).values()) else timedelta()
        drain_listeners(paths.admin_socket)
        deadline = time.monotonic() + patience.total_seconds()
        while time.monotonic() < deadline and _busy(paths):
            time.sleep(_POLL.total_seconds())
        quitquitquit(paths.admin_socket)
        wait_gone(process, _QUIT_WITHIN)


def _busy(paths: ProxyPaths) -> bool:
    """A bootstrap whose stats_matcher hides these gauges is taken to be busy until the time is over."""
    active = stats(paths.admin_socket, _BUSY)
    outside = [value for name, value in active.items() if not name.startswith("http.admin.")]
    return not outside or any(outside)
