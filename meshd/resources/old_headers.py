"""`headers` as it was spelt in 2018, field by field: `appendHeaders`, `removeResponseHeaders` ... (spec section 12)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Self

from meshd.fields import Message, Old
from meshd.problems import Origin, Problem
from meshd.resources.finding import legacy
from meshd.resources.headers import (
    HeaderOperations,
    Headers,
    check_removed,
    check_request_name,
    check_response_name,
    check_value,
)

Removed = tuple[str, ...] | Mapping[str, str]
"""Names; in 2018 they were the keys of a map, whatever its values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EditsHeaders(Message):
    """What routes and their destinations have in common."""

    headers: Headers | None = None
    append_request_headers: Annotated[Mapping[str, str], Old("headers.request.add")] = field(default_factory=dict)
    remove_request_headers: Annotated[Removed, Old("headers.request.remove")] = ()
    append_response_headers: Annotated[Mapping[str, str], Old("headers.response.add")] = field(default_factory=dict)
    remove_response_headers: Annotated[Removed, Old("headers.response.remove")] = ()

    def check(self) -> Iterator[Problem]:
        """Of the old spellings only: `headers` looks after itself."""
        yield from self._check_added("appendRequestHeaders", self.append_request_headers, to="request")
        yield from self._check_added("appendResponseHeaders", self.append_response_headers, to="response")
        yield from self._check_removed("removeRequestHeaders", self.remove_request_headers, of="request")
        yield from self._check_removed("removeResponseHeaders", self.remove_response_headers, of="response")

    def settled(self) -> Self:
        request = _operations(self._added_to_request(), self.remove_request_headers, self.origin)
        response = _operations(self.append_response_headers, self.remove_response_headers, self.origin)
        if request is None and response is None:
            return self
        given = self.headers or Headers(origin=self.origin)
        return replace(
            self,
            headers=replace(given, request=_joined(given.request, request), response=_joined(given.response, response)),
            append_request_headers={},
            remove_request_headers=(),
            append_response_headers={},
            remove_response_headers=(),
        )

    def _added_to_request(self) -> Mapping[str, str]:
        return self.append_request_headers

    def _check_added(self, name: str, edits: Mapping[str, str], *, to: str) -> Iterator[Problem]:
        at = self.origin.at(name)
        if edits:
            yield legacy(at, "this is an old name", f"write headers: {{{to}: {{add: ...}}}}")
        for header, value in edits.items():
            check_name = check_request_name if to == "request" else check_response_name
            yield from check_name(header, at.item(header))
            yield from check_value(value, at.item(header))

    def _check_removed(self, name: str, headers: Removed, *, of: str) -> Iterator[Problem]:
        at = self.origin.at(name)
        if headers:
            yield legacy(at, "this is an old name", f"write headers: {{{of}: {{remove: [...]}}}}")
        for header in headers:
            yield from check_removed(header, at.item(header))


def _operations(added: Mapping[str, str], removed: Removed, origin: Origin) -> HeaderOperations | None:
    return HeaderOperations(add=added, remove=tuple(removed), origin=origin) if added or removed else None


def _joined(given: HeaderOperations | None, old: HeaderOperations | None) -> HeaderOperations | None:
    """What is said in today's words of one header stands."""
    if given is None or old is None:
        return given or old
    return replace(given, add={**old.add, **given.add}, remove=tuple(dict.fromkeys((*given.remove, *old.remove))))
