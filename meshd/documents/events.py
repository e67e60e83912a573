"""What of PyYAML's events is read here.

Their stubs say that every part of an event may be absent; of events that come from a text, none of these is.
"""

from __future__ import annotations

from typing import Protocol


class Mark(Protocol):
    line: int
    column: int


class AnyEvent(Protocol):
    start_mark: Mark


class AliasEvent(AnyEvent, Protocol):
    anchor: str


class NodeEvent(AnyEvent, Protocol):
    anchor: str | None
    tag: str | None


class ScalarEvent(NodeEvent, Protocol):
    value: str
    implicit: tuple[bool, bool]
