"""Classes of messages come in; a JSON Schema that says of them what JSON Schema can say goes out, for editors.

The dialect is 2020-12, in words that editors of draft 7 read alike. It is no second decoder: it accepts what the
decoder accepts, and some of what only the checks of a whole object refuse. Names that an editor should not offer (those
in snake_case, and old ones) stand in `patternProperties`.
"""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Annotated, Any, Final, Literal, Union

from meshd.decode.decoders import message_decoder
from meshd.decode.durations import DURATION
from meshd.decode.messages import Field, Group, camel_case, extras
from meshd.decode.objects import SERVER_WRITTEN, ResourceKind
from meshd.fields import AnyCase, Between, Coded, Count, EmptyIsAbsent, Matching, Message, NotYet, Old, percentage
from meshd.fields import Json as JsonValue

Json = dict[str, Any]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

_SCALARS: Final[dict[object, Json]] = {
    object: {},
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    timedelta: {
        "type": "string",
        "description": "A duration, such as 1h30m or 500ms.",
        "pattern": f"^{DURATION}$",
        "patternErrorMessage": "This is not a duration, such as 1h30m or 500ms.",
    },
    JsonValue: {},
}
_COUNTED: Final = {"string": ("minLength", "maxLength"), "array": ("minItems", "maxItems")}


def mesh_schema(kinds: Iterable[type[ResourceKind]]) -> Json:
    """Of any object of a mesh repository; those of other API groups, which are skipped, may be anything."""
    kinds = tuple(kinds)
    definitions = _Definitions()
    for kind in kinds:
        definitions.add_kind(kind)
    return {
        "$schema": DIALECT,
        "title": "An object of a meshd repository",
        "type": "object",
        "properties": {
            "apiVersion": {"anyOf": [{"enum": _api_versions(kinds)}, {"type": "string"}]},
            "kind": {"anyOf": [{"enum": sorted({kind.KIND for kind in kinds})}, {"type": "string"}]},
        },
        "required": ["kind"],
        "allOf": [*_by_group(kinds), *_by_kind(kinds), _list()],
        "$defs": definitions.in_order(),
    }


def kind_schema(kind: type[ResourceKind]) -> Json:
    """Of the objects of one kind."""
    definitions = _Definitions()
    definitions.add_kind(kind)
    return {"$schema": DIALECT, "$ref": _reference(kind.KIND), "$defs": definitions.in_order()}


# --- objects --------------------------------------------------------------------------------------------------


def _api_versions(kinds: Iterable[type[ResourceKind]]) -> list[str]:
    """The newest of a group first, for that is what an editor offers first."""
    versions = (f"{kind.GROUP}/{version}" for kind in kinds for version in reversed(kind.VERSIONS))
    return list(dict.fromkeys(versions))


def _by_group(kinds: tuple[type[ResourceKind], ...]) -> Iterator[Json]:
    """A kind of our groups is one that there is."""
    for group in sorted({kind.GROUP for kind in kinds}):
        names = [kind.KIND for kind in kinds if group == kind.GROUP]
        yield {"if": _is_of(group), "then": {"properties": {"kind": {"enum": names}}}}


def _by_kind(kinds: tuple[type[ResourceKind], ...]) -> Iterator[Json]:
    for kind in kinds:
        condition = _is_of(kind.GROUP)
        condition["properties"]["kind"] = {"const": kind.KIND}
        condition["required"] = ["apiVersion", "kind"] if kind.VERSIONS else ["kind"]
        yield {"if": condition, "then": {"$ref": _reference(kind.KIND)}}


def _is_of(group: str) -> Json:
    of_group = {"pattern": f"^{re.escape(group)}/"}
    return {"type": "object", "properties": {"apiVersion": of_group}, "required": ["apiVersion"]}


def _list() -> Json:
    """What `kubectl get -o yaml` prints for several objects."""
    named = {"apiVersion": {"const": "v1"}, "kind": {"const": "List"}}
    is_list = {"type": "object", "properties": named, "required": list(named)}
    return {"if": is_list, "then": {"properties": {"items": {"type": "array", "items": {"$ref": "#"}}}}}


# --- messages -------------------------------------------------------------------------------------------------


