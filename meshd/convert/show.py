"""Converted resources -> YAML for a reviewer, or JSON: the same bytes each time, and meshd reads them as they were."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from datetime import timedelta
from typing import Final

from meshd.convert.drafts import CONVERTED_FROM
from meshd.convert.report import VERDICTS, verdict
from meshd.convert.routes import DEFAULT
from meshd.decode import format_duration
from meshd.decode.messages import camel_case
from meshd.fields import Message
from meshd.problems import Origin, Problem
from meshd.resources.http_route import HTTPRoute
from meshd.resources.resource import Resource

_ALWAYS: Final[Mapping[str, frozenset[str]]] = {
    "ClientTLSSettings": frozenset({"mode"}),
    "GatewayMetadata": frozenset({"namespace"}),
    "HTTPRetry": frozenset({"attempts"}),
    "Metadata": frozenset({"namespace"}),
    "ProxyProtocol": frozenset({"version"}),
    "ServiceEntry": frozenset({"location", "resolution"}),
}
"""By message, what is written even where it is the default: a reader, or another program, need not know that."""

_COMMENTED: Final = frozenset({"http", "tls", "tcp", "subsets"})
"""Lists of a spec the entries of which come from different objects."""

_ASLEEP: Final = """\
# No ServiceEntry has the hosts of what follows, which did nothing so far and would be an error here.
# Take the marks away once there are such hosts.
"""

_PLAIN: Final = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]*")
_PLAIN_DURATION: Final = re.compile(r"([0-9]+(ms|us|h|m|s))+")
_WORDS: Final = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
_UNPRINTABLE: Final = re.compile("[\x7f-\x9f\u2028\u2029\ufeff]")


def to_yaml(resources: Iterable[Resource], report: Iterable[Problem], dormant: Iterable[Resource] = ()) -> str:
    """The report stands at the beginning, as comments; what is dormant at the end, as such, too."""
    told = "".join(f"# {line}\n" for line in report_lines(report))
    asleep = "".join(f"# ---\n{_commented_out(_document(resource))}" for resource in dormant)
    heading = _ASLEEP if asleep else ""
    return told + "".join(f"---\n{_document(resource)}" for resource in resources) + heading + asleep


def _commented_out(document: str) -> str:
    return "".join(f"# {line}\n" for line in document.splitlines())


def to_json(resources: Iterable[Resource]) -> str:
    items = [_tree(resource) for resource in resources]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items}, indent=2, ensure_ascii=False) + "\n"


def report_lines(report: Iterable[Problem]) -> Iterator[str]:
    """What matters most comes first."""
    for problem in sorted(report, key=lambda each: VERDICTS.index(verdict(each))):
        yield f"{verdict(problem)}: {_in_one_line(str(problem))}"


def report_json(resources: int, report: Iterable[Problem]) -> str:
    entries = [{"verdict": verdict(problem), **problem.as_json()} for problem in report]
    complete = not any(entry["verdict"] == "error" for entry in entries)
    return json.dumps({"converted": resources, "complete": complete, "entries": entries}, indent=2) + "\n"


# --- one object -----------------------------------------------------------------------------------------------


def _tree(resource: Resource) -> dict[str, object]:
    spec = {name: _plain(value) for name, value in _given(resource) if name != "metadata"}
    return {
        "apiVersion": f"{resource.GROUP}/{resource.VERSIONS[-1]}",
        "kind": resource.KIND,
        "metadata": _plain(resource.metadata),
        "spec": spec,
    }


def _given(message: Message) -> Iterator[tuple[str, object]]:
    """The fields to write, as YAML calls them."""
    always = _ALWAYS.get(type(message).__name__, frozenset())
    for field in fields(message):
        value = getattr(message, field.name)
        default = field.default_factory() if callable(field.default_factory) else field.default
        if field.name != "origin" and (value != default or field.name in always):
            yield camel_case(field.name), value


def _plain(value: object) -> object:
    if isinstance(value, Message):
        return {name: _plain(each) for name, each in _given(value)}
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in sorted(value.items())}
    return [_plain(each) for each in value] if isinstance(value, tuple) else value


# --- YAML -----------------------------------------------------------------------------------------------------


def _document(resource: Resource) -> str:
    tree = _tree(resource)
    spec = tree.pop("spec")
    assert isinstance(spec, dict)
    sources = resource.metadata.annotations.get(CONVERTED_FROM, "")
    head = [f"# from {sources}: {_place(resource.origin)}", *_mapping(tree, ""), "spec:"]
    for name, value in spec.items():
        head.extend(_field(name, value, "  ") if name not in _COMMENTED else _commented(resource, name, value))
    return "".join(f"{line}\n" for line in head)


def _commented(resource: Resource, name: str, value: object) -> Iterator[str]:
    assert isinstance(value, list)
    messages: tuple[Message, ...] = getattr(resource, name)
    yield f"  {name}:"
    for message, entry in zip(messages, value, strict=True):
        yield f"  # {_comment(message)}"
        yield from _entry(entry, "  ")


def _comment(message: Message) -> str:
    resource = message.origin.resource
    if isinstance(message, HTTPRoute) and _is_called_default(message.name) and not _is_called_default(str(resource)):
        return "all other requests, which went to all versions"
    return f"{resource}: {_place(message.origin)}" if resource else _place(message.origin)


def _is_called_default(name: str) -> bool:
    """So may a rule be."""
    return name.rpartition(".")[2].rpartition("/")[2] == DEFAULT


def _place(at: Origin) -> str:
    return _in_one_line(f"{at.file}:{at.line}")


def _in_one_line(text: str) -> str:
    """A comment ends with its line, whatever a file is called."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _mapping(tree: Mapping[str, object], indent: str) -> Iterator[str]:
    for name, value in tree.items():
        yield from _field(name, value, indent)


def _field(name: str, value: object, indent: str) -> Iterator[str]:
    key = f"{indent}{_scalar(name)}:"
    if isinstance(value, dict) and value:
        yield key
        yield from _mapping(value, f"{indent}  ")
    elif isinstance(value, list) and value:
        yield key
        for each in value:
            yield from _entry(each, indent)
    else:
        yield f"{key} {_scalar(value)}"


def _entry(value: object, indent: str) -> Iterator[str]:
    if not (isinstance(value, dict) and value):
        yield f"{indent}- {_scalar(value)}"
        return
    first, *rest = _mapping(value, f"{indent}  ")
    yield f"{indent}- {first.lstrip()}"
    yield from rest


def _scalar(value: object) -> str:
    """Plain where every parser reads the same text in it; else as JSON, which YAML reads as well."""
    if not isinstance(value, str):
        return json.dumps(value)
    is_plain = _PLAIN.fullmatch(value) and value.lower() not in _WORDS
    if is_plain or _PLAIN_DURATION.fullmatch(value):
        return value
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, ensure_ascii=False))
