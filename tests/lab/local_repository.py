"""A mesh repository on the machine itself, which belongs to the user who pushes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tests.lab.machine import Machine

_OWNER = "deploy"
_WORK = "/home/deploy/work"
_ADA = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalRepository:
    machine: Machine
    path: str

    def push(self, files: Mapping[str, str]) -> str:
        """The revision."""
        for name, text in files.items():
            self.machine.write(f"{_WORK}/{name}", text, owner=f"{_OWNER}:{_OWNER}")
        self._git("add", "--all")
        self._git("commit", "--quiet", "--allow-empty", "--message", "change")
        self._git("push", "--quiet", self.path, "HEAD:main")
        return self._git("rev-parse", "HEAD").strip()

    def _git(self, *words: str) -> str:
        return as_owner(self.machine, "git", "-C", _WORK, *_ADA, *words)


def local_repository(machine: Machine, path: str = "/srv/mesh.git") -> LocalRepository:
    machine.run("useradd", "--create-home", _OWNER)
    machine.run("install", "--directory", f"--owner={_OWNER}", f"--group={_OWNER}", path)
    as_owner(machine, "git", "init", "--quiet", "--bare", "--initial-branch=main", path)
    as_owner(machine, "git", "init", "--quiet", "--initial-branch=main", _WORK)
    return LocalRepository(machine=machine, path=path)


def as_owner(machine: Machine, *words: str) -> str:
    done = machine.as_user(_OWNER, *words)
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout
