"""`headers` of a route or destination -> edits; what they say of Host is an authority, not a header (V-25, V-54)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from meshd.plan import HeaderEdits
from meshd.resources.virtual_service import HeaderOperations, Headers

_HOST: Final = frozenset({"host", ":authority"})
_NO_EDITS: Final = HeaderEdits()


def request_edits(headers: Headers | None) -> HeaderEdits:
    return _edits(headers.request if headers else None)


def response_edits(headers: Headers | None) -> HeaderEdits:
    return _edits(headers.response if headers else None)


def authority(headers: Headers | None) -> str | None:
    """The Host that request headers ask for; `set` wins over `add`."""
    operations = headers.request if headers else None
    if operations is None:
        return None
    asked = [*operations.set.items(), *operations.add.items()]
    return next((value for name, value in asked if name.lower() in _HOST), None)


def _edits(operations: HeaderOperations | None) -> HeaderEdits:
    if operations is None:
        return _NO_EDITS
    return HeaderEdits(
        set=_pairs(operations.set.items()),
        add=_pairs(operations.add.items()),
        remove=tuple(sorted({name.lower() for name in operations.remove})),
    )


def _pairs(items: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name.lower(), value) for name, value in items if name.lower() not in _HOST))
