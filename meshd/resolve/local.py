"""What this host says of names and nameservers: `/etc/hosts` and `/etc/resolv.conf`, read again when they change."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

Stamp = tuple[int, int, int]


class LocalFile:
    """The lines of a file without comments, split into words. Absent or unreadable is empty."""

    def __init__(self, path: Path) -> None:
        self._path: Final = path
        self._stamp: Stamp | None = None
        self.lines: tuple[tuple[str, ...], ...] = ()
        self.reread()

    def reread(self) -> bool:
        """Whether the file was changed, or replaced, since it was last read."""
        stamp = self._stamped()
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        self.lines = tuple(self._read())
        return True

    def _stamped(self) -> Stamp | None:
        with suppress(OSError):
            status = self._path.stat()
            return status.st_ino, status.st_mtime_ns, status.st_size
        return None

    def _read(self) -> Iterator[tuple[str, ...]]:
        with suppress(OSError):
            for line in self._path.read_text(encoding="utf-8", errors="replace").splitlines():
                words = tuple(line.partition("#")[0].split())
                if words:
                    yield words


def hosts(file: LocalFile) -> dict[str, tuple[str, ...]]:
    """Name to addresses, in the order of the file; names in lower case without a trailing dot."""
    found: dict[str, tuple[str, ...]] = {}
    for address, *names in file.lines:
        canonical = _ip(address)
        for name in names if canonical else ():
            key = name.lower().rstrip(".")
            found[key] = (*found.get(key, ()), canonical)
    return found


def nameservers(file: LocalFile) -> tuple[str, ...]:
    """As libc reads them: without any, the one on this machine. Search domains are no business of ours."""
    found = tuple(words[1] for words in file.lines if words[0] == "nameserver" and len(words) > 1 and _ip(words[1]))
    return found or ("127.0.0.1",)


def _ip(text: str) -> str:
    with suppress(ValueError):
        return str(ipaddress.ip_address(text))
    return ""
