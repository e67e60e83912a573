"""`fault` of a route -> delay and abort; a share that is not given is nobody (spec 5.6)."""

from __future__ import annotations

from typing import Final

from meshd.plan import Abort, Delay, ExponentialDelay, RouteTable
from meshd.resources.virtual_service import HTTPFaultInjection, Percentage

EVERY_REQUEST: Final = 1_000_000
"""In millionths."""


def delay(fault: HTTPFaultInjection | None) -> Delay | ExponentialDelay | None:
    asked = fault.delay if fault else None
    millionths = _millionths(asked.percentage) if asked else 0
    if asked is None or not millionths:
        return None
    if asked.exponential_delay is not None:
        return ExponentialDelay(mean=asked.exponential_delay)
    return Delay(fixed=asked.fixed_delay, millionths=millionths) if asked.fixed_delay is not None else None


def delayed_share(fault: HTTPFaultInjection | None) -> int:
    """Of how many millionths of the requests a delay is drawn for all its digits together (inventory DLY-05).

    An exponential delay is made of several fixed ones, so which requests it meets must be decided before them.
    """
    asked = fault.delay if fault else None
    if asked is None or asked.exponential_delay is None:
        return EVERY_REQUEST
    return _millionths(asked.percentage) or EVERY_REQUEST


def delays_exponentially(table: RouteTable) -> bool:
    """Whether some route of a table does: the filters for that are many, and there only where they are needed."""
    return any(isinstance(route.delay, ExponentialDelay) for host in table.virtual_hosts for route in host.routes)


def abort(fault: HTTPFaultInjection | None) -> Abort | None:
    asked = fault.abort if fault else None
    millionths = _millionths(asked.percentage) if asked else 0
    if asked is None or not millionths:
        return None
    if asked.grpc_code is not None:
        return Abort(millionths=millionths, grpc_status=asked.grpc_code)
    return None if asked.http_status is None else Abort(millionths=millionths, http_status=asked.http_status)


def _millionths(percentage: Percentage | None) -> int:
    return round(percentage.value * 10_000) if percentage else 0
