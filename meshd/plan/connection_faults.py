"""What connections suffer on purpose, so that it can be seen what becomes of those who use them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, NewType

BitsPerSecond = NewType("BitsPerSecond", int)

EVERY_CONNECTION: Final = 1_000_000
"""In millionths."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttle:
    """So many millionths of the connections share these limits, of what clients receive and send. 0: no limit."""

    millionths: int = EVERY_CONNECTION
    to_client: BitsPerSecond = BitsPerSecond(0)
    to_service: BitsPerSecond = BitsPerSecond(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Termination:
    """So many millionths of the connections are reset so long after they were opened; at 0, the service never sees
    them."""

    millionths: int = EVERY_CONNECTION
    after: timedelta = field(default_factory=timedelta)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionFaults:
    """The two choose for themselves. A connection that is chosen by both is throttled until it is reset.

    `name`: connections for which it is the same come from one rule, and share the limits of its throttle, whichever
    chain takes them.
    """

    name: str
    throttle: Throttle | None = None
    termination: Termination | None = None
