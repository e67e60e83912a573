"""MeshConfig's accessLog* fields: whether a proxy can write there, and whether Envoy knows the words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final, Literal

from meshd.problems import Origin, Problem
from meshd.resources.finding import doubtful, invalid
from meshd.resources.formatters import formatter_fault

STDOUT: Final = "/dev/stdout"
DIRECTORY: Final = "/var/log/meshd-envoy/"
"""Made by the proxies' units, and writable for them."""

Encoding = Literal["TEXT", "JSON"]
LARGEST_FORMAT: Final = 8192
_DEEPEST: Final = 8


def log_file(value: object) -> str:
    """Empty: none. Envoy opens the file anew by its name, which no socket has, and standard error is one often."""
    path = str(value)
    if path in {"", STDOUT}:
        return ""
    if path.startswith(("/dev/", "/proc/")):
        return f"{path!r} is not a file: only {STDOUT} is kept open for the access log"
    if not path.startswith("/") or path.endswith("/") or "\0" in path or ".." in path.split("/"):
        return f"{path!r} is not the absolute path of a file"
    return ""


def check_file(path: str, at: Origin) -> Iterator[Problem]:
    if path.startswith("/") and path != STDOUT and not path.startswith(DIRECTORY):
        message = f"the units of the proxies let them write in {DIRECTORY} only"
        yield doubtful(at, message, f"put it there, or give the units a drop-in with ReadWritePaths= for {path}")


def check_format(text: str, encoding: Encoding | None, at: Origin) -> Iterator[Problem]:
    if encoding != "JSON":
        yield from _check_text(text, at)
        return
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        yield invalid(at, "is no JSON object", """write {"status": "%RESPONSE_CODE%"}, or accessLogEncoding: TEXT""")
    elif _depth(fields) > _DEEPEST:
        yield invalid(at, f"is nested more than {_DEEPEST} deep")
    else:
        for leaf in _leaves(fields):
            yield from _check_text(leaf, at)


def _check_text(text: str, at: Origin) -> Iterator[Problem]:
    if fault := formatter_fault(text):
        yield invalid(at, fault, "write '%%' for a plain percent sign")


def _leaves(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for inner in _inside(value):
        yield from _leaves(inner)


def _depth(value: object, level: int = 0) -> int:
    """As deep as it matters."""
    return level if level > _DEEPEST else max((_depth(each, level + 1) for each in _inside(value)), default=level)


def _inside(value: object) -> tuple[object, ...]:
    return tuple(value.values()) if isinstance(value, dict) else tuple(value) if isinstance(value, list) else ()
