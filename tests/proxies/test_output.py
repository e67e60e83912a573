"""What Envoy opens as /dev/stdout, whatever its output is."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

TOLD = "import os; os.write(os.open('/dev/stdout', os.O_WRONLY | os.O_APPEND), b'told\\n')"
SPAWN = f"""
from meshd.proxies.process import spawn
spawn(({sys.executable!r}, "-c", {TOLD!r}), None)
"""
BECOME = f"""
import os
from meshd.proxies.orphan import keep_output_openable
keep_output_openable()
os.execv({sys.executable!r}, ({sys.executable!r}, "-c", {TOLD!r}))
"""


def heard_from(program: str) -> bytes:
    """All that comes out of a program whose output is a socket, as under systemd, until the last writer has ended."""
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            subprocess.run((sys.executable, "-c", program), stdout=theirs, stderr=theirs, check=True, timeout=30)
        ours.settimeout(30)
        return b"".join(iter(lambda: ours.recv(1000), b""))


def test_what_is_spawned_opens_its_output_where_that_is_a_socket():
    assert heard_from(SPAWN) == b"told\n"


def test_so_does_what_we_become():
    assert heard_from(BECOME) == b"told\n"


def test_without_need_nobody_stands_between(tmp_path: Path):
    told = tmp_path / "told"
    program = "import os\nfrom meshd.proxies.orphan import keep_output_openable\n"
    program += "keep_output_openable()\nprint(os.readlink('/proc/self/fd/1'))"

    with told.open("ab") as output:
        subprocess.run((sys.executable, "-c", program), stdout=output, check=True, timeout=30)

    assert told.read_text() == f"{told}\n"
