"""HTTPFaultInjection: delays and errors that clients are given on purpose (spec 5.6)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar, Final

from meshd.fields import Between, Duration, HttpStatus, Later, Message, Percent
from meshd.problems import Problem, nearest
from meshd.resources.finding import doubtful, invalid, legacy

GRPC_STATUSES: Final = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)
"""In the order of their numbers, which begin at 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Percentage(Message):
    value: Percent = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultDelay(Message):
    ONEOFS: ClassVar = (("fixed_delay", "exponential_delay"),)

    percentage: Percentage | None = None
    percent: Annotated[int, Between(0, 100)] | None = None
    fixed_delay: Duration | None = None
    exponential_delay: Later = None

    def check(self) -> Iterator[Problem]:
        """V-78."""
        yield from _check_share(self)
        if self.fixed_delay is None:
            yield doubtful(self.origin, "a delay without fixedDelay delays nothing")


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultAbort(Message):
    ONEOFS: ClassVar = (("http_status", "grpc_status", "http2_error"),)

    percentage: Percentage | None = None
    percent: Annotated[int, Between(0, 100)] | None = None
    http_status: HttpStatus | None = None
    grpc_status: str | None = None
    http2_error: Later = None

    def check(self) -> Iterator[Problem]:
        """V-75 and V-78."""
        yield from _check_share(self)
        if self.http_status is None and self.grpc_status is None:
            yield doubtful(self.origin, "an abort without httpStatus or grpcStatus aborts nothing")
        if self.grpc_status is not None and self.grpc_status not in GRPC_STATUSES:
            hint = nearest(self.grpc_status.upper(), GRPC_STATUSES)
            yield invalid(self.origin.at("grpcStatus"), f"{self.grpc_status!r} is not the name of a gRPC status", hint)


def _check_share(fault: FaultDelay | FaultAbort) -> Iterator[Problem]:
    """V-70, V-71 and V-77: no share given is no request, which was every request in 2018."""
    if fault.percent is not None:
        yield legacy(fault.origin.at("percent"), "percent is deprecated", "write percentage: {value: ...}")
    elif fault.percentage is None:
        yield doubtful(fault.origin, "without a percentage the fault meets no request", "add percentage: {value: 100}")


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPFaultInjection(Message):
    delay: FaultDelay | None = None
    abort: FaultAbort | None = None

    def check(self) -> Iterator[Problem]:
        """V-79."""
        if self.delay is None and self.abort is None:
            yield invalid(self.origin, "a fault needs a delay or an abort")
