"""Finds loose objects that were cut short, as a power failure leaves them.

libgit2 up to 1.9 reads such an object in an endless loop (its issue 7342), and no thread comes back from that.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_FAN_OUT: Final = re.compile(r"[0-9a-f]{2}")
_CHUNK: Final = 1 << 20


class LooseObjects:
    """Of one object directory. An object is looked at once: git never writes to one again."""

    def __init__(self, objects: Path) -> None:
        self._objects: Final = objects
        self._stamps: dict[str, int] = {}
        self._whole: dict[str, frozenset[str]] = {}
        """By directory, and only of what is there still: `git gc` packs loose objects and removes them."""

    def are_whole(self) -> bool:
        """Costs 256 `stat` when nothing is new."""
        cut = [path for directory in self._changed() for path in self._cut(directory)]
        if cut:
            self._stamps = {}  # they are looked at again the next time: somebody may have repaired them
        return not cut

    def _cut(self, directory: str) -> frozenset[str]:
        there = frozenset(_files(directory))
        fresh = there - self._whole.get(directory, frozenset())
        cut = frozenset(path for path in fresh if not _is_whole(path))
        self._whole[directory] = there - cut
        return cut

    def _changed(self) -> Iterator[str]:
        try:
            directories = [entry for entry in os.scandir(self._objects) if _FAN_OUT.fullmatch(entry.name)]
        except FileNotFoundError:
            return
        for entry in directories:
            stamp = entry.stat().st_mtime_ns
            if self._stamps.get(entry.path) != stamp:
                self._stamps[entry.path] = stamp
                yield entry.path


def _files(directory: str) -> Iterator[str]:
    with os.scandir(directory) as entries:
        yield from (entry.path for entry in entries if not entry.name.startswith("tmp_"))


def _is_whole(path: str) -> bool:
    inflating = zlib.decompressobj()
    try:
        with Path(path).open("rb") as stream:
            while not inflating.eof and (chunk := stream.read(_CHUNK)):
                while chunk and not inflating.eof:
                    inflating.decompress(chunk, _CHUNK)
                    chunk = inflating.unconsumed_tail
    except FileNotFoundError:
        return True  # it was packed meanwhile
    except (OSError, zlib.error):
        return False
    return inflating.eof
