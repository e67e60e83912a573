"""From a git tree to the files of the mesh below it. An unchanged subtree is known by its id and not walked again."""

from __future__ import annotations

from dataclasses import dataclass, field

from pygit2 import Object, Odb, Oid, Repository, Tree
from pygit2.enums import FileMode

from meshd.names import BlobId

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


class TreeWalk:
    """Remembers the subtrees of the last walk. What is hidden (`.git`, `.github`, `.pre-commit.yaml`) is not walked."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._odb: Odb = repository.odb
        self._last: dict[Place, Walked] = {}
        self._now: dict[Place, Walked] = {}

    def walk(self, tree: Oid, prefix: str) -> Walked:
        """Raises KeyError when a tree or blob is missing from the repository."""
        self._now = {}
        walked = self._walked((prefix, tree))
        self._last = self._now
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
        for entry in self._repository[tree].peel(Tree):
            name = entry.raw_name or b""
            if not name.startswith(b"."):
                self._take(entry, name, prefix, walked)
        return walked

    def _take(self, entry: Object, name: bytes, prefix: str, walked: Walked) -> None:
        match entry.filemode:
            case FileMode.TREE:
                self._descend((f"{prefix}{shown(name)}/", entry.id), walked)
            case FileMode.LINK | FileMode.COMMIT:
                walked.skipped.append(prefix + shown(name))
            case _ if name.endswith(_SUFFIXES):
                walked.files[prefix + shown(name)] = self._present(entry.id)

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