class _Definitions:
    """The `$defs` of a schema: each class of messages once, by its name."""

    def __init__(self) -> None:
        self._schemas: dict[str, Json] = {}
        self._classes: dict[str, type] = {}

    def in_order(self) -> dict[str, Json]:
        return dict(sorted(self._schemas.items()))

    def add_kind(self, kind: type[ResourceKind]) -> None:
        hints = message_decoder(kind).annotation
        metadata = self._value(hints("metadata"))
        spec = self._value(hints(kind.SPEC)) if kind.SPEC else self._message(kind, f"{kind.KIND}Spec")
        described = self._schemas[metadata["$ref"].removeprefix(_reference(""))]
        described.setdefault("patternProperties", {})[_any_of(SERVER_WRITTEN)] = {}
        versions = {"enum": _api_versions([kind])} if kind.VERSIONS else {"type": "string"}
        self._schemas[kind.KIND] = {
            "title": kind.KIND,
            **_description_of_kind(kind),
            "type": "object",
            "properties": {
                "apiVersion": versions,
                "kind": {"const": kind.KIND},
                "metadata": metadata,
                "spec": spec,
                "status": {"description": "What Kubernetes adds; it is ignored."},
            },
            "required": [*(["apiVersion"] if kind.VERSIONS else []), "kind", "metadata", "spec"],
            "additionalProperties": False,
        }

    def _message(self, kind: type, name: str) -> Json:
        """A reference to a class of messages, which is described at the first."""
        if self._classes.setdefault(name, kind) is not kind:
            raise TypeError(f"two classes of messages are called {name}")
        if name not in self._schemas:
            self._schemas[name] = {}
            self._schemas[name] = self._fields(kind, name)
        return {"$ref": _reference(name)}

    def _message_or_short(self, kind: type[Message]) -> Json:
        schema = self._message(kind, self._name(kind))
        return {"anyOf": [{"type": "string"}, schema]} if kind.SHORT else schema

    def _name(self, kind: type) -> str:
        """Two rooms may call different things alike: the second is named with its room."""
        name = kind.__name__
        known = self._classes.setdefault(name, kind)
        return name if _room(known) == _room(kind) else f"{_room(kind)}.{name}"

    def _fields(self, kind: type, name: str) -> Json:
        decoder = message_decoder(kind, frozenset({"metadata"}) if hasattr(kind, "KIND") else frozenset())
        values = {each.name: self._field(decoder.annotation(each.attribute), each) for each in decoder.fields}
        given = [each for each in decoder.fields if values[each.name] is not None]
        offered = [each for each in given if not (values[each.name] or {}).get("deprecated")]
        said = {
            "patternProperties": dict(_other_names(given, values)),
            "required": [each.name for each in given if each.required and not _spellings(each)],
            "allOf": [*_required(given), *_groups(decoder.groups)],
        }
        return {
            "title": name,
            **_description(kind),
            "type": "object",
            "properties": {each.name: values[each.name] for each in offered},
            "additionalProperties": False,
            **{word: what for word, what in said.items() if what},
        }

    def _field(self, annotation: Any, each: Field) -> Json | None:  # noqa: ANN401
        """None for what this version does not act on: an editor then says that it is not allowed."""
        if any(isinstance(extra, NotYet) for extra in extras(annotation)):
            return None
        value = self._value(annotation)
        for extra in extras(annotation):
            if isinstance(extra, Old):
                value |= _deprecated(extra.instead)
        return {**value, "default": each.default} if isinstance(each.default, str) and each.default else value

    # --- values -----------------------------------------------------------------------------------------------

    def _value(self, annotation: Any) -> Json:  # noqa: ANN401  (an annotation is whatever `typing` makes of it)
        if annotation in _SCALARS:
            return dict(_SCALARS[annotation])
        if isinstance(annotation, type) and issubclass(annotation, Message):
            return self._message_or_short(annotation)
        if isinstance(annotation, typing.NewType):
            return self._value(annotation.__supertype__)
        return self._made_of_types(typing.get_origin(annotation), typing.get_args(annotation))

    def _made_of_types(self, origin: object, arguments: tuple[Any, ...]) -> Json:
        if origin is Annotated:
            return _narrowed(self._value(arguments[0]), arguments[1:])
        if origin is Literal:
            return {"enum": list(arguments)}
        if origin is tuple:
            return {"type": "array", "items": self._value(arguments[0])}
        if origin is Mapping:
            names, values = (self._value(each) for each in arguments)
            return {"type": "object", "propertyNames": names, "additionalProperties": values}
        assert origin in {Union, types.UnionType}, f"no schema for {origin}"
        return self._union(arguments)

    def _union(self, members: Iterable[Any]) -> Json:
        kinds = [self._value(member) for member in members if member is not types.NoneType]
        return kinds[0] if len(kinds) == 1 else {"anyOf": kinds}


