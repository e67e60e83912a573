"""What a proxy writes down of requests and connections that are over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessLog:
    """`path` None: standard output. `only_failures`: what went well is not worth a line.

    `format` has commands that Envoy fills in: a text with its line feed, or a JSON object whose values are such texts.
    """

    format: str
    encoding: Literal["text", "json"]
    path: str | None = None
    only_failures: bool = False
