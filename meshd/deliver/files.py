"""Writing so that a crash at any instruction leaves the old file or the new one."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def write_durably(path: Path, content: bytes) -> None:
    """On disk when it returns, but for its name: that is on disk after `sync_directory` of its directory."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def replace_durably(path: Path, content: bytes) -> None:
    """In the place of what was there."""
    staged = path.with_name(f".{path.name}.new")
    write_durably(staged, content)
    staged.replace(path)
    sync_directory(path.parent)


def link_durably(path: Path, target: Path) -> None:
    """Flips a symbolic link."""
    staged = path.with_name(f".{path.name}.new")
    staged.unlink(missing_ok=True)
    staged.symlink_to(target)
    staged.replace(path)
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def marks(files: Iterable[str]) -> dict[str, str]:
    """Of each file, which one it is at this moment: another mark, another content or other rights."""
    return {file: _mark(file) for file in files}


def _mark(file: str) -> str:
    try:
        found = Path(file).stat()
    except (OSError, ValueError):
        return ""
    return f"{found.st_dev}:{found.st_ino}:{found.st_size}:{found.st_ctime_ns}"
