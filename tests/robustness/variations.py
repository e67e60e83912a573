"""A mesh, by file -> the same mesh with one thing changed, such that it is often still valid: what a day brings.

A value becomes another that the mesh has for such a field, an object or an entry goes, lines and objects move.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from random import Random

import yaml

Files = Mapping[str, str]

_NUMBERS = ("1", "2", "50", "80", "443", "8080", "9000")
_SEPARATOR = re.compile(r"^---\n", re.MULTILINE)


def varied(files: Files, chance: Random) -> Files:
    """Never empty; the same for the same state of `chance`."""
    return chance.choice((_with_value, _with_value, _with_value, _without_document, _without_field, _moved))(
        files, chance
    )


def _with_value(files: Files, chance: Random) -> Files:
    """Some scalar has the value of another one under the same key, wherever in the mesh that stands."""
    values = _values(files)
    path = chance.choice(sorted(files))
    found = list(_scalars(files[path]))
    if not found:
        return files
    key, node = chance.choice(found)
    new = chance.choice(_NUMBERS) if node.tag.endswith(":int") else chance.choice(values[key])
    text = files[path]
    return {**files, path: text[: node.start_mark.index] + new + text[node.end_mark.index :]}


def _without_document(files: Files, chance: Random) -> Files:
    path = chance.choice(sorted(files))
    documents = _SEPARATOR.split(files[path])
    if len(documents) < 2:
        return files
    documents.pop(chance.randrange(len(documents)))
    return {**files, path: "---\n".join(documents)}


def _without_field(files: Files, chance: Random) -> Files:
    """An entry of a list in flow style, or a line that nothing hangs on."""
    path = chance.choice(sorted(files))
    lines = files[path].splitlines(keepends=True)
    alone = [index for index, line in enumerate(lines) if re.search(r": \S", line) or line.lstrip().startswith("- {")]
    if not alone:
        return files
    lines.pop(chance.choice(alone))
    return {**files, path: "".join(lines)}


def _moved(files: Files, chance: Random) -> Files:
    """Nothing means anything else, but it all stands in other places: documents swapped, or a line further down."""
    path = chance.choice(sorted(files))
    documents = _SEPARATOR.split(files[path])
    if len(documents) > 1 and chance.random() < 0.5:
        chance.shuffle(documents)
        return {**files, path: "---\n".join(each if each.endswith("\n") else each + "\n" for each in documents)}
    return {**files, path: "# moved\n" + files[path]}


def _values(files: Files) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    for path in sorted(files):
        for key, node in _scalars(files[path]):
            values.setdefault(key, []).append(files[path][node.start_mark.index : node.end_mark.index])
    return values


def _scalars(text: str) -> Iterator[tuple[str, yaml.ScalarNode]]:
    """Each with the key it stands under; nothing of a file that is not YAML any more."""
    try:
        documents = list(yaml.compose_all(text))
    except yaml.YAMLError:
        return
    for document in documents:
        if document is not None:
            yield from _below("", document)


def _below(key: str, node: yaml.Node) -> Iterator[tuple[str, yaml.ScalarNode]]:
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            yield from _below(name.value, value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _below(key, item)
    elif isinstance(node, yaml.ScalarNode) and "\n" not in node.value:
        yield key, node
