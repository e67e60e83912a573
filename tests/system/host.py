"""One host as an operator has it: a bare repository, a configuration, the real daemon and the real Envoy."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.ports import free_port
from tests.waiting import until

ENVIRONMENT = {
    **os.environ,
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
    "MESHD_TRACEBACK": "1",
}


class Host:
    """`meshd run` with `supervisor: child`, one bare repository beside it, all below one short directory.

    `beside`: it has no repository of its own, but that of another host.
    """

    def __init__(self, directory: Path, envoy: Path, name: str = "web-1", beside: Host | None = None) -> None:
        self.directory = directory
        self.name = name
        self.proxy_port = free_port()
        self.bare = beside.bare if beside else directory / "mesh.git"
        self.work = beside.work if beside else directory / "work"
        self.config = directory / "meshd.yaml"
        self.state = directory / "state"
        self.runtime = directory / "run"
        self.log = directory / "meshd.log"
        self.prefix: tuple[str, ...] = ()
        self.daemon: subprocess.Popen[bytes] | None = None
        if not beside:
            self.git("init", "-q", "--bare", "-b", "main", str(self.bare), cwd=directory)
            self.git("clone", "-q", str(self.bare), str(self.work), cwd=directory)
            self.git("checkout", "-q", "-B", "main")
        self.configure(envoy=f"{{binary: {envoy}, supervisor: child}}")

    def configure(self, **changes: str) -> None:
        keys = {
            "host": self.name,
            "repository": f"{{url: {self.bare}, poll: 5s}}",
            "httpProxyPort": str(self.proxy_port),
            "stateDirectory": str(self.state),
            "runtimeDirectory": str(self.runtime),
        }
        if self.config.exists():
            before = dict(line.split(": ", 1) for line in self.config.read_text().splitlines())
            keys |= before
        self.config.write_text("".join(f"{key}: {value}\n" for key, value in (keys | changes).items()))

    # --- git ---

    def git(self, *arguments: str, cwd: Path | None = None) -> str:
        command = ["git", *arguments]
        done = subprocess.run(
            command, cwd=cwd or self.work, env=ENVIRONMENT, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def commit(self, files: Mapping[str, str | None], subject: str = "change") -> str:
        """None deletes a file."""
        for path, text in files.items():
            place = self.work / path
            place.parent.mkdir(parents=True, exist_ok=True)
            if text is None:
                place.unlink()
            else:
                place.write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", subject)
        return self.git("rev-parse", "HEAD")

    def push(self, files: Mapping[str, str | None], subject: str = "change") -> str:
        revision = self.commit(files, subject)
        self.git("push", "-q", "--force", "origin", "main")
        return revision

    # --- the daemon ---

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.daemon = subprocess.Popen(
                [*self.prefix, sys.executable, "-m", "meshd", "run", "--config", str(self.config)],
                env=ENVIRONMENT,
                stdout=log,
                stderr=log,
            )
        until(lambda: self.answers() or self.daemon.poll() is not None, seconds=60, what="the control socket")
        assert self.daemon.poll() is None, self.log.read_text()

    def kill(self) -> None:
        assert self.daemon is not None
        self.daemon.kill()
        self.daemon.wait()

    def terminate(self) -> int:
        assert self.daemon is not None
        self.daemon.terminate()
        return self.daemon.wait(30)

    def meshd(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**ENVIRONMENT, "MESHD_SOCKET": str(self.runtime / "control.sock")}
        command = [sys.executable, "-m", "meshd", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)

    def answers(self) -> bool:
        return (self.runtime / "control.sock").exists() and self.meshd("status").returncode in {0, 1}

    def status(self) -> dict[str, Any]:
        done = self.meshd("status", "-o", "json")
        assert done.returncode in {0, 1}, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def condition(self, kind: str) -> dict[str, Any]:
        return next(condition for condition in self.status()["conditions"] if condition["type"] == kind)

    def until_active(self, revision: str) -> None:
        done = self.meshd("wait", revision, "--timeout", "60")
        assert done.returncode == 0, done.stdout + done.stderr + self.log.read_text()

    def until_live(self, revision: str) -> dict[str, Any]:
        """Active, and acknowledged by a connected proxy."""
        self.until_active(revision)
        return until(self._live, what="a ready host")

    def _live(self) -> dict[str, Any] | None:
        status = self.status()
        acknowledged = all(proxy["acknowledged"] for proxy in status["proxies"])
        return status if status["ready"] and status["proxies"] and acknowledged else None

    def envoy_pid(self) -> int:
        return int(self.status()["proxies"][0]["pid"])

    # --- traffic ---

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> tuple[int, str, dict[str, str]]:
        """A request as an application makes it with `http_proxy` set."""
        connection = http.client.HTTPConnection("127.0.0.1", self.proxy_port, timeout=10)
        try:
            connection.request("GET", url, headers=dict(headers or {}))
            response = connection.getresponse()
            return response.status, response.read().decode(), dict(response.getheaders())
        finally:
            connection.close()

    # --- the end ---

    def close(self) -> None:
        """No process of this host outlives its test."""
        try:
            if self.daemon is not None and self.daemon.poll() is None:
                self.terminate()
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"the daemon does not end: {self.log.read_text()}") from error
        finally:
            for pid in self.left():
                os.kill(pid, signal.SIGKILL)

    def left(self) -> list[int]:
        """Processes whose command line names this host's directory."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if str(self.directory).encode() in line:
                found.append(int(entry.name))
        return found
