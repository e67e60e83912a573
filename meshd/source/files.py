"""Files and directories as a user names them, without git, as one Revision: for `validate PATH...`."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from meshd.names import BlobId, RevisionId
from meshd.source.revision import Revision, SourceError

SUFFIXES = (".yaml", ".yml", ".json")


class DirectorySource:
    """Paths stay as they were typed, so that a terminal can open what an error message names.

    Below a directory the rules of a git repository hold: YAML and JSON only, nothing hidden, no symbolic link is
    followed. A file that is named itself is taken whatever it is called.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = tuple(paths)
        self._contents: dict[BlobId, bytes] = {}

    def revision(self) -> Revision:
        """What the files hold now; `read` then gives these very bytes, whatever an editor does meanwhile."""
        self._contents = {}
        files: dict[str, BlobId] = {}
        skipped: list[str] = []
        for path in self._paths:
            self._take(path, files, skipped)
        return Revision(id=_revision_id(files), files=dict(sorted(files.items())), skipped=tuple(sorted(skipped)))

    def read(self, blob: BlobId) -> bytes:
        return self._contents[blob]

    def _take(self, path: Path, files: dict[str, BlobId], skipped: list[str]) -> None:
        seen = {os.path.realpath(file) for file in files}
        for file in _files(path, skipped):
            if os.path.realpath(file) not in seen:
                files[_shown(file)] = self._remembered(file)

    def _remembered(self, file: Path) -> BlobId:
        try:
            content = file.read_bytes()
        except OSError as error:
            raise SourceError("PathNotFound", f"cannot read {_shown(file)}: {error.strerror}") from error
        blob = blob_id(content)
        self._contents[blob] = content
        return blob


def blob_id(content: bytes) -> BlobId:
    """As git names the same bytes, so that what was decoded from a repository is known here too."""
    return BlobId(hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest())


def _files(path: Path, skipped: list[str]) -> Iterator[Path]:
    if not path.exists():
        raise SourceError(
            "PathNotFound", f"no file or directory {_shown(path)}", "check the spelling and the directory"
        )
    if not path.is_dir():
        yield path
        return
    for directory, below, names in os.walk(path, onerror=_raise):
        here = Path(directory)
        skipped += [_shown(here / name) for name in (*below, *names) if name[0] != "." and (here / name).is_symlink()]
        below[:] = sorted(name for name in below if name[0] != ".")
        yield from (here / name for name in names if _is_mesh(here / name))


def _is_mesh(file: Path) -> bool:
    return file.name.endswith(SUFFIXES) and not file.name.startswith(".") and file.is_file() and not file.is_symlink()


def _raise(error: OSError) -> None:
    raise SourceError("PathNotFound", f"cannot read {error.filename}: {error.strerror}") from error


def _shown(path: Path) -> str:
    name = os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")
    return name if name.isprintable() else name.encode("unicode_escape").decode("ascii")


def _revision_id(files: dict[str, BlobId]) -> RevisionId:
    lines = "".join(f"{blob} {path}\n" for path, blob in sorted(files.items()))
    return RevisionId("files-" + hashlib.sha256(lines.encode()).hexdigest()[:32])
