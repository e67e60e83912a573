"""L4FaultInjection: connections that are slowed down or cut off on purpose (inventory L4F, THR and TRM)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, ClassVar, Final

from meshd.fields import Between, DurationOrZero, Message, Percent
from meshd.problems import Problem
from meshd.resources.finding import doubtful

BITS_IN_KIB: Final = 8192
"""Envoy counts KiB per second (THR-03)."""

BitsPerSecond = Annotated[int, Between(0, 9223372036854775807)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttle(Message):
    """`percent` absent is all connections; a limit of 0, or none, is no limit."""

    ONEOFS: ClassVar = (("throttle_after_period", "throttle_after_bytes"),)

    percent: Percent | None = None
    downstream_limit_bps: BitsPerSecond | None = None
    upstream_limit_bps: BitsPerSecond | None = None
    throttle_after_period: timedelta | None = None
    throttle_after_bytes: float | None = None
    throttle_for_period: timedelta | None = None

    def check(self) -> Iterator[Problem]:
        yield from self._check_times()
        limits = (("downstreamLimitBps", self.downstream_limit_bps), ("upstreamLimitBps", self.upstream_limit_bps))
        for name, limit in limits:
            if limit and limit < BITS_IN_KIB:
                yield doubtful(self.origin.at(name), f"{limit} is rounded up to {BITS_IN_KIB}, 1 KiB per second")
        if self.downstream_limit_bps or self.upstream_limit_bps:
            yield Problem(
                code="W-THR-SHARED",
                at=self.origin,
                message="all throttled connections share one limit, and bursts of about a second are let through",
            )
        else:
            hint = "set downstreamLimitBps or upstreamLimitBps"
            yield doubtful(self.origin, "a throttle without a limit slows nothing down", hint)

    def _check_times(self) -> Iterator[Problem]:
        """THR-05 to THR-07."""
        after = (("throttleAfterPeriod", self.throttle_after_period), ("throttleAfterBytes", self.throttle_after_bytes))
        for name, given in after:
            if given is not None:
                message = "Envoy throttles a connection from its beginning"
                yield Problem(code="E-THR-AFTER", at=self.origin.at(name), message=message, hint=f"remove {name}")
        if self.throttle_for_period is not None:
            yield Problem(
                code="E-THR-FOR",
                at=self.origin.at("throttleForPeriod"),
                message="Envoy throttles a connection as long as it lives",
                hint="remove throttleForPeriod",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminate(Message):
    """`percent` absent is all connections; a period of 0, or none, cuts them off at once (TRM-02, TRM-03)."""

    percent: Percent | None = None
    terminate_after_period: DurationOrZero | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class L4FaultInjection(Message):
    """A connection that is chosen for both is throttled first (L4F-05)."""

    throttle: Throttle | None = None
    terminate: Terminate | None = None

    def check(self) -> Iterator[Problem]:
        if self.throttle is None and self.terminate is None:
            yield doubtful(self.origin, "an l4Fault without throttle or terminate does nothing", "leave it out")
