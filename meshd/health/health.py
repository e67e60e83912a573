"""Results of runs, one after the other -> whether a workload is healthy, since when, and why not. No clock, no I/O."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from meshd.health.result import Result
from meshd.plan import Probe


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """`since`: when `healthy` last changed. `reason`: why it is unhealthy; of a healthy one, what keeps that in doubt.

    `against`: how many runs in a row contradict `healthy`. Until one run `decided`, nothing is known: it is innocent,
    as its probe may have been added while it serves, and the first run has the word alone.
    """

    workload: str
    healthy: bool = True
    since: datetime
    reason: str = ""
    decided: bool = False
    against: int = 0


def unknown(workload: str, now: datetime) -> Health:
    return Health(workload=workload, since=now, reason="not probed yet")


def again_unknown(health: Health) -> Health:
    """Its probe is another now: what was found stays in force until that one has found something."""
    return replace(health, decided=False, against=0)


def after(health: Health, result: Result, probe: Probe, now: datetime) -> Health:
    """Thresholds are of runs in a row, as in Kubernetes."""
    if result.healthy == health.healthy:
        return replace(health, reason=result.reason, decided=True, against=0)
    against = health.against + 1
    if health.decided and against < _threshold(probe, healthy=result.healthy):
        return replace(health, against=against, reason=result.reason or health.reason)
    return Health(workload=health.workload, healthy=result.healthy, since=now, reason=result.reason, decided=True)


def _threshold(probe: Probe, *, healthy: bool) -> int:
    return probe.success_threshold if healthy else probe.failure_threshold
