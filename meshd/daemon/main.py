"""`meshd run`: prepares the ground, runs the daemon until it is told to stop, and says how it ended."""

from __future__ import annotations

import asyncio
import fcntl
import importlib
import os
import signal
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from meshd import __version__
from meshd.config import AgentConfig
from meshd.daemon.delivery_room import DeliveryRoom
from meshd.daemon.logs import configure
from meshd.deliver.error import DeliveryError
from meshd.proxies.error import ProxyError
from meshd.sd_notify import notify

if TYPE_CHECKING:
    from meshd.daemon.daemon import Daemon

log = structlog.get_logger()

WORLD_FAILED: Final = 3


class GroundError(Exception):
    """The directories are not ours to use. `hint` says what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def run(config_path: Path, config: AgentConfig) -> int:
    """The exit code: 0 after a clean stop, 3 when the daemon could not start."""
    configure(config.log.level, config.log.format)
    try:
        with ground(Path(config.state_directory), Path(config.runtime_directory)):
            log.info("daemon.starting", version=__version__, host=config.host, config=str(config_path))
            asyncio.run(until_told(config_path, config))
    except (GroundError, DeliveryError, ProxyError) as error:
        return _failed(str(error), error.hint)
    except OSError as error:
        return _failed(f"{error.filename}: {error.strerror}", "is the disk full?")
    except Exception as error:
        log.exception("daemon.crashed", next="please report this")
        notify(f"STATUS=crashed, {type(error).__name__}: {error}; its journal has more")
        return WORLD_FAILED
    log.info("daemon.stopped")
    return 0


def _failed(why: str, hint: str) -> int:
    """Also to systemd: the status of a unit that failed is the last one that it was told."""
    log.error("daemon.failed", error=why, hint=hint)
    notify(f"STATUS={why}; {hint}")
    return WORLD_FAILED


@contextmanager
def ground(state: Path, runtime: Path) -> Iterator[None]:
    """The directories exist, and no other meshd works in them: two would steal each other's sockets."""
    try:
        for directory in (state, runtime, runtime / "xds"):
            directory.mkdir(parents=True, exist_ok=True)
        lock = os.open(state / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        hint = "run as the user of the unit, or choose stateDirectory and runtimeDirectory"
        raise GroundError(f"cannot use {error.filename}: {error.strerror}", hint) from error
    try:
        _take(lock, state)
        yield
    finally:
        os.close(lock)


def _take(lock: int, state: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(lock, 32, 0).decode().strip() or "unknown"
        hint = "stop it first, or give this one a stateDirectory of its own"
        raise GroundError(f"another meshd (pid {owner}) works in {state}", hint) from None
    # For the message above only: a host whose disk is full still serves.
    with suppress(OSError):
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)


async def until_told(config_path: Path, config: AgentConfig) -> None:
    """SIGTERM and SIGINT end the daemon, in order; SIGHUP makes it read its configuration."""
    loop = asyncio.get_running_loop()
    serving = asyncio.create_task(serve(config_path, config), name="daemon")

    told = False

    def stop() -> None:
        # A second signal must not interrupt the clearing up: it would leave Envoys. The task cannot be asked whether it
        # is being cancelled: it also is, for a moment, whenever a timeout in it is over.
        nonlocal told
        if not told:
            told = True
            log.info("daemon.stopping")
            serving.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    with suppress(asyncio.CancelledError):
        await serving


async def serve(config_path: Path, config: AgentConfig) -> None:
    """What was good last is served first; the rest of the daemon is imported meanwhile, aside."""
    delivery = DeliveryRoom(config)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(delivery.stop)
        await delivery.start()
        rest = await asyncio.to_thread(importlib.import_module, "meshd.daemon.daemon")
        daemon: Daemon = rest.Daemon(config_path, config, delivery)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, daemon.hangup)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
        await daemon.serve()
