"""HTTPFaultInjection: delays and errors that callers are given on purpose (inventory HFI, DLY and ABT)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, ClassVar, Final

from meshd.fields import HttpStatus, Message, Percent
from meshd.problems import Origin, Problem, nearest
from meshd.resources.fault import GRPC_STATUSES
from meshd.resources.finding import invalid
from meshd.resources.legacy.http_policies import HeaderName
from meshd.resources.legacy.legacy_resource import Duration

HTTP2_ERRORS: Final = frozenset(
    {
        "CANCEL",
        "COMPRESSION_ERROR",
        "CONNECT_ERROR",
        "ENHANCE_YOUR_CALM",
        "FLOW_CONTROL_ERROR",
        "FRAME_SIZE_ERROR",
        "HTTP_1_1_REQUIRED",
        "INADEQUATE_SECURITY",
        "INTERNAL_ERROR",
        "NO_ERROR",
        "PROTOCOL_ERROR",
        "REFUSED_STREAM",
        "SETTINGS_TIMEOUT",
        "STREAM_CLOSED",
    }
)
_SHORTEST_MEAN: Final = timedelta(milliseconds=16)


def grpc_status(value: object) -> str:
    """Its name, or its number (ABT-04)."""
    text = str(value)
    if text in GRPC_STATUSES or (text.isascii() and text.isdigit() and int(text) < len(GRPC_STATUSES)):
        return ""
    return f"{text!r} is neither the name nor the number (0 to {len(GRPC_STATUSES) - 1}) of a gRPC status"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay(Message):
    """`percent` absent is all requests. The header holds milliseconds (DLY-01 to DLY-06)."""

    ONEOFS: ClassVar = (("fixed_delay", "exponential_delay"),)

    percent: Percent | None = None
    fixed_delay: Duration | None = None
    exponential_delay: Duration | None = None
    override_header_name: HeaderName | None = None

    def check(self) -> Iterator[Problem]:
        if self.fixed_delay is None and self.exponential_delay is None and self.override_header_name is None:
            yield _empty(self.origin, "a delay needs fixedDelay or exponentialDelay")
        if self.exponential_delay is not None and self.exponential_delay < _SHORTEST_MEAN:
            yield Problem(
                code="E-EXPDELAY-SMALL",
                at=self.origin.at("exponentialDelay"),
                message="the mean of an exponential delay is at least 16ms",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Abort(Message):
    """`percent` absent is all requests. The header holds an HTTP status (ABT-01 to ABT-06)."""

    ONEOFS: ClassVar = (("http_status", "grpc_status", "http2_error"),)

    percent: Percent | None = None
    grpc_status: Annotated[str | int, grpc_status] | None = None
    http2_error: str | None = None
    http_status: HttpStatus | None = None
    override_header_name: HeaderName | None = None

    @property
    def grpc_status_name(self) -> str | None:
        if self.grpc_status is None or self.grpc_status in GRPC_STATUSES:
            return None if self.grpc_status is None else str(self.grpc_status)
        return GRPC_STATUSES[int(self.grpc_status)]

    def check(self) -> Iterator[Problem]:
        given = (self.http_status, self.grpc_status, self.http2_error, self.override_header_name)
        if all(each is None for each in given):
            yield _empty(self.origin, "an abort needs httpStatus or grpcStatus")
        if self.http2_error is not None:
            yield from _check_http2_error(self.http2_error, self.origin.at("http2Error"))


def _check_http2_error(error: str, at: Origin) -> Iterator[Problem]:
    """ABT-05. What the port has to say to it, only the conversion knows."""
    if error == "STREAM_CLOSED":
        message = "a request cannot be made to end with STREAM_CLOSED"
        yield Problem(code="E-HTTP2ERR", at=at, message=message, hint="choose a grpcStatus or an httpStatus")
    elif error not in HTTP2_ERRORS:
        yield invalid(at, f"{error!r} is not the name of an HTTP/2 error", nearest(error.upper(), HTTP2_ERRORS))


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPFaultInjection(Message):
    """The two do not depend on each other (HFI-03)."""

    delay: Delay | None = None
    abort: Abort | None = None

    def check(self) -> Iterator[Problem]:
        """HFI-02."""
        if self.delay is None and self.abort is None:
            yield _empty(self.origin, "a fault needs a delay or an abort")


def _empty(at: Origin, message: str) -> Problem:
    return Problem(code="E-FAULT-EMPTY", at=at, message=message)
