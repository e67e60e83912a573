"""What the log says of conditions that changed and of passes that are over."""

from __future__ import annotations

from typing import Final

import structlog

from meshd.daemon.conditions import Condition
from meshd.health.health import Health
from meshd.problems import errors
from meshd.reconcile import Outcome, Rejection

log = structlog.get_logger()

_SHOWN: Final = 50
"""Problems of one revision in the log; status has them all."""


def log_condition(condition: Condition) -> None:
    if condition.type == "Reconciling":
        return
    bad = "True" if condition.type in {"Stalled", "FetchFailed"} else "False"
    say = log.warning if condition.status == bad else log.info
    say(
        "condition.changed",
        type=condition.type,
        status=condition.status,
        reason=condition.reason,
        text=condition.message,
    )


def log_health(health: Health) -> None:
    """Of a workload that became healthy or unhealthy."""
    if health.healthy:
        log.info("workload.healthy", workload=health.workload)
    else:
        log.warning("workload.unhealthy", workload=health.workload, why=health.reason)


def log_outcome(outcome: Outcome, rejected: tuple[Rejection, ...], milliseconds: int) -> None:
    """Only what a pass changed, or refused for the first time."""
    if outcome.delivered is not None:
        log.info(
            "generation.delivered",
            revision=outcome.accepted,
            generation=outcome.delivered.generation,
            sent=outcome.delivered.sent,
            milliseconds=milliseconds,
        )
    for rejection in rejected:
        # All that is wrong with the newest; the others are passed over, often for one reason that they share.
        shown = _SHOWN if rejection.revision == outcome.fetched else 1
        for problem in errors(rejection.problems)[:shown]:
            at = {"resource": str(problem.at.resource)} if problem.at.resource else {}
            log.warning("revision.rejected", revision=rejection.revision, code=problem.code, **at, problem=str(problem))
