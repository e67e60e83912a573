"""The faults of a RouteRule -> those of an HTTPRoute, and the extras for what these cannot say (section 5)."""

from __future__ import annotations

from dataclasses import dataclass

from meshd.convert.report import Report
from meshd.problems import Origin
from meshd.resources.extras import FaultExtras
from meshd.resources.fault import GRPC_STATUSES, FaultAbort, FaultDelay, HTTPFaultInjection, Percentage
from meshd.resources.legacy.http_fault import Abort, Delay
from meshd.resources.legacy.http_fault import HTTPFaultInjection as OldFault


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    fault: HTTPFaultInjection | None = None
    delay: FaultExtras | None = None
    abort: FaultExtras | None = None


def fault(old: OldFault | None, report: Report) -> Fault:
    if old is None:
        return Fault()
    delay = _delay(old.delay, report) if old.delay else None
    abort = _abort(old.abort) if old.abort else None
    made = HTTPFaultInjection(delay=delay, abort=abort, origin=old.origin) if delay or abort else None
    return Fault(fault=made, delay=_extras(old.delay, report), abort=_extras(old.abort, report))


def _delay(old: Delay, report: Report) -> FaultDelay | None:
    if old.fixed_delay is None and old.exponential_delay is None:
        return None
    if old.exponential_delay is not None:
        at = old.origin.at("exponentialDelay")
        report.add("L-EXTRA", at, "exponentialDelay is converted as it is, but only meshd acts on it")
    return FaultDelay(
        percentage=_share(old.percent, old.origin),
        fixed_delay=old.fixed_delay,
        exponential_delay=old.exponential_delay,
        origin=old.origin,
    )


def _abort(old: Abort) -> FaultAbort | None:
    """An HTTP/2 error is what a gRPC client makes of it: whether all clients are such, `route_rules` asks (ABT-05)."""
    status = _status_of(old)
    if old.http_status is None and status is None:
        return None
    return FaultAbort(
        percentage=_share(old.percent, old.origin),
        http_status=old.http_status,
        grpc_status=status,
        origin=old.origin,
    )


def _status_of(old: Abort) -> str | None:
    if old.http2_error is None:
        return old.grpc_status_name
    code = FaultAbort(http2_error=old.http2_error).grpc_code
    return None if code is None else GRPC_STATUSES[code]


def _share(percent: float | None, at: Origin) -> Percentage:
    """Absent is all; today it would be none."""
    return Percentage(value=100.0 if percent is None else percent, origin=at)


def _extras(old: Delay | Abort | None, report: Report) -> FaultExtras | None:
    if old is None or old.override_header_name is None:
        return None
    at = old.origin.at("overrideHeaderName")
    report.add("L-EXTRA", at, "no VirtualService can take a fault from a header; extras say it to meshd")
    return FaultExtras(header=old.override_header_name, percent=old.percent)
