"""The objects of a file that was edited, of which most did not change: those are handed out as they were before.

Whoever remembers results by the identity of objects then has to think again about the edited ones only.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from functools import partial
from hashlib import blake2b
from itertools import pairwise
from typing import Final

from meshd.memo import Memo
from meshd.resources.resource import Resource

_NEXT_DOCUMENT: Final = re.compile(rb"^---(?=\s|\Z)", re.MULTILINE)
_UNTOLD: Final = re.compile(rb"^%|\r(?!\n)", re.MULTILINE)
"""A directive changes what follows it; lines that end by a return alone are not counted as such here."""


def unchanged(path: str, content: bytes, resources: tuple[Resource, ...], memo: Memo) -> tuple[Resource, ...]:
    """`resources` of a file; each that stands in a document of the same text at the same line is the former object."""
    if len(resources) < 2 or _UNTOLD.search(content):
        return resources
    texts = list(_documents(content))
    lines = [line for line, _ in texts]
    by_document: dict[int, list[Resource]] = {}
    for resource in resources:
        by_document.setdefault(bisect_right(lines, resource.origin.line) - 1, []).append(resource)
    kept: list[Resource] = []
    for index, found in by_document.items():
        line, text = texts[index]
        name = ("document", path, str(line), blake2b(text, digest_size=16).hexdigest())
        kept.extend(memo.recall_named(name, partial(tuple[Resource, ...], found)))
    return tuple(kept)


def _documents(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Each with the line it begins at; in YAML nothing else begins with the word `---` in the first column."""
    line = 1
    starts = [0, *(match.start() for match in _NEXT_DOCUMENT.finditer(content))]
    for start, end in pairwise([*starts, len(content)]):
        yield line, content[start:end]
        line += content.count(b"\n", start, end)
