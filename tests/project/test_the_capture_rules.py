"""The nftables rules of docs/capture.md, loaded into a namespace: who is redirected where, and who is left alone."""

from __future__ import annotations

import ctypes
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

import pytest

from tests.live.namespace import Namespace, namespace
from tests.project.pages import TOP, blocks

HOST, HOST6, PEER = "10.8.0.1", "fd08::1", "10.8.0.2"
APPLICATION, MESHD, ENVOY = 64001, 64002, 64003
OUTBOUND, INBOUND, SERVICE, SSH = 15001, 15006, 9000, 22
_LIBC = ctypes.CDLL(None)


@dataclass(frozen=True, kw_only=True)
class Machines:
    """`host` has the rules, `peer` is another machine beside it. Whoever takes a connection says which port it was."""

    host: Namespace
    peer: Namespace

    def hears(self, user: int, to: tuple[str, int], source: str = "") -> str:
        return self.host.within(_hear, user, to, source)


@pytest.fixture(scope="module")
def machines() -> Iterator[Machines]:
    (rules,) = blocks((TOP / "docs/capture.md").read_text(), "nft")
    with namespace() as host, namespace() as peer, ExitStack() as stack:
        host.run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", peer.name)
        for room, address in ((host, HOST), (peer, PEER)):
            room.run("ip", "address", "add", f"{address}/24", "dev", "eth0")
            room.run("ip", "link", "set", "eth0", "up")
        host.run("ip", "address", "add", f"{HOST6}/128", "dev", "lo", "nodad")
        host.run("nft", "-f", "-", given=rules.replace('"meshd"', str(MESHD)).replace('"meshd-envoy"', str(ENVOY)))
        for room, port in ((host, OUTBOUND), (host, INBOUND), (host, SERVICE), (host, SSH), (peer, SERVICE)):
            stack.enter_context(_saying(room, port, "elsewhere" if room is peer else str(port)))
        yield Machines(host=host, peer=peer)


@contextmanager
def _saying(room: Namespace, port: int, text: str) -> Iterator[None]:
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


def _hear(user: int, to: tuple[str, int], source: str) -> str:
    with _socket_of(user, socket.AF_INET6 if ":" in to[0] else socket.AF_INET) as connection:
        connection.settimeout(10)
        if source:
            connection.bind((source, 0))
        connection.connect(to)
        return connection.recv(64).decode()


def _socket_of(user: int, family: int) -> socket.socket:
    """The kernel asks who made it; who that is, is a matter of the thread."""
    _LIBC.setfsuid(user)
    try:
        return socket.socket(family)
    finally:
        _LIBC.setfsuid(0)


@pytest.mark.parametrize(
    ("user", "to", "source", "heard"),
    [
        pytest.param(APPLICATION, (PEER, SERVICE), "", OUTBOUND, id="an application calls elsewhere"),
        pytest.param(APPLICATION, (HOST, SERVICE), "", INBOUND, id="and its own host"),
        pytest.param(APPLICATION, (HOST6, SERVICE), "", INBOUND, id="by the other family too"),
        pytest.param(APPLICATION, ("127.0.0.1", SERVICE), "", SERVICE, id="but not by loopback"),
        pytest.param(ENVOY, (PEER, SERVICE), "", "elsewhere", id="a proxy calls elsewhere"),
        pytest.param(ENVOY, (HOST, SERVICE), "", INBOUND, id="and its own host"),
        pytest.param(ENVOY, (HOST, SERVICE), "127.0.0.6", SERVICE, id="and passes on what came in"),
        pytest.param(ENVOY, (HOST6, SERVICE), "::1", SERVICE, id="by the other family too"),
        pytest.param(MESHD, (HOST, SERVICE), "", SERVICE, id="meshd asks a workload"),
        pytest.param(MESHD, (PEER, SERVICE), "", "elsewhere", id="and the repository"),
    ],
)
def test_what_is_opened_on_the_host_is_taken_by_the_one_who_should(machines, user, to, source, heard):
    assert machines.hears(user, to, source) == str(heard)


@pytest.mark.parametrize(("port", "heard"), [(SERVICE, INBOUND), (SSH, SSH)])
def test_what_comes_from_another_machine_goes_to_the_proxy_but_for_ssh(machines, port, heard):
    assert machines.peer.within(_hear, 0, (HOST, port), "") == str(heard)


def test_the_rules_replace_those_of_before(machines):
    (rules,) = blocks((TOP / "docs/capture.md").read_text(), "nft")
    before = machines.host.run("nft", "list", "ruleset")

    machines.host.run("nft", "-f", "-", given=rules.replace('"meshd"', str(MESHD)).replace('"meshd-envoy"', str(ENVOY)))

    assert machines.host.run("nft", "list", "ruleset") == before
