"""Follows one branch of a git repository through a bare mirror. Without a work tree, nothing in it touches the host."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pygit2

from meshd.names import BlobId, RevisionId
from meshd.source.copying import git_directory, local_tip, open_local
from meshd.source.faults import translated
from meshd.source.fetch_process import FetchProcess
from meshd.source.fetching import FetchRequest, fetch
from meshd.source.loose import LooseObjects
from meshd.source.mirror import Mirror
from meshd.source.packs import many_packs, unite_packs
from meshd.source.reader import RevisionReader
from meshd.source.revision import Commit, Revision, SourceError
from meshd.source.settings import RepositorySettings

_DAMAGED = ("RepositoryCorrupt", "RevisionNotFound")


class GitSource:
    """Every method blocks and may raise SourceError; call them from one thread at a time, but `close` from any.

    What was fetched once can be read while the repository is away, also after a restart.
    """

    def __init__(self, settings: RepositorySettings, mirror: Path) -> None:
        self._settings = settings
        self._mirror = Mirror(mirror, settings.shown_url, settings.branch)
        self._process = FetchProcess(settings.timeout)
        self._loose: LooseObjects | None = None
        self._reader: RevisionReader | None = None

    @property
    def is_local(self) -> bool:
        return self._settings.directory is not None

    def local_git_directory(self) -> Path | None:
        """What to watch: `mesh.git` itself, or the `.git` of a work tree; None when remote, or not there now."""
        with suppress(SourceError), translated():
            local = self._local()
            return None if local is None else git_directory(local)
        return None

    def fetch(self) -> RevisionId:
        """The branch's newest commit, with all its files, also after a force-push. A damaged mirror is built anew."""
        with translated():
            local = self._local()
            tip = None if local is None else local_tip(local, self._settings.branch)
            reader = self._opened()
            if reader is not None:
                try:
                    return self._updated(reader, tip)
                except SourceError as error:
                    if error.reason not in _DAMAGED:
                        raise
            return self._rebuilt(local)

    def revision(self, revision: RevisionId) -> Revision:
        with self._reading() as reader:
            return reader.revision(revision)

    def read(self, blob: BlobId) -> bytes:
        with self._reading() as reader:
            return reader.read(blob)

    def size(self, blob: BlobId) -> int:
        with self._reading() as reader:
            return reader.size(blob)

    def ancestors(self, revision: RevisionId) -> Iterator[RevisionId]:
        """First parents, newest first, without the revision itself."""
        with self._reading() as reader:
            yield from reader.ancestors(revision)

    def commit(self, revision: RevisionId) -> Commit:
        with self._reading() as reader:
            return reader.commit(revision)

    def resolve(self, rev: str) -> RevisionId | None:
        with self._reading() as reader:
            return reader.resolve(rev)

    def close(self) -> None:
        """Ends a fetch that runs in its own process, as all over the network do, and refuses later ones."""
        self._process.end()

    # --- how -------------------------------------------------------------------------------------------------

    @contextmanager
    def _reading(self) -> Iterator[RevisionReader]:
        reader = self._opened()
        if reader is None:
            raise SourceError("RepositoryUnreachable", "nothing has been fetched yet", "check repository.url")
        try:
            yield reader
        except SourceError as error:
            if error.reason == "RepositoryCorrupt":
                self._mirror.condemn()
                self._reader = None
            raise

    def _opened(self) -> RevisionReader | None:
        if self._reader is None or not self._mirror.directory.exists():
            repository = self._mirror.open()
            self._reader = None if repository is None else RevisionReader(repository, self._settings.path)
        return self._reader

    def _local(self) -> pygit2.Repository | None:
        directory = self._settings.directory
        return None if directory is None else open_local(directory)

    def _updated(self, reader: RevisionReader, tip: RevisionId | None) -> RevisionId:
        before = reader.resolve(f"refs/heads/{self._settings.branch}")
        after = tip if tip is not None and tip == before else self._fetched(self._mirror.directory)
        reader.check(after)
        if after == before and many_packs(self._mirror.directory):
            self._tidy(reader)
        return after

    def _tidy(self, reader: RevisionReader) -> None:
        # Only when nothing is new, so that no push waits for it.
        unite_packs(self._mirror.directory, reader.repository)
        self._reader = None

    def _rebuilt(self, local: pygit2.Repository | None) -> RevisionId:
        objects = git_directory(local) / "objects" if local is not None and self._may_run_here() else None
        try:
            return self._built(objects)
        except SourceError as error:
            if objects is None or error.reason not in _DAMAGED:
                raise
        # What was copied was not whole: `git gc` ran there meanwhile, or the damage is theirs, as the fetch will tell.
        return self._built(None)

    def _built(self, objects: Path | None) -> RevisionId:
        def fill(directory: Path) -> RevisionId:
            revision = self._fetched(directory)
            RevisionReader(pygit2.Repository(str(directory)), self._settings.path).check(revision)
            return revision

        self._reader = None
        return self._mirror.build(objects, fill)

    def _fetched(self, mirror: Path) -> RevisionId:
        self._mirror.forget_interrupted()
        request = FetchRequest.of(self._settings, mirror)
        return fetch(request) if self._may_run_here() else self._process.run(request)

    def _may_run_here(self) -> bool:
        """A fetch that takes milliseconds needs no process. One that may never end does, so that it can be ended."""
        local = self._local()
        if local is None:
            return False
        if self._loose is None:
            self._loose = LooseObjects(git_directory(local) / "objects")
        return self._loose.are_whole()
