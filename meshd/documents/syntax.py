"""What to tell people when a file is not YAML at all, in words that help to mend it."""

from __future__ import annotations

import re
from typing import Final

import yaml

from meshd.problems import Origin, Problem

_LINE_END: Final = re.compile(r"\r\n|\r|\n")

# C0 and C1 controls and surrogates are not YAML. The three line separators are line ends in YAML 1.1 and text in
# YAML 1.2, and no editor counts them as lines.
_UNWELCOME: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufffe\uffff]")

_HINTS: Final[tuple[tuple[str, str], ...]] = (
    ("while scanning an alias", "quote values that start with `*`"),
    ("while scanning an anchor", "quote values that start with `&`"),
    ("while scanning a block scalar", "quote values that start with `>` or `|`"),
    ("while scanning a tag", "quote values that start with `!`"),
    ("Unicode character escape", "write the character itself"),
    ("unknown escape character", "use single quotes, or write the backslash twice"),
    ("while scanning a quoted scalar", "close the quote"),
    ("while parsing a flow sequence", "close the `[`, and put commas between entries"),
    ("while parsing a flow mapping", "close the `{`, and put commas between entries"),
    ("while parsing a flow node", "close the `[` or `{` that is still open"),
    ("mapping values are not allowed", "quote values that contain `: `, or mend the indentation"),
    ("could not find expected ':'", "write `key: value`, or mend the indentation"),
    ("while parsing a block", "mend the indentation"),
    ("did not find expected <document start>", "start a new document with `---`"),
    ("while scanning a directive", "remove the line that starts with `%`"),
)
_AT_THE_OPENING: Final = ("while scanning an alias", "while scanning a quoted scalar")
"""What is found too late: the place to mend is where it began."""


def too_large(file: str, size: int, limit: int) -> Problem:
    message = f"the file has {size} bytes, more than {limit}"
    return Problem(code="E-LIMIT", at=Origin(file, 1, 1), message=message, hint="split it")


def not_utf8(file: str, text: bytes, error: UnicodeDecodeError) -> Problem:
    before = text[: error.start].decode("utf-8-sig", errors="replace")
    hint = "save the file as UTF-8"
    if text.startswith((b"\xff\xfe", b"\xfe\xff")):
        hint = "this looks like UTF-16: " + hint
    message = f"not UTF-8: byte 0x{text[error.start]:02x}"
    return Problem(code="E-YAML", at=_place(file, before, len(before)), message=message, hint=hint)


def unwelcome_character(file: str, text: str) -> Problem | None:
    found = _UNWELCOME.search(text)
    if found is None:
        return None
    code = ord(found[0])
    message = f"the character U+{code:04X} cannot stand in YAML as it is"
    hint = f'write "\\u{code:04x}" in double quotes, or remove it'
    return Problem(code="E-YAML", at=_place(file, text, found.start()), message=message, hint=hint)


def syntax_problem(file: str, text: str, error: yaml.YAMLError) -> Problem:
    assert isinstance(error, yaml.MarkedYAMLError)  # the only other kind, a bad character, was looked for before
    context, said = error.context or "", error.problem or "not YAML"
    mark = error.context_mark if context in _AT_THE_OPENING else error.problem_mark
    at = _place(file, text, mark.index if mark else 0)
    message = f"not YAML: {context}: {said}" if context else f"not YAML: {said}"
    return Problem(code="E-YAML", at=at, message=message, hint=_hint(context, said, text, mark.index if mark else 0))


def _hint(context: str, said: str, text: str, index: int) -> str:
    start = max(text.rfind("\n", 0, index), text.rfind("\r", 0, index)) + 1
    indent = re.compile(r"\s*").match(text, start)
    if indent and "\t" in indent[0]:
        return "indent with spaces, not tabs"
    if "cannot start any token" in said:
        return f"quote values that start with `{text[index : index + 1]}`"
    return next((hint for words, hint in _HINTS if words in context or words in said), "")


def _place(file: str, text: str, index: int) -> Origin:
    """The line and column of a character; of the last character, when the trouble is that there are no more."""
    end = len(text.rstrip("\r\n"))
    index = min(index, end)
    before = text[:index]
    ends = [found.end() for found in _LINE_END.finditer(before)]
    return Origin(file, len(ends) + 1, index - (ends[-1] if ends else 0) + 1)
