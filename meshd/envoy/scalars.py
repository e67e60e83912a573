"""Python's numbers and durations -> the wrapper messages that Envoy's fields take."""

from __future__ import annotations

from datetime import timedelta

from envoy.config.core.v3.base_pb2 import RuntimeFractionalPercent
from envoy.type.v3.percent_pb2 import FractionalPercent, Percent
from google.protobuf.duration_pb2 import Duration
from google.protobuf.wrappers_pb2 import BoolValue, UInt32Value, UInt64Value


def duration(span: timedelta) -> Duration:
    return Duration(seconds=span.days * 86_400 + span.seconds, nanos=span.microseconds * 1_000)


def maybe_duration(span: timedelta | None) -> Duration | None:
    return None if span is None else duration(span)


def uint32(number: int) -> UInt32Value:
    return UInt32Value(value=number)


def maybe_uint32(number: int | None) -> UInt32Value | None:
    return None if number is None else UInt32Value(value=number)


def uint64(number: int) -> UInt64Value:
    return UInt64Value(value=number)


def boolean(value: bool) -> BoolValue:  # noqa: FBT001
    """For fields whose absence means something other than false."""
    return BoolValue(value=value)


def percent(value: float) -> Percent:
    return Percent(value=value)


def of_million(numerator: int) -> FractionalPercent:
    return FractionalPercent(numerator=numerator, denominator=FractionalPercent.MILLION)


def share(millionths: int) -> RuntimeFractionalPercent:
    return RuntimeFractionalPercent(default_value=of_million(millionths))
