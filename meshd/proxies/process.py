"""Processes that outlive whoever started them, told apart by pid, start time and boot.

A pid alone is no identity: it is reused. Nothing here signals a process that is not the one that was meant.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from meshd.proxies import orphan
from meshd.proxies.error import ProxyError

_PROC = Path("/proc")
_OURS_ALONE = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES")
_DEFAULT_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGCHLD, signal.SIGUSR1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """`started` counts clock ticks since `boot`, as /proc does."""

    pid: int
    started: int
    boot: str


def identify(pid: int) -> Process | None:
    """The living process that has this pid now. A zombie has ended."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    # The command's name stands in parentheses and may hold anything, so the fields are counted from its end.
    state, *fields = stat.rpartition(")")[2].split()
    return None if state in "ZX" else Process(pid=pid, started=int(fields[18]), boot=boot)


def alive(process: Process) -> bool:
    return identify(process.pid) == process


def started_at(process: Process) -> datetime:
    booted = next(line for line in (_PROC / "stat").read_text().splitlines() if line.startswith("btime "))
    return datetime.fromtimestamp(int(booted.split()[1]) + process.started / os.sysconf("SC_CLK_TCK"), UTC)


@contextlib.contextmanager
def handle(process: Process) -> Iterator[int | None]:
    """A pidfd of exactly this process, readable once it has ended; None when it is gone already."""
    descriptor = open_handle(process)
    try:
        yield descriptor
    finally:
        if descriptor is not None:
            os.close(descriptor)


def open_handle(process: Process) -> int | None:
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return None
    if alive(process):  # asked after opening: from here on the descriptor names this process and no other
        return descriptor
    os.close(descriptor)
    return None


def send(process: Process, number: signal.Signals) -> bool:
    """False when the process is gone."""
    with handle(process) as descriptor:
        if descriptor is None:
            return False
        try:
            signal.pidfd_send_signal(descriptor, number)
        except ProcessLookupError:
            return False
        return True


def wait_gone(process: Process, within: timedelta) -> bool:
    """True as soon as the process has ended."""
    with handle(process) as descriptor:
        if descriptor is None:
            return True
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(within / timedelta(milliseconds=1)))


def end(process: Process, within: timedelta) -> None:
    """Asks by SIGTERM, insists by SIGKILL after `within`."""
    if send(process, signal.SIGTERM) and wait_gone(process, within):
        return
    if send(process, signal.SIGKILL) and not wait_gone(process, timedelta(seconds=10)):
        raise ProxyError(f"process {process.pid} does not end, not even by SIGKILL", "look for it in state D: `ps`")


def spawn(command: Sequence[str], log: Path | None) -> Process:
    """Starts a process that survives us: a child of init, in a session of its own, with no pipe to us.

    Its output goes to the end of `log`, or where our errors go.
    """
    reader, writer = os.pipe()
    try:
        middle = _spawn_orphan(command, log, writer)
    except OSError as error:
        os.close(reader)
        raise ProxyError(f"could not start {command[0]}: {error}", "does the log's directory exist?") from error
    finally:
        os.close(writer)
    with os.fdopen(reader) as answer:
        pid = answer.read()
    os.waitpid(middle, 0)
    process = identify(int(pid)) if pid else None
    if process is None:
        raise ProxyError(f"could not start {command[0]}", "run it by hand with --version")
    return process


def _spawn_orphan(command: Sequence[str], log: Path | None, answer: int) -> int:
    output: list[tuple[object, ...]] = [(os.POSIX_SPAWN_DUP2, 2, 1)]
    if log is not None:
        appending = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        output = [(os.POSIX_SPAWN_OPEN, 1, str(log), appending, 0o640), (os.POSIX_SPAWN_DUP2, 1, 2)]
    return os.posix_spawn(
        sys.executable,
        (sys.executable, "-I", "-S", orphan.__file__, *command),
        # Envoy is not to answer systemd in our name.
        {name: value for name, value in os.environ.items() if name not in _OURS_ALONE},
        file_actions=[
            (os.POSIX_SPAWN_DUP2, answer, 3),
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            *output,
        ],
        setsigmask=(),
        setsigdef=_DEFAULT_SIGNALS,
    )
