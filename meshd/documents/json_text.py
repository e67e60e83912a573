"""A JSON text, such as an annotation holds, comes in; the node that it is goes out. It has no place of its own."""

from __future__ import annotations

import json
from typing import Final

from meshd.documents.nodes import Mapping, Node, Scalar, Sequence

_DEEPEST: Final = 64


class _Number(str):
    """As it is written; what it is worth, its field knows."""

    __slots__ = ()


class _Object(list[tuple[str, object]]):
    """The entries in their order, a key perhaps twice."""

    __slots__ = ()


def json_node(text: str) -> Node:
    """Raises ValueError for what is not JSON, gives a key twice, or lies too deep."""
    try:
        value = json.loads(
            text, parse_int=_Number, parse_float=_Number, parse_constant=_refused, object_pairs_hook=_Object
        )
    except RecursionError:
        raise ValueError("it lies too deep") from None
    return _node(value, 0)


def _node(value: object, depth: int) -> Node:
    if depth > _DEEPEST:
        raise ValueError(f"it is more than {_DEEPEST} levels deep")
    if isinstance(value, _Object):
        return Mapping(tuple((_scalar(key), _node(each, depth + 1)) for key, each in _once(value)), 0, 0)
    if isinstance(value, list):
        return Sequence(tuple(_node(each, depth + 1) for each in value), 0, 0)
    return _scalar(value)


def _once(entries: _Object) -> _Object:
    keys = {key for key, _ in entries}
    for key, _ in entries:
        if key not in keys:
            raise ValueError(f"{key[:64]!r} is given twice")
        keys.discard(key)
    return entries


def _scalar(value: object) -> Scalar:
    plain = not isinstance(value, str) or isinstance(value, _Number)
    return Scalar(json.dumps(value) if plain and not isinstance(value, str) else str(value), plain, 0, 0)


def _refused(constant: str) -> object:
    raise ValueError(f"{constant} is no number")
