"""An annotation comes in, once; the decoder for values of that type goes out."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import cache
from typing import Annotated, Any, Final, Literal, TypeVar, Union, cast, get_args, get_origin

from meshd import documents
from meshd.decode.host_names import host_name
from meshd.decode.json_values import json_value
from meshd.decode.messages import MessageDecoder
from meshd.decode.report import WRONG, Report
from meshd.decode.scalars import (
    Decoder,
    boolean,
    describe,
    duration,
    integer,
    number,
    one_of,
    one_of_any_case,
    text,
    word_or_number,
)
from meshd.documents import Node, Scalar
from meshd.documents.nodes import is_null
from meshd.fields import AnyCase, Check, Coded, InAscii, Json, Message, NotYet

M = TypeVar("M", bound=Message)

_ORIGIN: Final = frozenset({"origin"})


def _anything(node: Node, _path: str, _report: Report) -> object:
    """Of a value that nobody looks at, only its place is kept."""
    return (node.line, node.column)


_SCALARS: Final[dict[object, Decoder]] = {
    object: _anything,
    str: text,
    int: integer,
    float: number,
    bool: boolean,
    timedelta: duration,
    str | int: word_or_number,
    Json: json_value,
}


@cache
def decoder(annotation: Any) -> Decoder:  # noqa: ANN401  (an annotation is whatever `typing` makes of it)
    """The decoder of a type. An annotation that it does not know is a fault of the program, found at the first use."""
    if simple := _SCALARS.get(annotation):
        return simple
    if isinstance(annotation, type) and issubclass(annotation, Message):
        return message_decoder(annotation)
    if isinstance(annotation, typing.NewType):
        return decoder(annotation.__supertype__)
    return _DECODERS[get_origin(annotation)](*get_args(annotation))


@cache
def _message_decoder(kind: Any, without: frozenset[str]) -> MessageDecoder:  # noqa: ANN401
    return MessageDecoder(kind, without, decoder)


def message_decoder(kind: type, without: frozenset[str] = frozenset()) -> MessageDecoder:
    """The decoder of a class of messages, but for the attributes that come from elsewhere."""
    return _message_decoder(kind, without | _ORIGIN)


def decode_message(kind: type[M], node: Node, path: str, report: Report) -> M | None:
    """One message; None when it is wrong, and the report says why."""
    value = message_decoder(kind)(node, path, report)
    return None if value is WRONG else cast("M", value)


# --- types made of types --------------------------------------------------------------------------------------


def _annotated(base: object, *extras: object) -> Decoder:
    if any(isinstance(extra, NotYet) for extra in extras):
        return _not_yet
    checks = tuple(cast("Check", extra) for extra in extras if callable(extra))
    inner = _read_as(base, {type(extra) for extra in extras})
    return _checked(inner, checks) if checks else inner


def _read_as(base: object, marks: set[type]) -> Decoder:
    if AnyCase in marks:
        return one_of_any_case(get_args(base))
    return host_name if InAscii in marks else decoder(base)


def _checked(inner: Decoder, checks: tuple[Check, ...]) -> Decoder:
    def decode(node: Node, path: str, report: Report) -> object:
        value = inner(node, path, report)
        if value is WRONG:
            return WRONG
        for check in checks:
            if message := check(value):
                code = check.code if isinstance(check, Coded) else "E-VALUE"
                return report.wrong(code, node, path, message)
        return value

    return decode


def _not_yet(node: Node, path: str, report: Report) -> object:
    message = "this field is read, but this version of meshd does not act on it yet"
    return report.wrong("E-UNSUPPORTED", node, path, message, "remove it")


def _union(*members: object) -> Decoder:
    """`None` stands for absence. Of several others, the shape of the value says which one is meant."""
    kinds = [member for member in members if member is not types.NoneType]
    if len(kinds) == 1:
        return decoder(kinds[0])
    by_shape: dict[type, Decoder] = {_SHAPES.get(get_origin(kind), Scalar): decoder(kind) for kind in kinds}
    otherwise = decoder(kinds[0])

    def decode(node: Node, path: str, report: Report) -> object:
        return by_shape.get(type(node), otherwise)(node, path, report)

    return decode


def _items(item: object, *_ellipsis: object) -> Decoder:
    inner = decoder(item)

    def decode(node: Node, path: str, report: Report) -> object:
        if type(node) is not documents.Sequence:
            hint = f"write [{node.text}]" if type(node) is Scalar and len(node.text) < 64 else "write `- ` before it"
            return report.wrong("E-TYPE", node, path, f"needs a list, not {describe(node)}", hint)
        values = tuple(
            _no_null(child, f"{path}[{index}]", report) or inner(child, f"{path}[{index}]", report)
            for index, child in enumerate(node.items)
        )
        return WRONG if WRONG in values else values

    return decode


def _entries(key: object, value: object) -> Decoder:
    key_decoder, value_decoder = decoder(key), decoder(value)

    def decode(node: Node, path: str, report: Report) -> object:
        if type(node) is not documents.Mapping:
            return report.wrong("E-TYPE", node, path, f"needs a mapping, not {describe(node)}")
        values: dict[object, object] = {}
        for name, child in node.entries:
            at = f"{path}.{name.text}"
            decoded = key_decoder(name, at, report)
            values[decoded] = _no_null(child, at, report) or value_decoder(child, at, report)
        return WRONG if WRONG in values or WRONG in values.values() else values

    return decode


def _no_null(node: Node, path: str, report: Report) -> object:
    if not is_null(node):
        return None
    return report.wrong("E-TYPE", node, path, "null is not a value here", 'give a value, or "" for empty text')


def _literal(*values: str) -> Decoder:
    return one_of(values)


_SHAPES: Final[dict[object, type]] = {tuple: documents.Sequence, Mapping: documents.Mapping}

_DECODERS: Final[dict[object, Callable[..., Decoder]]] = {
    Annotated: _annotated,
    Union: _union,
    types.UnionType: _union,
    tuple: _items,
    Mapping: _entries,
    Literal: _literal,
}
