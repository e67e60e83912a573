"""Serialised messages -> the same with each message of one type edited, however deep in them it stands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from google.protobuf import descriptor_pool
from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from meshd.envoy.wire import serialised

M = TypeVar("M", bound=Message)


def edited(body: bytes, empty: Message, mark: bytes, kind: type[M], edit: Callable[[M], None]) -> bytes:
    """`empty`: of the type of `body`. `mark`: what lacks these bytes has nothing to edit, and is not taken apart."""
    if mark not in body:
        return body
    empty.MergeFromString(body)
    _walk(empty, mark, kind, edit)
    return serialised(empty)


def _walk(message: Message, mark: bytes, kind: type[M], edit: Callable[[M], None]) -> None:
    if isinstance(message, kind):
        edit(message)
        return
    for each in _parts(message):
        if not isinstance(each, Any):
            _walk(each, mark, kind, edit)
        elif mark in each.value or mark in each.type_url.encode():
            inner = _unpacked(each)
            _walk(inner, mark, kind, edit)
            each.value = serialised(inner)


def _parts(message: Message) -> Iterator[Message]:
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            yield from (each for each in value.values() if isinstance(each, Message))
        elif field.is_repeated:
            yield from value
        else:
            yield value


def _unpacked(packed: Any) -> Message:
    """Of a type that this room has imported: it packed it."""
    described = descriptor_pool.Default().FindMessageTypeByName(packed.TypeName())
    return GetMessageClass(described).FromString(packed.value)
