"""Many bodies <-> one file that shows any damage to it when it is read.

One file and one fsync for a generation's new bodies: 10 000 files of their own would cost 10 000 fsyncs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path

from meshd.deliver.files import write_durably

SUFFIX = ".pack"


class DamagedError(Exception):
    """A file is missing, or is not what was written. Either way it is treated as if it had never been there."""


def packed(bodies: Mapping[str, bytes]) -> bytes:
    """A line with the hash of the rest, a line with keys and lengths, then the bodies."""
    # One flat mapping: a list for each body would set the garbage collector going.
    index = json.dumps({key: len(body) for key, body in bodies.items()}, separators=(",", ":"))
    content = b"".join((index.encode(), b"\n", *bodies.values()))
    return digest(content).encode() + b"\n" + content


def unpacked(path: Path) -> dict[str, bytes]:
    seal, _, content = content_of(path).partition(b"\n")
    if seal != digest(content).encode():
        raise DamagedError(f"{path} is damaged")
    at = content.index(b"\n") + 1
    bodies = {}
    for key, length in json.loads(content[:at]).items():
        bodies[key] = content[at : at + length]
        at += length
    return bodies


def write_pack(directory: Path, bodies: Mapping[str, bytes]) -> str:
    """The name of the new file, which no pack of another content has."""
    content = packed(bodies)
    name = digest(content) + SUFFIX
    write_durably(directory / name, content)
    return name


def digest(content: bytes) -> str:
    return blake2b(content, digest_size=16).hexdigest()


def content_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DamagedError(f"{path}: {error.strerror}") from error
