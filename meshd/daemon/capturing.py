"""Whether this host's connections come to its sidecar. The daemon may not redirect them: it notes the ports, and asks.

The table is loaded by a unit of its own, `meshd-capture.service`, which may; see `capture/`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import structlog

from meshd.capture.error import CaptureError
from meshd.capture.knock import Loaded, loaded
from meshd.capture.served import Served, served_by, served_file, written
from meshd.capture.table import Table
from meshd.capture.wanted import wanted_table
from meshd.config import AgentConfig
from meshd.deliver.files import sync_directory, write_durably
from meshd.plan import ProxyPlan
from meshd.problems import Problems
from meshd.systemd.error import SystemdError
from meshd.systemd.units import Systemd

log = structlog.get_logger()

UNIT: Final = "meshd-capture.service"


@dataclass(frozen=True, slots=True, kw_only=True)
class Captured:
    """In the terms of a condition."""

    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """No table where nothing is to be redirected, or where problems keep it from being made."""

    table: Table | None
    problems: Problems
    by_unit: bool


class Capturing:
    def __init__(self, systemd: Systemd | None = None) -> None:
        self._systemd = systemd or Systemd()
        self._wanted: _Wanted | None = None  # until the first plans are known

    def keep(self, config: AgentConfig, plans: Iterable[ProxyPlan]) -> bool:
        """Notes what the proxies listen on. True if another table is in force, and the unit is to load it again.

        So it is when the mesh moved a port, when the settings are others, or when somebody flushed all tables. Blocks.
        """
        served = served_by(plans)
        _note(served_file(Path(config.state_directory)), served)
        table, problems = wanted_table(config, served) if served else (None, ())
        by_unit = config.envoy.supervisor == "systemd"
        self._wanted = _Wanted(table=table, problems=problems, by_unit=by_unit)
        now = self.captured()
        return now is not None and now.status == "False" and by_unit

    def captured(self) -> Captured | None:
        """Asks the kernel, which takes microseconds. None on a host where nothing is captured, nor should be."""
        wanted = self._wanted
        if wanted is None:
            return None
        if wanted.problems:
            return Captured(status="Unknown", reason="OwnerUnknown", message=str(wanted.problems[0]))
        try:
            now = loaded(wanted.table)
        except CaptureError as error:
            return None if wanted.table is None else _silent(error)
        return _told(now, wanted)

    async def reload(self) -> None:
        """Does not wait for it: at boot the unit itself waits for the sidecar. A unit that was stopped stays stopped.

        Nor does it call off the stop that an operator has under way.
        """
        try:
            await self._systemd.queue("reload", UNIT)
        except SystemdError as error:
            log.debug("capture.not_reloaded", error=str(error))
            return
        log.debug("capture.reload_asked", unit=UNIT)


def _told(now: Loaded, wanted: _Wanted) -> Captured | None:
    table = wanted.table
    if table is None:
        return None if now == "none" else _ailing("Unwanted", "nobody takes what the table redirects", "reload", wanted)
    match now:
        case "same":
            into = table.redirections
            message = f"to {into.outbound_port} what is opened here, to {into.inbound_port} what comes in"
            return Captured(status="True", reason="Redirected", message=message)
        case "other":
            return _ailing("Outdated", "the table that is loaded is not the one that is configured", "reload", wanted)
        case "none":
            return _ailing("NotLoaded", "no table is loaded, so nothing is redirected", "enable --now", wanted)


def _silent(error: CaptureError) -> Captured:
    return Captured(status="Unknown", reason="KernelSilent", message=f"{error}; {error.hint}")


def _ailing(reason: str, message: str, verb: str, wanted: _Wanted) -> Captured:
    how = f"systemctl {verb} {UNIT}" if wanted.by_unit else "as root: meshd capture apply"
    return Captured(status="False", reason=reason, message=f"{message}; {how}")


def _note(path: Path, served: Served | None) -> None:
    """Readable for the capture's user, and written only where it says something new."""
    content = written(served)
    try:
        if path.exists() and path.read_bytes() == content:
            return
        staged = path.with_name(f".{path.name}.new")
        write_durably(staged, content)
        staged.chmod(0o644)
        staged.replace(path)
        sync_directory(path.parent)
    except OSError as error:
        log.warning("capture.not_noted", file=str(path), error=error.strerror)
