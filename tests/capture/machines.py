"""A host and a peer beside it, in network namespaces: whoever takes a connection says which port it was."""

from __future__ import annotations

import ctypes
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

from meshd.capture.table import Redirections, table
from tests.live.namespace import Namespace, namespace

HOST, HOST6, HOST_OUTSIDE6 = "10.8.0.1", "fd08::1", "fd18::1"
PEER, OTHER_PEER, PEER6 = "10.8.0.2", "10.8.9.2", "fd18::2"
APPLICATION, MESHD, ENVOY, GROUP = 64001, 64002, 64003, 64009
OUTBOUND, INBOUND, SERVICE, OTHER_SERVICE, SSH = 15001, 15006, 9000, 9001, 22
ELSEWHERE = "elsewhere"
_LIBC = ctypes.CDLL(None)


def redirections(**changes: object) -> Redirections:
    usual = {"proxies": frozenset({ENVOY}), "left_alone": frozenset({MESHD})}
    ssh = {"ports_left_alone": frozenset({SSH}), "own_ports_left_alone": frozenset({SSH})}
    return Redirections(**({"outbound_port": OUTBOUND, "inbound_port": INBOUND} | usual | ssh | changes))


@dataclass(frozen=True, kw_only=True)
class Machines:
    host: Namespace
    peer: Namespace

    def load(self, wanted: Redirections) -> None:
        self.host.run("nft", "-f", "-", given=table(wanted).text)

    def hears(self, user: int, to: tuple[str, int], source: str = "", group: int = 0) -> str:
        """Who takes what this user of the host opens."""
        return self.host.within(_hear, user, to, source, group)

    def hears_outside(self, to: tuple[str, int]) -> str:
        return self.peer.within(_hear, 0, to, "", 0)


@contextmanager
def running_machines() -> Iterator[Machines]:
    with namespace() as host, namespace() as peer, ExitStack() as stack:
        pairs = (HOST, PEER), ("10.8.9.1", OTHER_PEER)
        four = [f"{address}/24" for pair in pairs for address in pair]
        host.link(peer, *four, f"{HOST_OUTSIDE6}/64", f"{PEER6}/64")
        host.run("ip", "address", "add", f"{HOST6}/128", "dev", "lo", "nodad")
        for port in (OUTBOUND, INBOUND, SERVICE, OTHER_SERVICE, SSH):
            stack.enter_context(saying(host, port, str(port)))
        for port in (SERVICE, OTHER_SERVICE, SSH):
            stack.enter_context(saying(peer, port, ELSEWHERE))
        yield Machines(host=host, peer=peer)


@contextmanager
def saying(room: Namespace, port: int, text: str) -> Iterator[None]:
    with room.within(socket.create_server, ("::", port), family=socket.AF_INET6, dualstack_ipv6=True) as server:
        answering = threading.Thread(target=_answer, args=(server, text))
        answering.start()
        yield
        server.shutdown(socket.SHUT_RDWR)
        answering.join()


def _answer(server: socket.socket, text: str) -> None:
    with suppress(OSError):  # the end of the test
        while True:
            connection, _ = server.accept()
            with connection:
                connection.sendall(text.encode())


def _hear(user: int, to: tuple[str, int], source: str, group: int) -> str:
    with socket_of(user, socket.AF_INET6 if ":" in to[0] else socket.AF_INET, group) as connection:
        connection.settimeout(10)
        if source:
            connection.bind((source, 0))
        connection.connect(to)
        return connection.recv(64).decode()


def socket_of(user: int, family: int, group: int = 0) -> socket.socket:
    """The kernel asks who made it; who that is, is a matter of the thread."""
    _LIBC.setfsgid(group)
    _LIBC.setfsuid(user)
    try:
        return socket.socket(family)
    finally:
        _LIBC.setfsuid(0)
        _LIBC.setfsgid(0)


def ruleset(room: Namespace) -> str:
    return room.run("nft", "list", "ruleset")


def within(room: Namespace, *words: str) -> subprocess.CompletedProcess[str]:
    command = room.command(*words)
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
