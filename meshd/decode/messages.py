"""Mappings come in; messages, with the place of each of their fields, go out."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any

from meshd import documents
from meshd.decode.report import WRONG, Report
from meshd.decode.scalars import Decoder, alternatives, describe
from meshd.documents import Node, Scalar
from meshd.documents.nodes import is_null
from meshd.fields import Also, EmptyIsAbsent, Message, Needed
from meshd.problems import Origin

Values = dict[str, object]
Place = tuple[str, int, int]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """`name` is what YAML calls it, `perTryTimeout`; `attribute` is what Python does.

    `holds_values`: it is a list or map of what has no place of its own, so that this message keeps their places.
    """

    attribute: str
    name: str
    decode: Decoder
    required: bool
    needed: str  # the code of its absence
    old_names: frozenset[str]
    empty_is_absent: bool
    holds_values: bool
    default: object

    @property
    def proto_name(self) -> str:
        """What protobuf calls it, `per_try_timeout`; a word that Python keeps for itself has a `_` behind it here."""
        return self.attribute.rstrip("_")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Fields of which at most one may be given; or, where `needed`, exactly one."""

    names: dict[str, str]  # attribute to what YAML calls it
    needed: bool


class MessageDecoder:
    """Decodes mappings into one class of messages; the attributes of `without` come from elsewhere.

    What it knows of the class is found out at the first use, so that a message may contain its own kind.
    """

    def __init__(self, kind: type[Message], without: frozenset[str], decoder: Callable[[Any], Decoder]) -> None:
        self._kind = kind
        self._without = without
        self._decoder = decoder
        self._short = kind.SHORT
        self._check = _own(kind, "check")
        self._settled = _own(kind, "settled")

    def __call__(self, node: Node, path: str, report: Report) -> object:
        values = self.read(node, path, report)
        return WRONG if values is None else self.make(values, report)

    def make(self, values: Values, report: Report) -> Message:
        """The message in today's words; what it finds wrong with itself, as written, goes into the report."""
        message = self._kind(**values)  # type: ignore[arg-type]
        if self._check is not None:
            report.collect(self._check(message))
        return message if self._settled is None else self._settled(message)

    def read(self, node: Node, path: str, report: Report) -> Values | None:
        """The attributes that are given, and the origin; None when anything is wrong."""
        if self._short and type(node) is Scalar:
            node = documents.Mapping(
                ((Scalar(self._short, False, node.line, node.column), node),), node.line, node.column
            )
        if type(node) is not documents.Mapping:
            report.add("E-TYPE", node, path, f"needs a mapping, not {describe(node)}", self._what_it_holds())
            return None
        step = f"{path}." if path else ""
        values: Values = {}
        places: list[Place] = []
        right = True
        for key, child in node.entries:
            field = self._by_key.get(key.text)
            if field is None or field.attribute in values or key.text in field.old_names:
                field = self._unusual(key, field, step, values, report)
            if field is None:
                right = False
            elif not (is_null(child) or (field.empty_is_absent and _is_empty(child))):  # null: as in Kubernetes
                value = field.decode(child, step + field.name, report)
                right = right and value is not WRONG
                values[field.attribute] = value
                places.append((field.name, child.line, child.column))
                if field.holds_values:
                    places.extend(_places_within(field.name, child))
        origin = report.origin(node, path, tuple(places))
        right = self._is_complete(values, origin, report) and right
        values["origin"] = origin
        return values if right else None

    def _unusual(self, key: Scalar, field: Field | None, step: str, values: Values, report: Report) -> Field | None:
        """A key that is unknown, given again, or old; None when its value is not to be read."""
        if field is None:
            hint = report.nearest(key.text, (field.name for field in self.fields))
            report.add("E-FIELD", key, step + key.text[:64], "there is no such field", hint)
            return None
        if field.attribute in values:
            message = f"given twice, the second time as {key.text!r}"
            report.add("E-DUP-KEY", key, step + field.name, message, "remove one of the two")
            return None
        report.add("W-LEGACY", key, step + key.text, "this is an old name", f"write {field.name!r}")
        return field

    def _is_complete(self, values: Values, origin: Origin, report: Report) -> bool:
        if not self._required and not self.groups:
            return True
        missing = [field for field in self._required if field.attribute not in values]
        for field in missing:
            report.add_at(field.needed, origin.at(field.name), "is required")
        groups = [_fits(group, values, origin, report) for group in self.groups]
        return not missing and all(groups)

    def _what_it_holds(self) -> str:
        names = [field.name for field in self.fields]
        return f"give it as `{names[0]}: ...`" if len(names) == 1 else f"its fields are {', '.join(sorted(names)[:8])}"

    def annotation(self, attribute: str) -> Any:  # noqa: ANN401  (an annotation is whatever `typing` makes of it)
        return self._annotations[attribute]

    @cached_property
    def _annotations(self) -> dict[str, Any]:
        return typing.get_type_hints(self._kind, include_extras=True)

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        hints = self._annotations
        return tuple(
            Field(
                attribute=field.name,
                name=camel_case(field.name),
                decode=self._decoder(hints[field.name]),
                required=field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING,
                needed=next(
                    (each.code for each in extras(hints[field.name]) if isinstance(each, Needed)), "E-REQUIRED"
                ),
                old_names=frozenset(_old_names(hints[field.name])),
                empty_is_absent=any(isinstance(extra, EmptyIsAbsent) for extra in extras(hints[field.name])),
                holds_values=_holds_values(hints[field.name]),
                default=None if field.default is dataclasses.MISSING else field.default,
            )
            for field in dataclasses.fields(self._kind)
            if field.name not in self._without
        )

    @cached_property
    def _by_key(self) -> dict[str, Field]:
        return {key: field for field in self.fields for key in (field.name, field.proto_name, *field.old_names)}

    @cached_property
    def _required(self) -> tuple[Field, ...]:
        return tuple(field for field in self.fields if field.required)

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        groups = [(group, False) for group in self._kind.ONEOFS] + [(group, True) for group in self._kind.EXACTLY_ONE]
        return tuple(Group(names={a: camel_case(a) for a in group}, needed=needed) for group, needed in groups)


