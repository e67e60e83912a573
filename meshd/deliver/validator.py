"""`envoy --mode validate` as a function: a bootstrap in, Envoy's complaint out. It knows nothing of resources.

Starting Envoy takes four fifths of a small judgement, so a spare process waits with everything loaded but its
configuration, which it is about to read from a FIFO (measured: 11 ms instead of 53).
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import fcntl
import io
import itertools
import os
import re
import signal
import termios
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from meshd.deliver.error import DeliveryError

_PREFIX = re.compile(r"^error initializing configuration '[^']*': ")
_PIPE_SIZE = 1 << 20
_PAUSE = 0.001
"""Seconds between looks at a pipe that Envoy is reading from."""

_FROM_OUTSIDE = frozenset({-signal.SIGKILL, -signal.SIGTERM})
"""The kernel, for its memory, or somebody else: no verdict. A crash of Envoy's own over what it was given is one."""

_FLAGS = ("--mode", "validate", "--disable-hot-restart", "--concurrency", "1", "--log-level", "critical")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waiting:
    """A process that opens `fifo`. We hold both of its ends, so that it waits; when meshd dies, it reads the end."""

    process: asyncio.subprocess.Process
    fifo: Path
    pipe: io.FileIO


class Validator:
    """`directory` is its own: what a killed predecessor left in it is removed. One judgement at a time."""

    def __init__(
        self, binary: Path, directory: Path, *, deadline: timedelta = timedelta(seconds=20), spare: bool = True
    ) -> None:
        self._binary = binary
        self._directory = directory
        self._deadline = deadline
        self._keeps_spare = spare
        self._spare: asyncio.Task[_Waiting] | None = None
        self._numbers = itertools.count()
        self._turn = asyncio.Lock()

    def start(self) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left_over in self._directory.glob("*.pb"):
            _release(left_over)
        self._park()

    async def stop(self) -> None:
        spare, self._spare = self._spare, None
        if spare is not None:
            with contextlib.suppress(DeliveryError):
                await _discard(await spare)

    async def complaint(self, bootstrap: bytes) -> str | None:
        """What Envoy says against it, or None. Raises DeliveryError when Envoy cannot be asked or does not answer."""
        async with self._turn:
            waiting = await self._take()
            try:
                async with asyncio.timeout(self._deadline.total_seconds()):
                    return await _judge(waiting, bootstrap)
            except TimeoutError:
                seconds = self._deadline.total_seconds()
                raise DeliveryError(f"Envoy did not judge the changes within {seconds:g} s") from None
            finally:
                await _discard(waiting)
                self._park()

    async def _take(self) -> _Waiting:
        """The spare, unless it died while it waited."""
        spare, self._spare = self._spare, None
        if spare is not None:
            with contextlib.suppress(DeliveryError):
                waiting = await spare
                if waiting.process.returncode is None:
                    return waiting
                await _discard(waiting)
        return await self._begin()

    def _park(self) -> None:
        if self._keeps_spare and self._spare is None:
            self._spare = asyncio.create_task(self._begin())

    async def _begin(self) -> _Waiting:
        fifo = self._directory / f"{next(self._numbers)}.pb"
        os.mkfifo(fifo, 0o600)
        pipe = io.FileIO(os.open(fifo, os.O_RDWR | os.O_NONBLOCK), "r+")
        try:
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
            process = await self._spawn(fifo)
        except BaseException:
            pipe.close()
            fifo.unlink()
            raise
        return _Waiting(process=process, fifo=fifo, pipe=pipe)

    async def _spawn(self, fifo: Path) -> asyncio.subprocess.Process:
        try:
            return await asyncio.create_subprocess_exec(
                self._binary,
                *(*_FLAGS, "--log-format", "%v", "--config-path", fifo),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,  # Ctrl-C in a terminal is for meshd, which ends its children itself
            )
        except OSError as error:
            raise DeliveryError(f"cannot run {self._binary}: {error.strerror}", "see `meshd envoy path`") from error


async def _judge(waiting: _Waiting, bootstrap: bytes) -> str | None:
    verdict = asyncio.create_task(waiting.process.communicate())
    try:
        await _feed(waiting.pipe, bootstrap, verdict.done)
        _, complaint = await verdict
    finally:
        verdict.cancel()
    if waiting.process.returncode == 0:
        return None
    if waiting.process.returncode in _FROM_OUTSIDE:
        raise DeliveryError("Envoy was killed while it judged the changes", "is there too little memory? see `dmesg`")
    words = _PREFIX.sub("", complaint.decode(errors="replace").strip())
    return words or f"Envoy ended with status {waiting.process.returncode} and said nothing"


async def _feed(pipe: io.FileIO, bootstrap: bytes, gone: Callable[[], bool]) -> None:
    """Writes it all, and lets go of the pipe only when Envoy has read it: before, closing it would lose it."""
    left = memoryview(bootstrap)
    while not gone() and (left or _unread(pipe)):
        left = left[pipe.write(left) or 0 :]
        await asyncio.sleep(_PAUSE)
    pipe.close()


def _release(fifo: Path) -> None:
    """An Envoy whose meshd was killed before it had opened its FIFO waits for a writer for ever: here is one."""
    with contextlib.suppress(OSError):
        os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
    fifo.unlink()


def _unread(pipe: io.FileIO) -> int:
    count = array.array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, count)
    return count[0]


async def _discard(waiting: _Waiting) -> None:
    """Whatever became of it: no process, no descriptor and no file is left."""
    waiting.pipe.close()
    waiting.fifo.unlink(missing_ok=True)
    if waiting.process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            waiting.process.kill()
    await waiting.process.communicate()
