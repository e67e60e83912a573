"""What is done to the headers of requests and responses (spec V-25 and V-54)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from meshd.fields import Message, header_token
from meshd.problems import Origin, Problem
from meshd.resources.finding import invalid
from meshd.resources.formatters import formatter_fault

AUTHORITY: Final = frozenset({"host", ":authority"})
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def header_text(value: object) -> str:
    """A text that Envoy will write into a header as it is."""
    return f"{value!r} has a control character" if _CONTROL.search(str(value)) else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderOperations(Message):
    set: Mapping[str, str] = field(default_factory=dict)
    add: Mapping[str, str] = field(default_factory=dict)
    remove: tuple[str, ...] = ()

    def check(self) -> Iterator[Problem]:
        """Values, and what is removed. Which names may be written, `Headers` knows."""
        for operation, edits in (("set", self.set), ("add", self.add)):
            for name, value in edits.items():
                yield from check_value(value, self.origin.at(operation).item(name))
        for index, name in enumerate(self.remove):
            yield from check_removed(name, self.origin.at("remove").item(index))

    def named(self) -> Iterator[tuple[str, Origin]]:
        """The headers that are written, set before add, each with its place."""
        for operation, edits in (("set", self.set), ("add", self.add)):
            for name in edits:
                yield name, self.origin.at(operation).item(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Headers(Message):
    request: HeaderOperations | None = None
    response: HeaderOperations | None = None

    def check(self) -> Iterator[Problem]:
        """Names. How often a request may name its authority depends on where this stands."""
        for name, at in self.request.named() if self.request else ():
            yield from check_request_name(name, at)
        for name, at in self.response.named() if self.response else ():
            yield from check_response_name(name, at)

    def authorities(self) -> tuple[tuple[str, Origin], ...]:
        """Where the request's Host is written."""
        return (
            tuple((name, at) for name, at in self.request.named() if name.lower() in AUTHORITY) if self.request else ()
        )


def check_value(value: str, at: Origin) -> Iterator[Problem]:
    if header_text(value):
        yield invalid(at, header_text(value))
    if fault := formatter_fault(value):
        yield invalid(at, fault, "write '%%' for a plain percent sign")


def check_removed(name: str, at: Origin) -> Iterator[Problem]:
    if name.startswith(":") or name.lower() == "host":
        yield invalid(at, f"{name!r} cannot be removed")
    elif fault := header_token(name):
        yield invalid(at, fault)


def check_request_name(name: str, at: Origin) -> Iterator[Problem]:
    if name.lower() not in AUTHORITY:
        yield from _check_name(name, at)


def check_response_name(name: str, at: Origin) -> Iterator[Problem]:
    if name.lower() == "host":
        yield invalid(at, "a response has no Host header")
    else:
        yield from _check_name(name, at)


def _check_name(name: str, at: Origin) -> Iterator[Problem]:
    if name.startswith(":"):
        yield invalid(
            at, f"pseudo-header {name!r} cannot be written", "a request's authority is 'host' or ':authority'"
        )
    elif fault := header_token(name):
        yield invalid(at, fault)
