"""Bytes of one file come in; its YAML documents, with the place of everything in them, go out.

Knows YAML and its traps, and nothing of what the documents mean. JSON goes the same road, since JSON is YAML.
"""

from __future__ import annotations

import yaml

from meshd.documents.composer import Composer
from meshd.documents.limits import Limits, TooLargeError
from meshd.documents.nodes import Document, Mapping, Node, Scalar, Sequence
from meshd.documents.syntax import not_utf8, syntax_problem, too_large, unwelcome_character
from meshd.problems import Problems

__all__ = ["Document", "Limits", "Mapping", "Node", "Scalar", "Sequence", "TooLargeError", "documents", "too_large"]

_NO_LIMITS_GIVEN = Limits()


def documents(file: str, text: bytes, limits: Limits = _NO_LIMITS_GIVEN) -> tuple[tuple[Document, ...], Problems]:
    """The documents of a file that could be read, and what is wrong with it. Empty documents are left out."""
    if len(text) > limits.file_bytes:
        return (), (too_large(file, len(text), limits.file_bytes),)
    try:
        characters = text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return (), (not_utf8(file, text, error),)
    if found := unwelcome_character(file, characters):
        return (), (found,)
    return _compose(file, characters, limits)


def _compose(file: str, text: str, limits: Limits) -> tuple[tuple[Document, ...], Problems]:
    composer = Composer(file, limits)
    rest: str | None = text
    for _ in range(limits.syntax_errors):
        if rest is None:
            break
        rest = _read(composer, rest)
    return tuple(composer.documents), tuple(composer.problems)


def _read(composer: Composer, text: str) -> str | None:
    """Feeds the composer; where the text stops being YAML, answers what follows the broken document."""
    loader = yaml.CSafeLoader(text)
    try:
        composer.read(iter(loader.get_event, None))
    except yaml.YAMLError as error:
        composer.problems.append(syntax_problem(composer.file, text, error))
        return _after_document(text, composer.abandon())
    finally:
        loader.dispose()
    return None


def _after_document(text: str, start: int) -> str | None:
    """The text from the next `---` after line `start` on, behind as many empty lines as keep the numbering.

    Nothing but a new document can start a line with `---`, not even inside a block scalar, so no text of the
    broken document is mistaken for a new one.
    """
    lines = text.splitlines(keepends=True)
    for number in range(start + 1, len(lines)):
        if lines[number].split(maxsplit=1)[:1] == ["---"] and lines[number].startswith("---"):
            return "\n" * number + "".join(lines[number:])
    return None
