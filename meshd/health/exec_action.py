"""`exec`: a command that the mesh names, run on this host (W-15). Whether that is allowed, is decided elsewhere."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from typing import Final

from meshd.health.result import HEALTHY, Result, unhealthy
from meshd.plan import ExecProbe

_ENVIRONMENT: Final = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
"""Nothing of meshd's own: neither its tokens nor the socket by which it speaks to systemd."""

_FAREWELL: Final = 1.0


async def run_command(action: ExecProbe) -> Result:
    """Cancelled, for being too late say, it ends the command and all that the command started."""
    starting = asyncio.ensure_future(_start(action))
    try:
        # Not to be cancelled half-way: asyncio would then end the command alone, and not what that has started.
        process = await asyncio.shield(starting)
        status = await process.wait()
    except asyncio.CancelledError:
        starting.add_done_callback(_kill)
        await _farewell(starting)
        raise
    return HEALTHY if status == 0 else unhealthy(_words(status))


async def _start(action: ExecProbe) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *action.command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env=_ENVIRONMENT,
        cwd="/",
        start_new_session=True,
    )


def _kill(started: asyncio.Task[asyncio.subprocess.Process]) -> None:
    if not started.cancelled() and started.exception() is None:
        with suppress(ProcessLookupError):
            os.killpg(started.result().pid, signal.SIGKILL)


async def _farewell(starting: asyncio.Task[asyncio.subprocess.Process]) -> None:
    """One that hangs in the kernel ends when the kernel lets it; nobody waits for that. Nor for what did not start."""
    with suppress(TimeoutError, OSError):
        async with asyncio.timeout(_FAREWELL):
            process = await asyncio.shield(starting)
            await process.wait()


def _words(status: int) -> str:
    return f"ended by signal {-status}" if status < 0 else f"exit status {status}"
