"""`l4Fault` of a rule, which only extras can say -> what its connections suffer (inventory L4F, THR and TRM)."""

from __future__ import annotations

from datetime import timedelta

from meshd.plan import EVERY_CONNECTION, BitsPerSecond, ConnectionFaults, Termination, Throttle
from meshd.resources.legacy.l4_fault import L4FaultInjection
from meshd.resources.legacy.l4_fault import Terminate as AskedTermination
from meshd.resources.legacy.l4_fault import Throttle as AskedThrottle


def connection_faults(asked: L4FaultInjection | None, name: str) -> ConnectionFaults | None:
    """None where nobody suffers anything: a share of nothing, or a throttle without limits."""
    throttle = _throttle(asked.throttle) if asked and asked.throttle else None
    termination = _termination(asked.terminate) if asked and asked.terminate else None
    return ConnectionFaults(name=name, throttle=throttle, termination=termination) if throttle or termination else None


def _throttle(asked: AskedThrottle) -> Throttle | None:
    millionths = _millionths(asked.percent)
    to_client, to_service = asked.downstream_limit_bps or 0, asked.upstream_limit_bps or 0
    if not millionths or not (to_client or to_service):
        return None
    return Throttle(millionths=millionths, to_client=BitsPerSecond(to_client), to_service=BitsPerSecond(to_service))


def _termination(asked: AskedTermination) -> Termination | None:
    millionths = _millionths(asked.percent)
    return Termination(millionths=millionths, after=asked.terminate_after_period or timedelta()) if millionths else None


def _millionths(percent: float | None) -> int:
    """Not given, it is every connection (TRM-02)."""
    return EVERY_CONNECTION if percent is None else round(percent * 10_000)
