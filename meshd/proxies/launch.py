"""How a proxy starts: what with, by which command, and when it counts as started.

With meshd's xDS socket answering it is the bootstrap that asks there; else the active generation's `fallback.pb`,
so that a host which boots without network, or whose meshd is broken, still has its routes.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from meshd import sd_notify
from meshd.proxies.admin import AdminError, Mode, readiness
from meshd.proxies.error import InvalidBootstrapError, ProxyError
from meshd.proxies.orphan import keep_output_openable
from meshd.proxies.paths import ProxyPaths
from meshd.proxies.process import Process, alive, end, identify, spawn
from meshd.proxies.record import Record, digest, find, forget, write, write_atomically

VALIDATING = timedelta(seconds=60)
"""How long Envoy may take to judge a bootstrap. Of 10 000 clusters it takes 4 s."""

_LOG_LIMIT = 16 * 1024 * 1024
_POLL = timedelta(milliseconds=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvoySettings:
    """`drain`: how long an old epoch asks its connections to leave. `parent_shutdown`: when it ends, drained or not."""

    binary: Path
    drain: timedelta = timedelta(seconds=10)
    parent_shutdown: timedelta = timedelta(seconds=15)
    live_within: timedelta = timedelta(seconds=30)
    log_level: str = "warning"
    concurrency: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bootstrap:
    """A file that Envoy starts with, and what it holds now. `lacking`: files without whose use it goes."""

    mode: Mode
    path: Path
    digest: str
    lacking: tuple[str, ...] = ()


def choose(paths: ProxyPaths, binary: Path | None = None) -> Bootstrap:
    """What a start would use this moment. `binary`: the Envoy whose word counts on what is in the files it reads."""
    order: tuple[Mode, Mode] = ("xds", "fallback") if answers(paths.xds_socket) else ("fallback", "xds")
    for mode in order:
        path = paths.bootstrap if mode == "xds" else paths.fallback
        try:
            content = path.read_bytes()
            return _alone(paths, content, binary) if mode == "fallback" else _of(mode, path, content)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise ProxyError(f"cannot read {path}: {error.strerror}", "may the proxy's user read it?") from error
    raise ProxyError(
        f"{paths.proxy}: nothing to start with yet: neither {paths.bootstrap} nor {paths.fallback} exists",
        "meshd writes them after its first revision: see `meshd status`",
    )


def _of(mode: Mode, path: Path, content: bytes, lacking: tuple[str, ...] = ()) -> Bootstrap:
    return Bootstrap(mode=mode, path=path, digest=digest(content), lacking=lacking)


def _alone(paths: ProxyPaths, content: bytes, binary: Path | None) -> Bootstrap:
    """Of what this host has: Envoy refuses all of a static bootstrap for one certificate that it cannot use."""
    # Only here, since it costs 0.2 s of protobuf, which a proxy that meshd serves starts without.
    from meshd.proxies.alone import usable  # noqa: PLC0415

    starting, lacking = usable(paths, content, binary)
    if not lacking:
        return _of("fallback", paths.fallback, content)
    path = paths.own / "fallback.pb"
    paths.own.mkdir(mode=0o750, parents=True, exist_ok=True)
    write_atomically(path, starting)
    return _of("fallback", path, starting, lacking)


def answers(socket_path: Path) -> bool:
    """Whether somebody listens there. A socket file that outlived its process does not count."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(1)
        try:
            client.connect(str(socket_path))
        except OSError:
            return False
    return True


def validate(path: Path, settings: EnvoySettings) -> None:
    """Envoy's own verdict on a bootstrap, before anything depends on it."""
    command = (str(settings.binary), "--mode", "validate", "--log-level", "error", "-c", str(path))
    try:
        verdict = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, check=False, timeout=VALIDATING.total_seconds()
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ProxyError(f"could not validate {path}: {error}", "does the Envoy binary run?") from error
    if verdict.returncode != 0:
        said = (verdict.stderr or verdict.stdout).strip().splitlines()
        raise InvalidBootstrapError(f"Envoy refuses {path}: {said[-1] if said else 'no reason given'}")


def command_line(paths: ProxyPaths, settings: EnvoySettings, config: Path, *, base_id: int, epoch: int) -> list[str]:
    concurrency = [] if settings.concurrency is None else ["--concurrency", str(settings.concurrency)]
    return [
        str(settings.binary),
        *("-c", str(config)),
        *("--base-id", str(base_id)),
        *("--restart-epoch", str(epoch)),
        *("--socket-path", str(paths.hot_restart_socket)),
        *("--socket-mode", "600"),
        *("--drain-time-s", _seconds(settings.drain)),
        *("--parent-shutdown-time-s", _seconds(settings.parent_shutdown)),
        # `gradual` closes a growing share of connections over the drain time, and asks nothing of most at first.
        *("--drain-strategy", "immediate"),
        *("--log-level", settings.log_level),
        # Of each request that asks for no name that is looked up, the filter against circles warns that it has none.
        *("--component-log-level", "rbac:error"),
        # The access log; by default its lines would come ten seconds late.
        *("--file-flush-interval-msec", "1000"),
        *concurrency,
    ]


