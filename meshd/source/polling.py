"""When to ask a repository again."""

from __future__ import annotations

from datetime import timedelta
from random import Random

SPREAD = 0.15


def next_poll(interval: timedelta, random: Random) -> timedelta:
    """The interval, 15 % more or less: 300 hosts that were started together must not ask together for ever."""
    return interval * random.uniform(1 - SPREAD, 1 + SPREAD)
