"""StringMatch: exact, prefix or regex (spec 5.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from meshd.fields import Count, Message


@dataclass(frozen=True, slots=True, kw_only=True)
class StringMatch(Message):
    """None of the three is allowed: what that means, the field that holds it says."""

    ONEOFS: ClassVar = (("exact", "prefix", "regex"),)

    exact: str | None = None
    prefix: str | None = None
    regex: Annotated[str, Count(1, 1024)] | None = None
