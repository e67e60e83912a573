"""The bare mirror on disk: opened, or built anew beside the old one and put in its place when it is complete.

It is a cache. Whatever is wrong with it, it is built again; nothing in it is worth an error.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import pygit2

from meshd.names import RevisionId
from meshd.source.fetching import EXACTLY_HERE
from meshd.source.loose import LooseObjects

_URL = "remote.origin.url"


class Mirror:
    """`url` is kept in the mirror's config: another repository's mirror is no mirror of this one."""

    def __init__(self, directory: Path, url: str, branch: str) -> None:
        self.directory: Final = directory
        self._url = url
        self._branch = branch

    def open(self) -> pygit2.Repository | None:
        """None when there is none, or it is damaged or another repository's, or what a crash left of one."""
        with suppress(pygit2.GitError, KeyError, ValueError, OSError):
            repository = pygit2.Repository(str(self.directory), EXACTLY_HERE)
            if repository.config[_URL] == self._url and LooseObjects(self.directory / "objects").are_whole():
                return repository
        return None

    def condemn(self) -> None:
        """It cannot be read: `open` takes it for no mirror from now on, also after a restart."""
        with suppress(OSError):
            (self.directory / "HEAD").unlink(missing_ok=True)

    def build(self, seed: Path | None, fill: Callable[[Path], RevisionId]) -> RevisionId:
        """The old mirror stays in place until `fill` has filled the new one."""
        fresh = self.directory.with_name(self.directory.name + ".new")
        _remove(fresh)
        self._begin(fresh, seed)
        revision = fill(fresh)
        self._replace_by(fresh)
        return revision

    def forget_interrupted(self) -> None:
        """Locks and half packs of a fetch that was killed; only the agent writes here, so none is in use."""
        for pattern in ("*.lock", "refs/**/*.lock", "objects/pack/pack_*"):
            for leftover in self.directory.glob(pattern):
                leftover.unlink(missing_ok=True)

    def _begin(self, fresh: Path, seed: Path | None) -> None:
        fresh.parent.mkdir(parents=True, exist_ok=True)
        repository = pygit2.init_repository(str(fresh), bare=True)
        repository.config[_URL] = self._url
        repository.set_head(f"refs/heads/{self._branch}")
        if seed is not None:
            copy_objects(seed, fresh / "objects")

    def _replace_by(self, fresh: Path) -> None:
        old = self.directory.with_name(self.directory.name + ".old")
        _remove(old)
        with suppress(FileNotFoundError):
            self.directory.rename(old)
        fresh.rename(self.directory)
        _remove(old)


def copy_objects(source: Path, target: Path) -> None:
    """Copies what a fetch would have to pack again: 10 000 files and 2 000 commits in 0.1 s instead of 3 s.

    One that borrows objects, has no complete history, or is being packed this very moment, is left to the fetch.
    """
    if (source / "info" / "alternates").exists() or (source.parent / "shallow").exists():
        return
    try:
        # Objects move from loose to packed, so in this order none is missed.
        _copy_files(source, target, "[0-9a-f][0-9a-f]/*")
        _copy_files(source, target, "pack/pack-*.pack")
        _copy_files(source, target, "pack/pack-*.idx")
    except OSError:
        _remove(target)
        target.mkdir()


def _copy_files(source: Path, target: Path, pattern: str) -> None:
    for file in source.glob(pattern):
        copy = target / file.relative_to(source)
        copy.parent.mkdir(exist_ok=True)
        shutil.copyfile(file, copy)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()
