"""How meshd comes onto a machine, and what its operator does there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.lab.git_server import GitServer
from tests.lab.machine import Done, Machine
from tests.waiting import until


def install(machine: Machine, *packages: Path) -> None:
    """As `apt-get install ./...` does, from files."""
    for package in packages:
        machine.copy_in(package, f"/opt/{package.name}")
    machine.run("dpkg", "--install", *(f"/opt/{package.name}" for package in packages), seconds=300)


class Host:
    """A machine with meshd."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.name = machine.name

    def configure(self, git: GitServer, *more: str) -> None:
        """Four lines, and the keys that they name."""
        self.machine.write("/etc/meshd/known_hosts", git.known_hosts)
        self.machine.write("/etc/meshd/id_ed25519", git.agent_key, mode=0o640, owner="root:meshd")
        lines = (
            "repository:",
            f"  url: {git.url}",
            "  sshKey: /etc/meshd/id_ed25519",
            "  knownHosts: /etc/meshd/known_hosts",
            *more,
        )
        self.machine.write("/etc/meshd/meshd.yaml", "".join(f"{line}\n" for line in lines))

    def meshd(self, *words: str) -> Done:
        return self.machine.attempt("meshd", *words)

    def status(self) -> dict[str, Any]:
        done = self.meshd("status", "-o", "json")
        assert done.returncode in {0, 1}, done.stdout + done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def await_condition(self, kind: str, status: str) -> dict[str, Any]:
        def seen() -> dict[str, Any] | None:
            conditions = {condition["type"]: condition for condition in self.status()["conditions"]}
            return conditions[kind] if kind in conditions and conditions[kind]["status"] == status else None

        return until(seen, seconds=40, what=f"{kind} of {self.name} to be {status}")

    def await_revision(self, revision: str, *, seconds: int = 40) -> None:
        done = self.meshd("wait", revision, "--timeout", str(seconds))
        assert done.returncode == 0, f"{self.name}: {done.stdout}{done.stderr}{self.log()}"

    def until_ready(self) -> dict[str, Any]:
        def ready() -> dict[str, Any] | None:
            done = self.meshd("status", "-o", "json")
            return json.loads(done.stdout) if done.returncode == 0 else None

        try:
            return until(ready, seconds=40, what=f"{self.name} to be ready")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.meshd('status').stdout}\n{self.log()}") from None

    def get(self, url: str, *words: str) -> tuple[int, str]:
        """The status and the body that an application of this host gets by `http_proxy`; 0 when there is none."""
        return self.curl("--proxy", "http://127.0.0.1:15080", url, *words)

    def curl(self, *words: str) -> tuple[int, str]:
        done = self.machine.attempt("curl", "-s", "-m", "10", "-w", r"\n%{http_code}", *words)
        body, _, code = done.stdout.rpartition("\n")
        return int(code or 0), body

    def log(self) -> str:
        entries = self.machine.journal("-u", "meshd", "-u", "meshd-envoy@*", "-u", "meshd-capture", "-u", "init.scope")
        return "\n".join(f"{entry.get('_SYSTEMD_UNIT')}: {entry.get('MESSAGE')}" for entry in entries[-80:])
