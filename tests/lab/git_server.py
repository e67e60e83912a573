"""A machine that keeps the mesh repository, as a company has one: sshd, a user `git`, a key for whoever may read it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.lab.machine import Machine

_BARE = "/srv/mesh.git"


@dataclass(frozen=True, slots=True, kw_only=True)
class GitServer:
    """`push` is a developer's, over ssh from the bridge; `agent_key` is the private key of the fleet."""

    machine: Machine
    work: Path
    agent_key: str
    known_hosts: str
    _environment: Mapping[str, str]

    @property
    def url(self) -> str:
        return f"ssh://git@{self.machine.name}.lab{_BARE}"

    def push(self, files: Mapping[str, str | None], subject: str = "change") -> str:
        """The revision. None deletes a file."""
        for path, text in files.items():
            place = self.work / path
            place.parent.mkdir(parents=True, exist_ok=True)
            if text is None:
                place.unlink()
            else:
                place.write_text(text)
        self._git("add", "--all")
        self._git("commit", "--quiet", "--allow-empty", "--message", subject)
        self._git("push", "--quiet", "origin", "HEAD:main")
        return self._git("rev-parse", "HEAD")

    def _git(self, *words: str) -> str:
        """On the bridge, where the server can be reached."""
        command = self.machine.lab.command("git", *words)
        done = subprocess.run(
            command, cwd=self.work, env=self._environment, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, f"git {' '.join(words)}: {done.stderr}"
        return done.stdout.strip()


def git_server(machine: Machine, directory: Path) -> GitServer:
    """Makes a booted machine one. `directory`: for the developer's clone and keys."""
    developer, agent = _key(directory / "developer"), _key(directory / "agent")
    machine.run("useradd", "--create-home", "--shell", "/usr/bin/git-shell", "git")
    machine.run("usermod", "--password", "*", "git")
    public = "".join(key.with_suffix(".pub").read_text() for key in (developer, agent))
    machine.write("/home/git/.ssh/authorized_keys", public, owner="git:git")
    machine.run("ssh-keygen", "-A")
    machine.systemctl("unmask", "ssh")
    machine.systemctl("enable", "--now", "ssh")
    machine.run("git", "init", "--quiet", "--bare", "--initial-branch=main", _BARE)
    machine.run("chown", "--recursive", "git:git", _BARE)
    host_key = " ".join(machine.read("/etc/ssh/ssh_host_ed25519_key.pub").split()[:2])
    known_hosts = f"{machine.name}.lab,{machine.address} {host_key}\n"
    (directory / "known_hosts").write_text(known_hosts)
    server = GitServer(
        machine=machine,
        work=directory / "mesh",
        agent_key=agent.read_text(),
        known_hosts=known_hosts,
        _environment=_developer(directory, developer),
    )
    server.work.mkdir()
    server._git("init", "--quiet", "--initial-branch=main")
    server._git("remote", "add", "origin", f"ssh://git@{machine.address}{_BARE}")
    return server


def _key(path: Path) -> Path:
    subprocess.run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", path.name, "-f", path), check=True, timeout=30)
    return path


def _developer(directory: Path, key: Path) -> dict[str, str]:
    ssh = f"ssh -F none -i {key} -o IdentitiesOnly=yes -o UserKnownHostsFile={directory / 'known_hosts'}"
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_SYSTEM": "/dev/null",
        **{f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in _ADA.items()},
        "GIT_SSH_COMMAND": f"{ssh} -o StrictHostKeyChecking=yes -o ConnectTimeout=10",
    }


_ADA = {"NAME": "Ada", "EMAIL": "ada@example.com"}
