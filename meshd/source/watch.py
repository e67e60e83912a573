"""Notices a push to a repository on this machine: a ref renamed into place below `refs/`, or a new `packed-refs`.

What it cannot see (a network file system, a repository that is away) the daemon finds by polling, a little later.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

_EVENTS: list[type[FileSystemEvent]] = [
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileMovedEvent,
]


class Watch:
    """`moved` is called in another thread, possibly several times for one push, and must return at once.

    A repository that is deleted, or was never there, makes `alive` false and `ailment` say why; `renew` starts again.
    """

    def __init__(self, git_directory: Path, moved: Callable[[], None]) -> None:
        self._directory: Final = git_directory
        self._moved: Final = moved
        self._observer: BaseObserver | None = None
        self._refs: _Refs | None = None
        self._identity: tuple[int, int] | None = None
        self.ailment = ""
        self.renew()

    @property
    def alive(self) -> bool:
        """Whether a push would be noticed: the directory that is watched is still the one at this path."""
        if self._observer is None or self._refs is None or self._refs.gone:
            return False
        return self._observer.is_alive() and self._identity == _identity(self._directory)

    def renew(self) -> bool:
        """Watches again if need be; for the daemon to call at each poll. Costs a `stat` or two while all is well."""
        if self.alive:
            return True
        self.stop()
        self._identity = _identity(self._directory)
        try:
            self._observer = self._started()
            self.ailment = ""
        except OSError as error:
            self._identity = None
            self.ailment = f"cannot watch {self._directory}: {error.strerror or error}"
        return self.alive

    def stop(self) -> None:
        observer, self._observer = self._observer, None
        if observer is not None:
            observer.stop()
            observer.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _started(self) -> BaseObserver:
        refs = self._refs = _Refs(self._directory, self._moved)
        observer = Observer()
        try:
            observer.schedule(refs, str(self._directory), recursive=False, event_filter=_EVENTS)
            observer.schedule(refs, str(self._directory / "refs"), recursive=True, event_filter=_EVENTS)
            observer.start()
        except BaseException:
            observer.unschedule_all()
            raise
        return observer


class _Refs(FileSystemEventHandler):
    """git writes `main.lock` and renames it; of the top directory only `packed-refs` and `refs` itself matter.

    `gone` when the directory was deleted: one made anew at its path may well have its inode number.
    """

    def __init__(self, directory: Path, moved: Callable[[], None]) -> None:
        self._top = os.fspath(directory)
        self._refs = os.fspath(directory / "refs") + os.sep
        self._moved = moved
        self.gone = False

    def on_any_event(self, event: FileSystemEvent) -> None:
        if isinstance(event, DirDeletedEvent) and os.fsdecode(event.src_path) in (self._top, self._refs.rstrip(os.sep)):
            self.gone = True
        path = os.fsdecode(event.dest_path or event.src_path)
        if path.endswith(".lock") or not self._is_ref(path):
            return
        self._moved()

    def _is_ref(self, path: str) -> bool:
        return path.startswith(self._refs) or path in (f"{self._top}/packed-refs", f"{self._top}/refs", self._top)


def watch(git_directory: Path, moved: Callable[[], None]) -> Watch:
    """Calls `moved` whenever a ref of the repository may have moved, until the Watch is stopped."""
    return Watch(git_directory, moved)


def _identity(directory: Path) -> tuple[int, int] | None:
    with suppress(OSError):
        status = (directory / "refs").stat()
        return status.st_dev, status.st_ino
    return None
