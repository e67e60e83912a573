"""A YAML text -> the same text with one thing wrong: a field gone, a name misspelt, a number out of range."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import yaml

Kind = Literal["removed", "misspelt key", "misspelt value", "out of range", "wrong type"]


@dataclass(frozen=True)
class Mutation:
    """`line` is where the text was changed, from 1."""

    kind: Kind
    line: int
    was: str
    text: str

    @property
    def id(self) -> str:
        return f"{self.kind}-{self.line}-{self.was}".replace(" ", "-")


def mutations(text: str) -> Iterator[Mutation]:
    for document in yaml.compose_all(text):
        if document is not None:
            yield from _of_node(text, document)


def _of_node(text: str, node: yaml.Node) -> Iterator[Mutation]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield _with(text, key, "misspelt key", _misspelt(key.value))
            yield from _without(text, key, value, node)
            yield from _of_node(text, value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _of_node(text, item)
    elif node.tag == "tag:yaml.org,2002:int":
        for number in ("-1", "0", "65536", "99999999999999999999"):
            yield _with(text, node, "out of range", number)
        yield _with(text, node, "wrong type", "[1]")
    elif node.tag == "tag:yaml.org,2002:str" and node.value:
        yield _with(text, node, "misspelt value", f'"{_misspelt(node.value)}"')
        yield _with(text, node, "wrong type", "{a: b}")


def _misspelt(word: str) -> str:
    """As hasty fingers do: the last two letters swapped, or one twice."""
    if len(word) > 1 and word[-1] != word[-2]:
        return f"{word[:-2]}{word[-1]}{word[-2]}"
    return word + word[-1:]


def _with(text: str, node: yaml.Node, kind: Kind, new: str) -> Mutation:
    start, end = node.start_mark, node.end_mark
    changed = text[: start.index] + new + text[end.index :]
    return Mutation(kind, start.line + 1, text[start.index : end.index][:30].strip(), changed)


def _without(text: str, key: yaml.Node, value: yaml.Node, parent: yaml.MappingNode) -> Iterator[Mutation]:
    """In block style the lines of the field go; what shares its line with others stays."""
    first, last = key.start_mark.line, value.end_mark.line
    lines = text.splitlines(keepends=True)
    alone = not lines[first][: key.start_mark.column].strip()
    if parent.flow_style or not alone:
        return
    if value.end_mark.column > 0:
        last += 1
    gone = "".join(lines[:first] + lines[max(last, first + 1) :])
    yield Mutation("removed", first + 1, key.value, gone)
