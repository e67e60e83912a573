"""What a YAML document is made of. Line and column are 1-based, as editors count them."""

from __future__ import annotations

from typing import Final, NamedTuple

# Named tuples, not dataclasses: a mesh has a hundred nodes for each object, and a frozen dataclass costs three
# times as much to make.

_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})


class Scalar(NamedTuple):
    """`plain`: written without quotes or tag, so its type is open; anything else is text."""

    text: str
    plain: bool
    line: int
    column: int


class Sequence(NamedTuple):
    items: tuple[Node, ...]
    line: int
    column: int


class Mapping(NamedTuple):
    """Keys are unique; merges (`<<`) are done, and merged entries keep the place where they were written."""

    entries: Entries
    line: int
    column: int


Node = Scalar | Sequence | Mapping
Entries = tuple[tuple[Scalar, Node], ...]


class Document(NamedTuple):
    file: str
    root: Node

    @property
    def line(self) -> int:
        return self.root.line


def is_null(node: Node) -> bool:
    return type(node) is Scalar and node.plain and node.text in _NULLS
