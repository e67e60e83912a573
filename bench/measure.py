"""What /proc says of a process, and what a series of durations comes to."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_TICK = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cpu:
    """Seconds of CPU: of the process itself, and of its children that have ended."""

    own: float
    children: float

    def since(self, before: Cpu, changes: int) -> Cpu:
        """Per change."""
        return Cpu(own=(self.own - before.own) / changes, children=(self.children - before.children) / changes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Of durations in seconds."""

    durations: tuple[float, ...]

    def percentile(self, share: float) -> float:
        """By nearest rank: a duration that was measured, never one in between."""
        ordered = sorted(self.durations)
        return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def series(durations: Sequence[float]) -> Series:
    return Series(durations=tuple(durations))


def cpu(pid: int) -> Cpu:
    fields = (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()
    user, system, children_user, children_system = (int(field) * _TICK for field in fields[11:15])
    return Cpu(own=user + system, children=children_user + children_system)


def resident(pid: int) -> int:
    """Bytes."""
    status = (Path("/proc") / str(pid) / "status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024
