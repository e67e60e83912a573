"""A network namespace of its own for a test: a machine whose connections can be captured, and nobody else's."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, kw_only=True)
class Namespace:
    """`name` as `ip netns` knows it. Sockets made within belong to it wherever they are used afterwards."""

    name: str
    _thread: ThreadPoolExecutor

    def within(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """The result of the function, called on a thread that lives in the namespace."""
        return self._thread.submit(function, *args, **kwargs).result(60)

    def command(self, *words: str | Path) -> tuple[str, ...]:
        return ("ip", "netns", "exec", self.name, *map(str, words))

    def link(self, other: Namespace, *addresses: str) -> None:
        """By an interface eth0 on either side; its addresses are given in pairs, the first of them ours."""
        self.run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", other.name)
        for side, its in ((self, addresses[::2]), (other, addresses[1::2])):
            for address in its:
                side.run("ip", "address", "add", address, "dev", "eth0", *(("nodad",) if ":" in address else ()))
            side.run("ip", "link", "set", "eth0", "up")

    def run(self, *words: str, given: str = "") -> str:
        done = subprocess.run(
            self.command(*words), input=given, capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout


@contextmanager
def namespace(*addresses: str) -> Iterator[Namespace]:
    """With a loopback interface that has these addresses besides its own; the namespace ends with the test."""
    name = f"meshd-{os.getpid()}-{os.urandom(3).hex()}"
    subprocess.run(("ip", "netns", "add", name), check=True)
    try:
        with ThreadPoolExecutor(1, initializer=lambda: _enter(name)) as thread:
            made = Namespace(name=name, _thread=thread)
            made.run("ip", "link", "set", "lo", "up")
            for address in addresses:
                made.run("ip", "address", "add", address, "dev", "lo", *(("nodad",) if ":" in address else ()))
            yield made
    finally:
        subprocess.run(("ip", "netns", "delete", name), check=True)


def _enter(name: str) -> None:
    """This thread, and no other of the process."""
    with Path(f"/run/netns/{name}").open() as file:
        if _LIBC.setns(file.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
