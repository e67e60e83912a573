"""What one run of a probe found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """`reason`: why it is not healthy, in a few words; empty where it is."""

    healthy: bool
    reason: str = ""


HEALTHY: Final = Result(healthy=True)


def unhealthy(reason: str) -> Result:
    return Result(healthy=False, reason=reason)