def _own(kind: type[Message], method: str) -> Callable[[Message], Any] | None:
    """None for what a kind has from `Message`, which does nothing: most messages of a mesh are of such kinds."""
    return None if getattr(kind, method, None) is getattr(Message, method) else getattr(kind, method, None)


def _fits(group: Group, values: Values, origin: Origin, report: Report) -> bool:
    # In the order of the file. An empty list is as good as none: that is how protobuf reads it.
    given = [name for attribute in values if values[attribute] != () and (name := group.names.get(attribute))]
    names = alternatives(group.names.values())
    if len(given) > 1:
        report.add_at("E-ONEOF", origin.at(given[1]), f"{given[0]!r} is given already: only one of {names} is allowed")
        return False
    if group.needed and not given:
        report.add_at("E-ONEOF", origin, f"needs one of {names}")
        return False
    return True


def _is_empty(node: Node) -> bool:
    return type(node) is Scalar and not node.text


def _places_within(name: str, node: Node) -> Iterator[Place]:
    """As `Origin.item` looks for them: `hosts[1]`, `labels.app`, and all that is in a value of free form."""
    if type(node) is documents.Sequence:
        for index, item in enumerate(node.items):
            yield f"{name}[{index}]", item.line, item.column
            if type(item) is not Scalar:  # nearly all are
                yield from _places_within(f"{name}[{index}]", item)
    elif type(node) is documents.Mapping:
        for key, value in node.entries:
            yield f"{name}.{key.text}", key.line, key.column
            if type(value) is not Scalar:
                yield from _places_within(f"{name}.{key.text}", value)


def _holds_values(annotation: Any) -> bool:  # noqa: ANN401
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is tuple or origin is Mapping:
        return not any(isinstance(part, type) and issubclass(part, Message) for part in arguments)
    return any(_holds_values(part) for part in arguments)


def extras(annotation: object) -> Iterator[object]:
    """What stands beside the type in every `Annotated` of an annotation, but not in those of its items."""
    yield from getattr(annotation, "__metadata__", ())
    if typing.get_origin(annotation) not in {tuple, Mapping}:
        for part in typing.get_args(annotation):
            yield from extras(part)


def _old_names(annotation: object) -> Iterator[str]:
    """Every `Also` in the annotation, in lowerCamelCase and in snake_case."""
    for extra in extras(annotation):
        if isinstance(extra, Also):
            yield from extra.names
            yield from (snake_case(name) for name in extra.names)


def camel_case(attribute: str) -> str:
    """`consecutive_5xx_errors` is `consecutive5xxErrors`, as protobuf has it."""
    first, *rest = attribute.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)


def snake_case(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
