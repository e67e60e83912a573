"""YAML events come in, one by one; nodes with places go out. An explicit stack, since C recursion can crash."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, cast

import yaml

from meshd.documents.events import AliasEvent, AnyEvent, NodeEvent, ScalarEvent
from meshd.documents.limits import Limits
from meshd.documents.nodes import Document, Entries, Mapping, Node, Scalar, Sequence, is_null
from meshd.problems import Origin, Problem

# A tag that only says what the node is anyway. `!` and `!!str` make text of a scalar.
_TAGS: Final[dict[str, frozenset[str]]] = {
    "scalar": frozenset({"!", "tag:yaml.org,2002:str"}),
    "list": frozenset({"!", "tag:yaml.org,2002:seq"}),
    "mapping": frozenset({"!", "tag:yaml.org,2002:map"}),
}

_TEXT_PER_NODE: Final = 100
"""A long text costs its reader more than a short one, and an alias can repeat it: so much text counts as a node."""


class _Open:
    """A list or mapping that is still being read; `nodes` of a mapping alternates keys and values."""

    __slots__ = ("anchor", "column", "is_mapping", "line", "nodes", "size_before")

    def __init__(self, event: NodeEvent, *, is_mapping: bool, size_before: int) -> None:
        self.is_mapping = is_mapping
        self.anchor = event.anchor
        self.line = event.start_mark.line + 1
        self.column = event.start_mark.column + 1
        self.size_before = size_before
        self.nodes: list[Node] = []


class Composer:
    """Composes the documents of one file; `stopped` once a limit is passed."""

    def __init__(self, file: str, limits: Limits) -> None:
        self.file = file
        self.limits = limits
        self.documents: list[Document] = []
        self.problems: list[Problem] = []
        self.stopped = False
        self._started = 0  # documents, the empty and broken ones too
        self._line = 0  # of the latest document's start, 0-based
        self._size = 0  # nodes so far, aliases expanded
        self._stack: list[_Open] = []
        self._anchors: dict[str, tuple[Node, int]] = {}
        self._earlier_anchors: set[str] = set()
        self._root: list[Node] = []
        self._siblings = self._root  # where the next node goes: the innermost open collection
        self._on: dict[type[yaml.Event], Callable[[Any], None]] = {
            yaml.ScalarEvent: self._scalar,
            yaml.MappingStartEvent: self._mapping_start,
            yaml.MappingEndEvent: self._collection_end,
            yaml.SequenceStartEvent: self._sequence_start,
            yaml.SequenceEndEvent: self._collection_end,
            yaml.AliasEvent: self._alias,
            yaml.DocumentStartEvent: self._document_start,
            yaml.DocumentEndEvent: self._document_end,
            yaml.StreamStartEvent: self._nothing,
            yaml.StreamEndEvent: self._nothing,
        }

    def read(self, events: Iterable[yaml.Event]) -> None:
        on = self._on
        for event in events:
            on[type(event)](event)
            if self.stopped:
                return

    def abandon(self) -> int:
        """Gives up the document that is being read, and tells on which line (0-based) it started."""
        self._stack.clear()
        return self._line

    # --- documents --------------------------------------------------------------------------------------------

    def _document_start(self, event: AnyEvent) -> None:
        self._started += 1
        self._line = event.start_mark.line
        self._root = []
        self._siblings = self._root
        self._earlier_anchors.update(self._anchors)
        self._anchors.clear()
        if self._started > self.limits.documents:
            self._stop(event, f"more than {self.limits.documents} documents in one file", "split it")

    def _document_end(self, _event: AnyEvent) -> None:
        (root,) = self._root
        if not is_null(root):
            self.documents.append(Document(self.file, root))

    def _nothing(self, _event: AnyEvent) -> None:
        """Where the stream starts and ends says nothing."""

    # --- nodes ------------------------------------------------------------------------------------------------

    def _scalar(self, event: ScalarEvent) -> None:
        mark = event.start_mark
        text = event.value
        scalar = Scalar(text, event.implicit[0] and event.tag is None, mark.line + 1, mark.column + 1)
        size = 1 + len(text) // _TEXT_PER_NODE
        self._size += size
        if event.tag is not None:
            self._check_tag(event, event.tag, "scalar")
        if event.anchor is not None:
            self._anchors[event.anchor] = (scalar, size)
        self._siblings.append(scalar)

    def _mapping_start(self, event: NodeEvent) -> None:
        self._open(event, is_mapping=True)

    def _sequence_start(self, event: NodeEvent) -> None:
        self._open(event, is_mapping=False)

    def _open(self, event: NodeEvent, *, is_mapping: bool) -> None:
        if event.tag is not None:
            self._check_tag(event, event.tag, "mapping" if is_mapping else "list")
        if event.anchor is not None:  # until it ends, an alias to it would be an alias to its own inside
            self._anchors.pop(event.anchor, None)
        opened = _Open(event, is_mapping=is_mapping, size_before=self._size)
        self._stack.append(opened)
        self._siblings = opened.nodes
        self._grow(1, event)
        if len(self._stack) > self.limits.depth:
            self._stop(event, f"nested more than {self.limits.depth} deep", "")

    def _collection_end(self, _event: AnyEvent) -> None:
        done = self._stack.pop()
        self._siblings = self._stack[-1].nodes if self._stack else self._root
        node = self._mapping(done) if done.is_mapping else Sequence(tuple(done.nodes), done.line, done.column)
        if done.anchor is not None:
            self._anchors[done.anchor] = (node, self._size - done.size_before)
        self._siblings.append(node)

    def _alias(self, event: AliasEvent) -> None:
        known = self._anchors.get(event.anchor)
        if known is None:
            self._unknown_alias(event)
            return
        node, size = known
        self._grow(size, event)
        self._siblings.append(node)

    def _grow(self, size: int, event: AnyEvent) -> None:
        self._size += size
        if self._size > self.limits.nodes:
            self._stop(event, f"more than {self.limits.nodes} values once aliases are expanded", "split the file")

    # --- mappings ---------------------------------------------------------------------------------------------

    def _mapping(self, read: _Open) -> Mapping:
        pairs = tuple(zip(read.nodes[::2], read.nodes[1::2], strict=True))
        names = {key.text for key, _ in pairs if type(key) is Scalar}
        if len(names) == len(pairs) and "<<" not in names:
            return Mapping(cast(Entries, pairs), read.line, read.column)
        return self._unusual_mapping(read, pairs)

    def _unusual_mapping(self, read: _Open, pairs: Iterable[tuple[Node, Node]]) -> Mapping:
        """With a merge in it, or with a key that is wrong."""
        entries: list[tuple[Scalar, Node]] = []
        lines: dict[str, int] = {}
        merges: list[Node] = []
        for key, value in pairs:
            if type(key) is not Scalar:
                self._bad_key(key)
            elif key.text in lines:
                self._duplicate(key, lines[key.text])
            else:
                lines[key.text] = key.line
                if key.text == "<<" and key.plain:
                    merges.append(value)
                else:
                    entries.append((key, value))
        for merge in merges:
            entries += self._merged(merge, lines)
        return Mapping(tuple(entries), read.line, read.column)

    def _merged(self, merge: Node, given: dict[str, int]) -> list[tuple[Scalar, Node]]:
        """The entries of the merged mappings that are not given; of several mappings the earlier one wins."""
        entries: list[tuple[Scalar, Node]] = []
        for source in merge.items if type(merge) is Sequence else (merge,):
            if type(source) is not Mapping:
                message = "'<<' merges a mapping or a list of mappings"
                self._report("E-TYPE", self._place(source, self._path()), message, "write `<<: *anchor`")
                continue
            for key, value in source.entries:
                if key.text not in given:
                    given[key.text] = key.line
                    entries.append((key, value))
        return entries

    def _duplicate(self, key: Scalar, first: int) -> None:
        path = f"{self._path()}.{key.text}".removeprefix(".")
        message = f"given twice, first in line {first}"
        self._report("E-DUP-KEY", self._place(key, path), message, "remove one of the two")

    def _bad_key(self, key: Node) -> None:
        # What a template that nobody has expanded looks like to YAML: `{{ .Values.host }}`.
        hint = "quote values that start with `{`; templates are not expanded" if type(key) is Mapping else ""
        self._report("E-TYPE", self._place(key, self._path()), "a key must be text", hint)

    # --- problems ---------------------------------------------------------------------------------------------

    def _check_tag(self, event: NodeEvent, tag: str, kind: str) -> None:
        if tag not in _TAGS[kind]:
            short = tag.replace("tag:yaml.org,2002:", "!!", 1)
            self._report("E-TYPE", self._at(event), f"the tag {short!r} is not supported", "remove it")

    def _unknown_alias(self, event: AliasEvent) -> None:
        if event.anchor in self._earlier_anchors:
            hint = "an alias reaches no further than its own document"
        elif any(event.anchor == around.anchor for around in self._stack):
            hint = "an alias cannot stand inside what it repeats"
        else:
            hint = "quote values that start with `*`"
        message = f"no anchor '&{event.anchor}' for the alias '*{event.anchor}'"
        self._report("E-YAML", self._at(event), message, hint)
        # Most probably meant as text; and the rest of the document is then worth a look as well.
        self._siblings.append(Scalar(f"*{event.anchor}", False, event.start_mark.line + 1, event.start_mark.column + 1))

    def _stop(self, event: AnyEvent, message: str, hint: str) -> None:
        if not self.stopped:
            self.stopped = True
            self._report("E-LIMIT", self._at(event), message, hint)

    def _report(self, code: str, at: Origin, message: str, hint: str = "") -> None:
        self.problems.append(Problem(code=code, at=at, message=message, hint=hint))

    def _place(self, node: Node, path: str) -> Origin:
        return Origin(self.file, node.line, node.column, path)

    def _at(self, event: AnyEvent) -> Origin:
        return Origin(self.file, event.start_mark.line + 1, event.start_mark.column + 1, self._path())

    def _path(self) -> str:
        """Where the stack stands: `spec.http[0].match`. A deep nest needs no path a screen long."""
        path = ""
        for around in self._stack[:12]:
            if not around.is_mapping:
                path += f"[{len(around.nodes)}]"
            elif len(around.nodes) % 2 == 1 and isinstance(key := around.nodes[-1], Scalar):
                path += f".{key.text[:64]}"
        return path.removeprefix(".")
