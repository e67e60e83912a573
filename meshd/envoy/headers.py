"""Plan header edits -> the four lists of header options that routes and weighted clusters carry."""

from __future__ import annotations

from collections.abc import Iterable

from envoy.config.core.v3.base_pb2 import HeaderValue, HeaderValueOption

from meshd.plan import HeaderEdits

NO_EDITS = HeaderEdits()


def overwrites(pairs: Iterable[tuple[str, str]]) -> list[HeaderValueOption]:
    return [_option(key, value, HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD) for key, value in pairs]


def appends(pairs: Iterable[tuple[str, str]]) -> list[HeaderValueOption]:
    return [_option(key, value, HeaderValueOption.APPEND_IF_EXISTS_OR_ADD) for key, value in pairs]


def _option(key: str, value: str, action: int) -> HeaderValueOption:
    """Envoy skips an empty value: well for a formatter that finds nothing, not for one that was written empty."""
    return HeaderValueOption(header=HeaderValue(key=key, value=value), append_action=action, keep_empty_value=not value)


def to_add(*edits: HeaderEdits) -> list[HeaderValueOption]:
    """Each one's `set` before its `add`; later edits after earlier ones."""
    return [option for edit in edits for option in (*overwrites(edit.set), *appends(edit.add))]


def to_remove(*edits: HeaderEdits) -> list[str]:
    """In order, each name once: Envoy lets it stand twice, a reader should not have to."""
    return list(dict.fromkeys(name for edit in edits for name in edit.remove))
