"""wrk, running for as long as the test needs it, and what it counted."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """`failed` counts answers that are not 2xx or 3xx, and every socket error."""

    requests: int
    failed: int
    text: str


class Wrk:
    """Asks for one host through the proxy port until told to stop. Fails the test when wrk is not installed."""

    def __init__(
        self,
        port: int,
        host: str,
        script: Path | None = None,
        *,
        tls: bool = False,
        address: str = "127.0.0.1",
        within: Sequence[str] = (),
    ) -> None:
        """`within`: the command that runs another on a machine."""
        found = shutil.which("wrk")
        assert found, "wrk is not installed: apt-get install wrk"
        self._command = [
            *within, found, "-t1", f"-c{4 if within else 8}", "-d600", "--timeout", "10", "-H", f"Host: {host}",
            *(["-s", str(script)] if script else []),
            f"http{'s' if tls else ''}://{address}:{port}/",
        ]  # fmt: skip

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def stop(self) -> Count:
        """SIGINT ends wrk early, and it still reports."""
        self._process.send_signal(signal.SIGINT)
        assert self._process.stdout is not None
        text = self._process.stdout.read()
        self._process.wait(10)
        return counted(text)


def counted(text: str) -> Count:
    requests = re.search(r"(\d+) requests in", text)
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    assert requests, text
    failed = int(refused[1]) if refused else 0
    return Count(
        requests=int(requests[1]),
        failed=failed + (sum(map(int, errors.groups())) if errors else 0),
        text=text,
    )
