"""One name as the resolver has it: who wants it, what is known of it, and when it is looked up again."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from meshd.names import DnsName, is_srv
from meshd.resolve.answer import Answer
from meshd.resolve.clock import Timer
from meshd.resolve.srv import Service


@dataclass(slots=True, kw_only=True)
class Entry:
    """`wanted` by a plan; `users` are the SRV names whose records lead here, and `service` is what those of this say.

    `tried` when one look-up of this run has ended, whatever it brought; of an SRV name, also one of each target.
    """

    name: DnsName
    wanted: bool = False
    users: set[DnsName] = field(default_factory=set)
    answer: Answer | None = None
    service: Service | None = None
    tried: bool = False
    failures: int = 0
    timer: Timer | None = None
    task: asyncio.Task[None] | None = None

    @property
    def is_srv(self) -> bool:
        return is_srv(self.name)

    @property
    def is_used(self) -> bool:
        return self.wanted or bool(self.users)

    @property
    def targets(self) -> frozenset[DnsName]:
        return self.service.targets if self.service is not None else frozenset()

    def stop(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
        if self.task is not None:
            self.task.cancel()
