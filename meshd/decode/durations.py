"""Durations as people write them, `1h30m`, `1.5s` or `86400s`: from text, and back to text."""

from __future__ import annotations

import re
from datetime import timedelta
from fractions import Fraction
from functools import lru_cache
from typing import Final

_NANOSECONDS: Final = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
}
_STEP: Final = r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|ms|s|m|h|d)"
_STEPS: Final = re.compile(_STEP)
DURATION: Final = f"(?:{_STEP})+"
_DURATION: Final = re.compile(DURATION)
_LONGEST_TEXT: Final = 64
_LONGEST: Final = timedelta(seconds=315_576_000_000)  # of a protobuf Duration: about 10 000 years


@lru_cache(maxsize=1024)
def parse_duration(text: str) -> timedelta | str:
    """The duration, or what is wrong with the text. Nothing is rounded: finer than a microsecond is refused."""
    if len(text) > _LONGEST_TEXT or not _DURATION.fullmatch(text):
        return f"{text!r} is not a duration"
    steps = (Fraction(number.rstrip(".")) * _NANOSECONDS[unit] for number, unit in _STEPS.findall(text))
    microseconds = sum(steps, Fraction()) / 1_000
    if microseconds.denominator != 1:
        return f"{text!r} is finer than a microsecond"
    if microseconds > _LONGEST // timedelta(microseconds=1):
        return f"{text!r} is more than 10 000 years"
    return timedelta(microseconds=int(microseconds))


def format_duration(duration: timedelta) -> str:
    """The shortest sequence of whole numbers and units: `1h30m`, `1s500ms`, `0s`. Not for negative ones."""
    left = duration // timedelta(microseconds=1) * 1_000
    text = ""
    for unit in ("h", "m", "s", "ms", "us"):
        count, left = divmod(left, _NANOSECONDS[unit])
        text += f"{count}{unit}" if count else ""
    return text or "0s"
