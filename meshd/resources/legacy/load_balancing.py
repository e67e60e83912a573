"""LoadBalancing: to which host of a service a request goes (inventory LB)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

from meshd.fields import Message
from meshd.problems import Problem
from meshd.resources.legacy.custom import IN_LOAD_BALANCING, Custom, check_custom

SimpleLBPolicy = Literal["ROUND_ROBIN", "LEAST_CONN", "RANDOM"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadBalancing(Message):
    ONEOFS: ClassVar = (("name", "custom"),)

    name: SimpleLBPolicy | None = None
    custom: Custom | None = None

    def check(self) -> Iterator[Problem]:
        """LB-10."""
        if self.name is None and self.custom is None:
            message = "loadBalancing needs the name of a policy: ROUND_ROBIN, LEAST_CONN or RANDOM"
            yield Problem(code="E-LB-EMPTY", at=self.origin, message=message)
        yield from check_custom(self.custom, self.origin.at("custom"), IN_LOAD_BALANCING)
