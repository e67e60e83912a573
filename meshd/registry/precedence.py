"""Who comes first, and who sees what: the order of objects (spec 2.6) and what `exportTo` means (spec 3.3)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TypeVar

from meshd.names import Namespace
from meshd.resources.resource import Metadata, Resource

R = TypeVar("R", bound=Resource)

EVERYBODY = frozenset({"*"})
_NEVER = datetime.max.replace(tzinfo=UTC)

Precedence = tuple[datetime, str, str]
LAST: Precedence = (_NEVER, "", "")


def by_age(resources: Iterable[R]) -> tuple[R, ...]:
    """Git knows no creation time: the one written in the file, else last; then name, then namespace."""
    return tuple(sorted(resources, key=lambda resource: precedence(resource.metadata)))


def precedence(metadata: Metadata) -> Precedence:
    return (_created(metadata.creation_timestamp), metadata.name, metadata.namespace)


def _created(timestamp: str | None) -> datetime:
    """A time without offset is taken as UTC; what is not a time was refused when the resource was checked."""
    if timestamp is None:
        return _NEVER
    time = datetime.fromisoformat(timestamp.upper())
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def exports(export_to: tuple[str, ...], namespace: Namespace) -> frozenset[str]:
    """The namespaces that an object of `namespace` is exported to: `*`, or names; `~` is nobody."""
    if not export_to:
        return EVERYBODY
    return frozenset(namespace if target == "." else target for target in export_to if target != "~")


def exported_to(exported: frozenset[str], namespace: str) -> bool:
    return "*" in exported or namespace in exported
