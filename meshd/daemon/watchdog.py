"""systemd's watchdog: fed while the daemon makes progress, so that a pass that hangs gets the unit restarted."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from meshd.sd_notify import notify

PATIENCE: Final = timedelta(minutes=5)
"""How long one pass may take, besides its fetch, before the watchdog is no longer fed."""


def interval(environment: dict[str, str] | None = None) -> timedelta | None:
    """Half of WatchdogSec, as sd_watchdog_enabled(3) advises; None when it is off or meant for another process."""
    variables = os.environ if environment is None else environment
    if variables.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    microseconds = variables.get("WATCHDOG_USEC", "")
    return timedelta(microseconds=int(microseconds)) / 2 if microseconds.isdigit() and int(microseconds) else None


async def feed(every: timedelta, well: Callable[[], bool]) -> None:
    """Runs until cancelled, on the event loop, so a blocked loop starves the watchdog by itself."""
    while True:
        if well():
            notify("WATCHDOG=1")
        await asyncio.sleep(every.total_seconds())
