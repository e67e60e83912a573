"""Messages come in; what YAML or JSON would say of them goes out, so that decoding it gives the same again."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import timedelta

from meshd.decode.durations import format_duration
from meshd.decode.messages import camel_case
from meshd.fields import Message


def written(message: Message) -> dict[str, object]:
    """In the order of the fields. What is as it would be without being given is left out."""
    return {
        camel_case(field.name): _written(value)
        for field in dataclasses.fields(message)
        if field.name != "origin" and (value := getattr(message, field.name)) != _default(field)
    }


def _written(value: object) -> object:
    if isinstance(value, Message):
        return written(value)
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, Mapping):
        return {key: _written(each) for key, each in sorted(value.items())}
    return [_written(each) for each in value] if isinstance(value, tuple) else value


def _default(field: dataclasses.Field[object]) -> object:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default
