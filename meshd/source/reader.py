"""Reads revisions out of one git repository that is on this machine: a mirror, or any repository where it stands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Final

from pygit2 import Blob, GitError, Repository, Tree
from pygit2 import Commit as GitCommit
from pygit2.enums import RepositoryOpenFlag

from meshd.documents import Limits, TooLargeError
from meshd.names import BlobId, RevisionId
from meshd.problems import nearest
from meshd.source.faults import translated
from meshd.source.revision import Commit, Revision, SourceError
from meshd.source.tree import TreeWalk, shown

_LARGEST: Final = Limits().file_bytes


class RevisionReader:
    """`path` is the directory of the repository that holds the mesh."""

    def __init__(self, repository: Repository, path: str) -> None:
        self.repository: Final = repository
        self._path = "/".join(part for part in path.split("/") if part not in ("", "."))
        self._walk = TreeWalk(repository)

    def revision(self, revision: RevisionId) -> Revision:
        with translated():
            root = self._commit(revision).tree
            walked = self._walk.walk(self._below(root, revision).id, f"{self._path}/" if self._path else "")
        return Revision(id=revision, files=walked.files, skipped=tuple(walked.skipped))

    def check(self, revision: RevisionId) -> None:
        """Raises when a file of the revision is missing from the repository; a missing `path` is no damage."""
        try:
            self.revision(revision)
        except SourceError as error:
            if error.reason != "PathNotFound":
                raise

    def read(self, blob: BlobId) -> bytes:
        """Raises TooLargeError for what cannot be a document; the repository is untrusted."""
        size = self.size(blob)
        if size > _LARGEST:
            raise TooLargeError(size)
        with translated():
            return self.repository[blob].peel(Blob).data

    def size(self, blob: BlobId) -> int:
        """Of a blob that is not read, so that one of 10 GB can be refused without holding it."""
        with translated():
            return int(self.repository.odb.read_header(blob)[1])

    def ancestors(self, revision: RevisionId) -> Iterator[RevisionId]:
        """First parents, newest first, without the revision itself; ends where a shallow history ends."""
        with translated():
            commit = self._commit(revision)
        while commit.parent_ids and (parent := self.repository.get(commit.parent_ids[0])) is not None:
            commit = parent.peel(GitCommit)
            yield RevisionId(str(commit.id))

    def commit(self, revision: RevisionId) -> Commit:
        with translated():
            return _told(self._commit(revision))

    def resolve(self, rev: str) -> RevisionId | None:
        """As git spells revisions: an id or the beginning of one, a branch or tag, `HEAD~2`. None: there is no such."""
        with suppress(GitError, KeyError, ValueError):
            return RevisionId(str(self.repository.revparse_single(rev).peel(GitCommit).id))
        return None

    def _commit(self, revision: RevisionId) -> GitCommit:
        found = self.repository.get(revision)
        if found is None:
            hint = "a force-push took it away; `git log` in the repository shows what is there"
            raise SourceError("RevisionNotFound", f"no revision {revision[:12]} in the repository", hint)
        return found.peel(GitCommit)

    def _below(self, root: Tree, revision: RevisionId) -> Tree:
        if not self._path:
            return root
        with suppress(KeyError):
            found = root[self._path]
            if isinstance(found, Tree):
                return found
        directories = [shown(entry.raw_name or b"") for entry in root if isinstance(entry, Tree)]
        hint = nearest(self._path, directories) or f"directories there: {', '.join(directories) or 'none'}"
        raise SourceError("PathNotFound", f"no directory {self._path!r} in revision {revision[:12]}", hint)


def open_in_place(directory: Path, path: str = ".") -> RevisionReader:
    """A reader of the repository at `directory`, bare or with a work tree, which is not looked at."""
    with translated():
        return RevisionReader(Repository(str(directory), RepositoryOpenFlag.NO_SEARCH), path)


def _told(commit: GitCommit) -> Commit:
    name = commit.author.raw_name.decode("utf-8", "replace")
    email = commit.author.raw_email.decode("utf-8", "replace")
    subject = commit.raw_message.decode("utf-8", "replace").strip().partition("\n")[0]
    zone = timezone(timedelta(minutes=commit.commit_time_offset)) if commit.commit_time_offset else UTC
    time = datetime.fromtimestamp(commit.commit_time, zone)
    return Commit(id=RevisionId(str(commit.id)), author=f"{name} <{email}>", time=time, subject=subject)
