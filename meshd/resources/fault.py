"""HTTPFaultInjection: delays and errors that clients are given on purpose (spec 5.6)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Annotated, ClassVar, Final, Self

from meshd.fields import Between, Duration, HttpStatus, Message, Old, Percent
from meshd.problems import Origin, Problem, nearest
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

_SEEN_BY_GRPC: Final = {
    "REFUSED_STREAM": "UNAVAILABLE",
    "CANCEL": "CANCELLED",
    "ENHANCE_YOUR_CALM": "RESOURCE_EXHAUSTED",
    "INADEQUATE_SECURITY": "PERMISSION_DENIED",
    "NO_ERROR": "INTERNAL",
    "PROTOCOL_ERROR": "INTERNAL",
    "INTERNAL_ERROR": "INTERNAL",
    "FLOW_CONTROL_ERROR": "INTERNAL",
    "SETTINGS_TIMEOUT": "INTERNAL",
    "FRAME_SIZE_ERROR": "INTERNAL",
    "COMPRESSION_ERROR": "INTERNAL",
    "CONNECT_ERROR": "INTERNAL",
    "HTTP_1_1_REQUIRED": "INTERNAL",
}
"""What a gRPC client makes of a stream that is reset with an HTTP/2 error (inventory ABT-05)."""

_SHORTEST_MEAN: Final = timedelta(milliseconds=16)
"""Of an exponential delay, the finest digit of which is a sixteenth of the mean (inventory DLY-05)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Percentage(Message):
    value: Percent = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultDelay(Message):
    ONEOFS: ClassVar = (("fixed_delay", "exponential_delay"),)

    percentage: Percentage | None = None
    percent: Annotated[int, Between(0, 100), Old("percentage")] | None = None
    fixed_delay: Duration | None = None
    exponential_delay: Duration | None = None

    def check(self) -> Iterator[Problem]:
        """V-73 and V-78."""
        yield from _check_share(self)
        if self.fixed_delay is None and self.exponential_delay is None:
            yield doubtful(self.origin, "a delay without fixedDelay or exponentialDelay delays nothing")
        if self.exponential_delay is not None and self.exponential_delay < _SHORTEST_MEAN:
            yield invalid(self.origin.at("exponentialDelay"), "the mean of an exponential delay is at least 16ms")

    def settled(self) -> Self:
        return replace(self, percentage=_share(self), percent=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultAbort(Message):
    ONEOFS: ClassVar = (("http_status", "grpc_status", "http2_error"),)

    percentage: Percentage | None = None
    percent: Annotated[int, Between(0, 100), Old("percentage")] | None = None
    http_status: HttpStatus | None = None
    grpc_status: str | None = None
    http2_error: str | None = None

    def check(self) -> Iterator[Problem]:
        """V-75, V-76 and V-78."""
        yield from _check_share(self)
        if self.http_status is None and self.grpc_status is None and self.http2_error is None:
            yield doubtful(self.origin, "an abort without httpStatus or grpcStatus aborts nothing")
        if self.http2_error is not None:
            yield from _check_http2_error(self.http2_error, self.origin.at("http2Error"))
        if self.grpc_status is not None and self.grpc_status not in GRPC_STATUSES:
            hint = nearest(self.grpc_status.upper(), GRPC_STATUSES)
            yield invalid(self.origin.at("grpcStatus"), f"{self.grpc_status!r} is not the name of a gRPC status", hint)

    def settled(self) -> Self:
        return replace(self, percentage=_share(self), percent=None)

    @property
    def grpc_code(self) -> int | None:
        """The number of the gRPC status with which gRPC requests end, whichever of the two ways it is said."""
        status = _SEEN_BY_GRPC.get(self.http2_error or "") or self.grpc_status
        return None if status is None else GRPC_STATUSES.index(status)


def _check_http2_error(error: str, at: Origin) -> Iterator[Problem]:
    """Envoy cannot reset a stream with a chosen error."""
    status = _SEEN_BY_GRPC.get(error)
    if status is not None:
        message = f"gRPC requests get what their client makes of {error}: status {status}"
        yield doubtful(at, message, f"write grpcStatus: {status}")
    elif error == "STREAM_CLOSED":
        yield invalid(at, "a request cannot be made to end with STREAM_CLOSED", "choose a grpcStatus")
    else:
        yield invalid(at, f"{error!r} is not the name of an HTTP/2 error", nearest(error.upper(), _SEEN_BY_GRPC))


def _share(fault: FaultDelay | FaultAbort) -> Percentage | None:
    """The deprecated whole percent counts where the percentage is absent."""
    if fault.percentage is not None or fault.percent is None:
        return fault.percentage
    return Percentage(value=fault.percent, origin=fault.origin.at("percent"))


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
