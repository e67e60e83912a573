"""A real Envoy for the length of a test, the requests that it is asked, and its admin socket."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meshd.envoy.bootstrap import BootstrapSettings
from tests.waiting import until


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def seen(self) -> dict[str, str]:
        """The headers that the backend received."""
        return dict(json.loads(self.body)["headers"])

    @property
    def path(self) -> str:
        return str(json.loads(self.body)["path"])


def ask(port: int, path: str = "/", **headers: str) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=5)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(5)
        self.sock.connect(self._path)


def admin(settings: BootstrapSettings, path: str) -> str:
    connection = UnixConnection(settings.admin_socket)
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def _live(settings: BootstrapSettings) -> bool:
    try:
        return admin(settings, "/ready").startswith("LIVE")
    except OSError:
        return False


def _log(settings: BootstrapSettings) -> Path:
    return Path(settings.admin_socket).with_name("run.log")


def logged(settings: BootstrapSettings) -> list[dict[str, Any]]:
    """The lines of its access log so far, which is JSON; what else an Envoy says is not."""
    lines = _log(settings).read_text().splitlines()
    return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]


@contextmanager
def running(envoy_binary: Path, bootstrap: bytes, settings: BootstrapSettings) -> Iterator[None]:
    """One Envoy on this bootstrap, from LIVE on; ended by its own process id."""
    path = Path(settings.admin_socket).with_name("run.pb")
    path.write_bytes(bootstrap)
    log = _log(settings)
    command = [envoy_binary, "-c", path, "-l", "warning", "--use-dynamic-base-id", "--concurrency", "1"]
    command += ["--file-flush-interval-msec", "50"]
    with log.open("ab") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
        try:
            until(lambda: process.poll() is not None or _live(settings), what="a live Envoy")
            assert process.poll() is None, log.read_text()
            yield
        finally:
            process.kill()
