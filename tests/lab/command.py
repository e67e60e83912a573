"""Runs as the command of a probe, tries what commands try, and writes down how that ended.

It stands alone: it is copied onto the machine, and knows nothing but what it finds there.
"""

from __future__ import annotations

import json
import mmap
import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path


def ran(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=5)
    if done.returncode != 0:
        raise PermissionError(0, done.stderr.strip())


def written(path: str) -> None:
    Path(path).write_text("")


def in_memory() -> None:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()


ATTEMPTS: dict[str, Callable[[], object]] = {
    "a port": lambda: socket.create_connection(("127.0.0.1", 8080), 2).close(),
    "a socket": lambda: socket.socket(socket.AF_UNIX).connect("/run/app/app.sock"),
    "systemd": lambda: ran("systemctl", "is-active", "on-a-socket.socket"),
    "processes": lambda: ran("pgrep", "-x", "systemd"),
    "a key of the mesh": lambda: Path("/etc/meshd/secrets/bank/tls.key").read_bytes(),
    "its own /tmp": lambda: written("/tmp/mine"),
    "everybody's /tmp": lambda: Path("/tmp/open").read_bytes(),
    "a home": lambda: Path("/home/deploy/open").read_bytes(),
    "/srv": lambda: written("/srv/mine"),
    "another user": lambda: os.setuid(65534),
    "a ping": lambda: ran("ping", "-c", "1", "127.0.0.1"),
    "netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close(),
    "machine code": in_memory,
    "the journal": lambda: ran("journalctl", "-n", "1", "_PID=1", "--quiet", "--output=cat", "--grep=."),
}


def outcome(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except OSError as error:
        return error.strerror or "failed"
    return "done"


def main() -> None:
    told = {name: outcome(attempt) for name, attempt in ATTEMPTS.items()}
    told["environment"] = " ".join(sorted(os.environ.keys() - {"LC_CTYPE"}))
    fresh = Path("/var/lib/meshd/told.json.new")
    fresh.write_text(json.dumps(told))
    fresh.rename("/var/lib/meshd/told.json")


if __name__ == "__main__":
    main()
