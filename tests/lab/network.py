"""Where the lab's machines meet: a bridge in a network namespace, and a directory that only they see.

Nothing of it has a name on this host: it is all held by one process, and goes with it.
"""

from __future__ import annotations

import ctypes
import os
import select
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

GATEWAY = "10.77.0.1"
"""The bridge's own address: where the tests stand, and where DNS is answered."""
PREFIX = 24

MORTAL = ("setpriv", "--pdeathsig", "KILL")
"""In front of a command: it ends with the process that started it, however that ends."""
_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)
_HELD = """
set -eu
mount -t tmpfs -o mode=0755 lab /mnt
ip link set lo up
ip link add lab type bridge
ip address add {gateway}/{prefix} dev lab
ip link set lab up
echo held
exec cat >/dev/null
"""


@dataclass(frozen=True, kw_only=True)
class Netns:
    """The network of a process, as this one can enter it. Sockets made within belong to it wherever they are used."""

    pid: int
    _thread: ThreadPoolExecutor

    def command(self, *words: str | Path) -> tuple[str, ...]:
        return ("nsenter", "--target", str(self.pid), "--net", "--", *map(str, words))

    def run(self, *words: str) -> str:
        done = subprocess.run(self.command(*words), capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout

    def within(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """The result of the function, called on a thread that lives there; threads that it starts do too."""
        return self._thread.submit(function, *args, **kwargs).result(60)


@contextmanager
def network_of(pid: int) -> Iterator[Netns]:
    with ThreadPoolExecutor(1, initializer=lambda: _enter(pid)) as thread:
        yield Netns(pid=pid, _thread=thread)


@contextmanager
def lab_network() -> Iterator[Netns]:
    """The bridge, held while the block runs. Its process is in a mount namespace where `/mnt` is the lab's."""
    script = _HELD.format(gateway=GATEWAY, prefix=PREFIX)
    command = (*MORTAL, "unshare", "--mount", "--net", "sh", "-c", script)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            ready, _, _ = select.select([process.stdout], [], [], 30)
            assert ready, "the lab's network was not made in 30 s"
            assert process.stdout.readline() == "held\n", "the lab's network could not be made"
            with network_of(process.pid) as network:
                yield network
        finally:
            process.kill()


def _enter(pid: int) -> None:
    """This thread, and no other of the process."""
    with Path(f"/proc/{pid}/ns/net").open() as file:
        if _LIBC.setns(file.fileno(), _NEWNET):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
