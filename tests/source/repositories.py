"""Real git repositories for tests: a bare one, a clone to commit and push from, and a daemon that serves git://."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from meshd.names import RevisionId
from meshd.source.git import GitSource
from meshd.source.settings import RepositorySettings
from tests.ports import free_port
from tests.waiting import until

ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
}


def git(directory: Path, *arguments: str, **more: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=directory, env={**ENVIRONMENT, **more}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"git {' '.join(arguments)}: {done.stderr}"
    return done.stdout.strip()


@dataclass(frozen=True, slots=True)
class Repository:
    """`bare` is what is followed; `work` is somebody's clone of it."""

    bare: Path
    work: Path

    def commit(self, files: dict[str, str | bytes | None], message: str = "a change") -> RevisionId:
        """Writes the files (None deletes one) and commits them, without pushing."""
        for name, content in files.items():
            self._write(self.work / name, content)
        git(self.work, "add", "--all", "--force")
        git(self.work, "commit", "--quiet", "--allow-empty", "-m", message)
        return RevisionId(git(self.work, "rev-parse", "HEAD"))

    def push(self, files: dict[str, str | bytes | None] | None = None, *options: str) -> RevisionId:
        revision = self.commit(files) if files else RevisionId(git(self.work, "rev-parse", "HEAD"))
        git(self.work, "push", "--quiet", *options, "origin", "HEAD:refs/heads/main")
        return revision

    def _write(self, path: Path, content: str | bytes | None) -> None:
        if content is None:
            path.unlink()
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def a_repository(directory: Path, name: str = "mesh.git") -> Repository:
    """Empty: no commit, no branch."""
    bare, work = directory / name, directory / f"work-{name}"
    directory.mkdir(exist_ok=True)
    git(directory, "init", "--quiet", "--bare", "-b", "main", name)
    git(directory, "init", "--quiet", "-b", "main", work.name)
    git(work, "remote", "add", "origin", str(bare))
    return Repository(bare, work)


def a_source(url: Path | str, directory: Path, **settings: object) -> GitSource:
    return GitSource(RepositorySettings(url=str(url), **settings), directory / "state" / "mirror.git")


@contextmanager
def git_daemon(directory: Path) -> Iterator[str]:
    """`git://127.0.0.1:port` over the repositories below the directory."""
    port = free_port()
    command = ["git", "daemon", "--listen=127.0.0.1", f"--port={port}", f"--base-path={directory}", "--export-all"]
    process = subprocess.Popen([*command, "--reuseaddr"], env=ENVIRONMENT, stderr=subprocess.DEVNULL)
    try:
        until(lambda: listens(port), what="git daemon")
        yield f"git://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