def _room(kind: type) -> str:
    """The package of its module, without those around it."""
    return kind.__module__.rpartition(".")[0].rpartition(".")[2]


def _reference(name: str) -> str:
    return f"#/$defs/{name}"


def _description(kind: type) -> Json:
    """The docstring; what the standard library writes into a dataclass that has none is none."""
    text = kind.__dict__.get("__doc__") or ""
    return {} if text.startswith(f"{kind.__name__}(") else _for_users(text)


def _description_of_kind(kind: type) -> Json:
    """The first paragraph of its module: `Gateway: where a gateway proxy listens, ...`."""
    text, _, _ = (getattr(inspect.getmodule(kind), "__doc__", "") or "").partition("\n\n")
    return _for_users(text.removeprefix(f"{kind.__name__}: "))


_REFERENCE: Final = re.compile(r"\s*\((?:spec |[A-Z]+-)[^)]*\)|\bSpec [0-9.]+ |[A-Z]+-[0-9.]+: ")
_ATTRIBUTE: Final = re.compile(r"`([a-z0-9_]+)`")


def _for_users(text: str) -> Json:
    """Names as YAML has them, and no numbers of a specification that is not at hand."""
    text = _ATTRIBUTE.sub(lambda name: f"`{camel_case(name[1])}`", _REFERENCE.sub("", inspect.cleandoc(text)))
    return {"description": text[:1].upper() + text[1:]} if text else {}


def _narrowed(schema: Json, extras: Iterable[object]) -> Json:
    """What stands beside a type in an `Annotated`, as far as JSON Schema has words for it."""
    empty_too = any(isinstance(extra, EmptyIsAbsent) for extra in extras)
    for extra in extras:
        match extra:
            case Coded(check=check):
                schema = _narrowed(schema, (check,))
            case AnyCase():
                schema["enum"] = [*schema["enum"], *(word.lower() for word in schema["enum"])]
            case Between(low=low, high=high):
                schema |= {word: end for word, end in (("minimum", low), ("maximum", high)) if end is not None}
            case Count(low=low, high=high):
                least, most = _COUNTED.get(schema.get("type", ""), ("minProperties", "maxProperties"))
                schema |= ({least: low} if low else {}) | ({most: high} if high is not None else {})
            case Matching(pattern=pattern, what=what):
                schema["pattern"] = f"^(?:{pattern.pattern}){'?' if empty_too else ''}$"
                schema["patternErrorMessage"] = f"This is not {what}."
            case _ if extra is percentage:
                schema |= {"minimum": 0, "maximum": 100}
    if empty_too and "enum" in schema:
        schema["enum"] = [*schema["enum"], ""]
    return schema


# --- names ----------------------------------------------------------------------------------------------------


def _spellings(each: Field) -> tuple[str, ...]:
    """How else a field may be called: in snake_case, or as it once was."""
    names = {each.proto_name, *each.old_names} - {each.name}
    return tuple(sorted(names))


def _other_names(fields: Iterable[Field], values: Mapping[str, Json | None]) -> Iterator[tuple[str, Json]]:
    for each in fields:
        value = values[each.name] or {}
        names = {*_spellings(each), each.name} if value.get("deprecated") else set(_spellings(each))
        if others := names - each.old_names:
            yield _any_of(others), value
        if each.old_names:
            yield _any_of(each.old_names), {**value, **_deprecated(each.name)}


def _deprecated(instead: str) -> Json:
    """No `deprecationMessage`: yaml-language-server 2.0 shows it as an error, and the document is right."""
    return {"deprecated": True, "description": f"An old name: write {instead}."}


def _any_of(names: Iterable[str]) -> str:
    return f"^(?:{'|'.join(sorted(names))})$"


def _required(fields: Iterable[Field]) -> Iterator[Json]:
    """Those that may be called otherwise too."""
    for each in fields:
        if each.required and (others := _spellings(each)):
            yield {"anyOf": [{"required": [name]} for name in (each.name, *others)]}


def _groups(groups: Iterable[Group]) -> Iterator[Json]:
    """At most one: beside the first of a group that is given, editors say of each later one that it is not allowed."""
    for group in groups:
        names = list(group.names.values())
        for index, name in enumerate(names[:-1]):
            yield {
                "if": {"required": [name]},
                "then": {"properties": dict.fromkeys(names[index + 1 :], False)},
            }
        if group.needed:
            yield {"anyOf": [{"required": [name]} for name in names]}
