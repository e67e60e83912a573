"""How verbs write for people: within 100 columns, in two shapes where there are no colours, and nothing of others'."""

from __future__ import annotations

import os
import textwrap
from typing import Any, Final

import click

WIDTH: Final = 100


def mark(*, good: bool) -> str:
    """Two shapes, for who has no colours: a pipe, NO_COLOR, an eye."""
    shape = "●" if good else "○"
    return shape if os.environ.get("NO_COLOR") else click.style(shape, fg="green" if good else "red")


def printable(told: Any) -> Any:  # noqa: ANN401  (JSON)
    """Commits and files are others' words: no control sequence of theirs reaches the terminal."""
    if isinstance(told, str):
        return "".join(character if character.isprintable() else "\ufffd" for character in told)
    if isinstance(told, dict):
        return {key: printable(value) for key, value in told.items()}
    return [printable(value) for value in told] if isinstance(told, list) else told


def wrapped(text: str, indent: int, room: int = 0) -> list[str]:
    """Within 100 columns, of which `room` are taken already."""
    margin = " " * indent
    return textwrap.wrap(text, WIDTH - room, initial_indent=margin, subsequent_indent=margin + "  ")


def shortened(text: str, width: int) -> str:
    """The end of a path tells more than its beginning."""
    return text if len(text) <= width else "…" + text[-(width - 1) :]


def span(seconds: float) -> str:
    """`48s`, `12m`, `3h` or `5d`: as one reads it, not as one counts."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{int(seconds // length)}{unit}"
    return f"{int(seconds)}s"
