"""What the four kinds of v1alpha1 share: their API group, of any version, and the types of their values (spec GP)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, ClassVar

from meshd.fields import Between, Coded, Count, label_key, label_value, whole_milliseconds
from meshd.resources.resource import Resource


@dataclass(frozen=True, slots=True, kw_only=True)
class LegacyResource(Resource):
    """Known by its kind; `apiVersion` may be absent, or name any version of the group (GP-06)."""

    GROUP: ClassVar[str] = "config.istio.io"
    VERSIONS: ClassVar[tuple[str, ...]] = ()


def at_least_1ms(value: object) -> str:
    assert isinstance(value, timedelta)
    return "a duration must be at least 1ms" if value < timedelta(milliseconds=1) else ""


Duration = Annotated[timedelta, Coded("E-DUR-MIN", at_least_1ms), whole_milliseconds]
"""GP-02 and CB-16."""

Labels = Mapping[Annotated[str, label_key], Annotated[str, label_value, Count(0, 63)]]
"""GP-05."""

PortNumber = Annotated[int, Coded("E-PORT", Between(1, 65535))]
Precedence = Annotated[int, Between(-2147483648, 2147483647)]
"""The higher number comes first; absent is 0 (RR-10, IR-10)."""
