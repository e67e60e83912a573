"""The mesh repository of the demo: a bare one, as a server has it, and a clone in which somebody commits."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from meshd.demo.commands import run
from meshd.names import RevisionId

BRANCH: Final = "main"


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    bare: Path
    clone: Path

    async def commit(self, files: Mapping[str, str], subject: str) -> RevisionId:
        for name, text in files.items():
            (self.clone / name).write_text(text)
        await self._git("add", "--all")
        await self._git("commit", "--quiet", "--message", subject)
        return RevisionId((await self._git("rev-parse", "HEAD")).strip())

    async def changes(self) -> tuple[str, ...]:
        """The last commit as a diff without context: `+line` and `-line`, each file's name before its own."""
        diff = await self._git("show", "--format=", "--unified=0", "HEAD")
        return tuple(line for line in diff.splitlines() if _tells(line))

    async def push(self) -> float:
        """When the bare repository had it, in seconds since the epoch: the time of its ref."""
        await self._git("push", "--quiet", "origin", BRANCH)
        return (self.bare / "refs" / "heads" / BRANCH).stat().st_mtime

    async def _git(self, *arguments: str) -> str:
        return await run("git", *arguments, cwd=self.clone, environment=_environment())


async def create(directory: Path) -> Repository:
    """A bare repository and its clone, below `directory`, untouched by the user's own git configuration."""
    repository = Repository(bare=directory / "mesh.git", clone=directory / "mesh")
    start = ("init", "--quiet", "--initial-branch", BRANCH)
    await run("git", *start, "--bare", str(repository.bare), cwd=directory, environment=_environment())
    await run("git", *start, str(repository.clone), cwd=directory, environment=_environment())
    for key, value in (("user.name", "meshd demo"), ("user.email", "demo@meshd.example")):
        await run("git", "config", key, value, cwd=repository.clone, environment=_environment())
    remote = ("remote", "add", "origin", str(repository.bare))
    await run("git", *remote, cwd=repository.clone, environment=_environment())
    return repository


def _tells(line: str) -> bool:
    return line.startswith(("+", "-")) and not line.startswith(("--- ", "+++ /dev/null"))


def _environment() -> dict[str, str]:
    """Neither the user's hooks, signatures and templates nor a repository around us has a say here."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return {**kept, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "GIT_TERMINAL_PROMPT": "0"}
