"""How much one file may ask of us. The repository is untrusted until proved otherwise."""

from __future__ import annotations

from dataclasses import dataclass


class TooLargeError(Exception):
    """Raised by who reads a file, instead of reading one that is larger than any document may be."""

    def __init__(self, size: int) -> None:
        super().__init__(f"{size} bytes")
        self.size = size


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """`nodes` counts what a reader meets once aliases and merges are expanded, so it catches alias bombs too."""

    file_bytes: int = 4 * 1024 * 1024
    depth: int = 64
    documents: int = 10_000
    nodes: int = 500_000
    syntax_errors: int = 20