def start(paths: ProxyPaths, settings: EnvoySettings, bootstrap: Bootstrap) -> Record:
    """A plain start, epoch 0, as a process that survives us. Returns when it is LIVE."""
    prepare(paths)
    rotate(paths.log)
    base_id = _new_base_id()
    process = spawn(command_line(paths, settings, bootstrap.path, base_id=base_id, epoch=0), paths.log)
    record = Record(process=process, epoch=0, base_id=base_id, mode=bootstrap.mode, digest=bootstrap.digest)
    write(paths, record)
    if not await_live(paths, process, settings.live_within):
        end(process, timedelta(seconds=5))
        raise ProxyError(f"{paths.proxy} did not become LIVE: {last_words(paths.log)}", f"all it said: {paths.log}")
    return record


def run(paths: ProxyPaths, settings: EnvoySettings) -> None:
    """Becomes the proxy: the ExecStart of its unit. Returns never, or by an error that the unit tries again.

    READY=1 is sent for it once it is LIVE, because Envoy does not speak to systemd.
    """
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # logrotate's, for Envoy: it does not end what becomes one
    running = find(paths)
    if running is not None:
        raise ProxyError(f"{paths.proxy} runs already, as process {running.process.pid}", "meshd envoy reload")
    bootstrap = choose(paths, settings.binary)
    prepare(paths)
    base_id = _new_base_id()
    myself = identify(os.getpid())
    assert myself is not None
    write(
        paths, Record(process=myself, epoch=0, base_id=base_id, mode=bootstrap.mode, digest=bootstrap.digest)
    )  # pid and start time survive the exec
    for file in bootstrap.lacking:
        sys.stderr.write(f"meshd: what needs {file} is left out of {paths.fallback}: it cannot be used\n")
    if "NOTIFY_SOCKET" in os.environ:
        _aside(lambda: _tell_when_live(paths, myself, settings.live_within, bootstrap.mode))
    keep_output_openable()
    command = command_line(paths, settings, bootstrap.path, base_id=base_id, epoch=0)
    try:
        os.execv(command[0], command)  # noqa: S606
    except OSError as error:
        raise ProxyError(f"could not start {command[0]}: {error.strerror}", "see envoy.binary") from error


def await_live(paths: ProxyPaths, process: Process, within: timedelta) -> bool:
    """Waits until this very process serves. False when it has ended or the time is over."""
    deadline = time.monotonic() + within.total_seconds()
    while time.monotonic() < deadline and alive(process):
        try:
            ready = readiness(paths.admin_socket)
        except AdminError:
            ready = None
        if ready is not None and ready.live and ready.pid == process.pid:
            return True
        time.sleep(_POLL.total_seconds())
    return False


def prepare(paths: ProxyPaths) -> None:
    """The proxy's directory, without what an ended predecessor left there."""
    if len(str(paths.hot_restart_socket)) > 75:
        raise ProxyError(f"{paths.own} is too long a path for sockets", "choose a shorter runtimeDirectory")
    try:
        paths.own.mkdir(mode=0o750, parents=True, exist_ok=True)
        forget(paths)
    except OSError as error:
        raise ProxyError(f"cannot use {paths.own}: {error.strerror}", "does it belong to the proxy's user?") from error


def rotate(log: Path) -> None:
    """At most two files of about the limit: a broken Envoy restarts often, and says why each time."""
    if _is_full(log):
        log.replace(_earlier(log))


def rotate_under_way(log: Path) -> None:
    """While Envoy writes: it appends, so it goes on at the beginning of a file that was cut short.

    What it writes between the copy and the cut is lost: a line or two of the access log.
    """
    if _is_full(log):
        shutil.copyfile(log, _earlier(log))
        os.truncate(log, 0)


def _is_full(log: Path) -> bool:
    return log.exists() and log.stat().st_size > _LOG_LIMIT


def _earlier(log: Path) -> Path:
    return log.with_name(f"{log.name}.1")


def last_words(log: Path) -> str:
    """The last complaint in the log, without its time and thread."""
    try:
        lines = log.read_bytes()[-20_000:].decode(errors="replace").splitlines()
    except FileNotFoundError:
        lines = []
    complaints = [line for line in lines if "[critical]" in line or "[error]" in line] or lines
    return complaints[-1].rpartition("] ")[2] if complaints else "it said nothing"


def _new_base_id() -> int:
    """Names the shared memory of this Envoy among all of the machine. Not guessable, so that nobody can occupy it."""
    return secrets.randbelow(2**28)


def _seconds(time_span: timedelta) -> str:
    return str(int(time_span.total_seconds()))


def _tell_when_live(paths: ProxyPaths, process: Process, within: timedelta, mode: Mode) -> None:
    if await_live(paths, process, within):
        sd_notify.notify("READY=1", f"STATUS=LIVE ({mode})")


def _aside(errand: Callable[[], None]) -> None:
    """Runs the errand in a child of init: one of ours would stay a zombie, for Envoy reaps nobody."""
    child = os.fork()
    if child == 0:
        if os.fork() == 0:
            errand()
        os._exit(0)
    os.waitpid(child, 0)
