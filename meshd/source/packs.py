"""Keeps the mirror's packs few. Each fetch leaves one, and each is two files that libgit2 may hold open."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import pygit2

MANY = 32
_SMALL = 1_000_000
_HEADER = struct.Struct(">4sI")
_FAN_OUT = 256 * 4
_ID = 20


def many_packs(mirror: Path) -> bool:
    return len(_small_packs(mirror)) > MANY


def unite_packs(mirror: Path, repository: pygit2.Repository) -> None:
    """Writes the objects of all small packs into one. Open the repository again after it: the old packs are gone."""
    small = _small_packs(mirror)
    before = set(_packs(mirror))
    builder = pygit2.PackBuilder(repository)
    for name in {name for pack in small for name in _objects(pack.with_suffix(".idx"))}:
        builder.add(name)
    builder.write(str(mirror / "objects" / "pack"))
    if set(_packs(mirror)) != before:
        _delete(small)


def _delete(packs: list[Path]) -> None:
    # The index first, as git does: a pack without one is not looked at.
    for pack in packs:
        pack.with_suffix(".idx").unlink(missing_ok=True)
        pack.unlink(missing_ok=True)


def _packs(mirror: Path) -> list[Path]:
    return sorted((mirror / "objects" / "pack").glob("pack-*.pack"))


def _small_packs(mirror: Path) -> list[Path]:
    return [pack for pack in _packs(mirror) if pack.stat().st_size < _SMALL]


def _objects(index: Path) -> Iterator[pygit2.Oid]:
    """The ids in a pack index of version 2, the only one that libgit2 writes."""
    content = index.read_bytes()
    magic, version = _HEADER.unpack_from(content)
    if (magic, version) != (b"\xfftOc", 2):
        raise ValueError(f"{index.name} is no pack index of version 2")
    fan_out = _HEADER.size + _FAN_OUT
    (count,) = struct.unpack_from(">I", content, fan_out - 4)
    for start in range(fan_out, fan_out + count * _ID, _ID):
        yield pygit2.Oid(raw=content[start : start + _ID])
