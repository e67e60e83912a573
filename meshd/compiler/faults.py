"""`fault` of a route -> delay and abort; a share that is not given is nobody (spec 5.6)."""

from __future__ import annotations

from meshd.plan import Abort, Delay
from meshd.resources.fault import GRPC_STATUSES
from meshd.resources.virtual_service import HTTPFaultInjection, Percentage


def delay(fault: HTTPFaultInjection | None) -> Delay | None:
    asked = fault.delay if fault else None
    if asked is None or asked.fixed_delay is None:
        return None
    millionths = _millionths(asked.percentage, asked.percent)
    return Delay(fixed=asked.fixed_delay, millionths=millionths) if millionths else None


def abort(fault: HTTPFaultInjection | None) -> Abort | None:
    asked = fault.abort if fault else None
    millionths = _millionths(asked.percentage, asked.percent) if asked else 0
    if asked is None or not millionths:
        return None
    if asked.grpc_status is not None:
        return Abort(millionths=millionths, grpc_status=GRPC_STATUSES.index(asked.grpc_status))
    return None if asked.http_status is None else Abort(millionths=millionths, http_status=asked.http_status)


def _millionths(percentage: Percentage | None, percent: int | None) -> int:
    """The deprecated whole percent counts where the percentage is absent."""
    if percentage is not None:
        return round(percentage.value * 10_000)
    return (percent or 0) * 10_000
