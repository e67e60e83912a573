"""From a git tree to the files of the mesh below it. An unchanged subtree is known by its id and not walked again."""

from __future__ import annotations

from dataclasses import dataclass, field

from pygit2 import Odb, Oid, Repository

from meshd.names import BlobId
from meshd.source.entries import Entry, is_directory, is_link, is_submodule, tree_entries

SUFFIXES = (".yaml", ".yml", ".json")
_SUFFIXES = tuple(suffix.encode() for suffix in SUFFIXES)


Place = tuple[str, Oid]
"""A tree, and the path that it stands at."""


@dataclass(slots=True)
class Walked:
    """What stands in one tree and all below it, with paths from the repository's root."""

    files: dict[str, BlobId] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    below: list[Place] = field(default_factory=list)
    blobs: dict[Entry, tuple[str, BlobId]] = field(default_factory=dict)
    """Those of this very tree: most entries of a changed directory are what they were."""


class TreeWalk:
    """Remembers the subtrees of the last walk. What is hidden (`.git`, `.github`, `.pre-commit.yaml`) is not walked."""

    def __init__(self, repository: Repository) -> None:
        self._odb: Odb = repository.odb
        self._last: dict[Place, Walked] = {}
        self._before: dict[str, Walked] = {}
        self._now: dict[Place, Walked] = {}

    def walk(self, tree: Oid, prefix: str) -> Walked:
        """Raises KeyError when a tree or blob is missing from the repository."""
        self._now = {}
        walked = self._walked((prefix, tree))
        self._last = self._now
        self._before = {prefix: of_prefix for (prefix, _), of_prefix in self._now.items()}
        return walked

    def _walked(self, place: Place) -> Walked:
        if place in self._now:
            return self._now[place]
        if place in self._last:
            return self._kept(place)
        return self._entered(place)

    def _kept(self, place: Place) -> Walked:
        walked = self._now[place] = self._last[place]
        for below in walked.below:
            self._kept(below)
        return walked

    def _entered(self, place: Place) -> Walked:
        prefix, tree = place
        walked = self._now[place] = Walked()
        known = self._before[prefix].blobs if prefix in self._before else {}
        for entry in tree_entries(self._odb, tree):
            if entry in known:
                path, blob = walked.blobs[entry] = known[entry]
                walked.files[path] = blob
            elif not entry[1].startswith(b"."):
                self._take(entry, prefix, walked)
        return walked

    def _take(self, entry: Entry, prefix: str, walked: Walked) -> None:
        mode, name, raw = entry
        path = prefix + shown(name)
        if is_directory(mode):
            self._descend((f"{path}/", Oid(raw=raw)), walked)
        elif is_link(mode) or is_submodule(mode):
            walked.skipped.append(path)
        elif name.endswith(_SUFFIXES):
            blob = self._present(Oid(raw=raw))
            walked.blobs[entry] = path, blob
            walked.files[path] = blob

    def _descend(self, place: Place, walked: Walked) -> None:
        below = self._walked(place)
        walked.below.append(place)
        walked.files.update(below.files)
        walked.skipped.extend(below.skipped)

    def _present(self, blob: Oid) -> BlobId:
        # A damaged mirror should be found out here, once per changed directory, and not in the middle of a pass.
        if blob not in self._odb:
            raise KeyError(f"object not found: {blob}")
        return BlobId(str(blob))


def shown(name: bytes) -> str:
    """A file's name as text that any terminal and any JSON can hold: what is not printable UTF-8 is escaped."""
    text = name.decode("utf-8", "backslashreplace")
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")
