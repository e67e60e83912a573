"""Servers that speak no HTTP: each connection is a talk, and ends with it."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Talk = Callable[[socket.socket], None]


def answering(name: str) -> Talk:
    """Answers every few bytes with its name, for as long as the client wants."""

    def talk(connection: socket.socket) -> None:
        while connection.recv(100):
            connection.sendall(name.encode())

    return talk


def answering_in_tls(name: str, context: ssl.SSLContext) -> Talk:
    def talk(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            answering(name)(secure)

    return talk


def greeting(text: bytes) -> Talk:
    """A server that speaks first."""

    def talk(connection: socket.socket) -> None:
        connection.sendall(text)
        connection.recv(100)

    return talk


def showing(connection: socket.socket) -> None:
    """Sends back what came, whatever that is, as it came."""
    while chunk := connection.recv(1000):
        connection.sendall(chunk)


def showing_a_proxy_header(context: ssl.SSLContext) -> Talk:
    """Says within TLS what stood in one line before it."""

    def talk(connection: socket.socket) -> None:
        line = b""
        while not line.endswith(b"\r\n"):
            line += connection.recv(1)
        with context.wrap_socket(connection, server_side=True) as secure:
            secure.recv(100)
            secure.sendall(line)

    return talk


def connect_proxy(connection: socket.socket) -> None:
    """Takes one CONNECT, and carries bytes between its client and where that leads."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += connection.recv(1)
    method, target, _ = head.decode().splitlines()[0].split()
    host, _, port = target.rpartition(":")
    assert method == "CONNECT", head
    with socket.create_connection((host, int(port)), 10) as there:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        back = threading.Thread(target=_carry, args=(there, connection))
        back.start()
        _carry(connection, there)
        back.join()


def _carry(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while chunk := source.recv(1000):
            sink.sendall(chunk)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


@contextmanager
def serving(talk: Talk, address: str = "127.0.0.1") -> Iterator[int]:
    """The port of that address where it is."""
    with accepting(socket.create_server((address, 0)), talk) as port:
        yield port


@contextmanager
def accepting(server: socket.socket, talk: Talk) -> Iterator[int]:
    """On a socket that listens already, in whatever network namespace; its port."""
    thread = threading.Thread(target=_accept, args=(server, talk))
    thread.start()
    try:
        yield server.getsockname()[1]
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()


def _accept(server: socket.socket, talk: Talk) -> None:
    with suppress(OSError):
        while True:
            connection, _ = server.accept()
            threading.Thread(target=_served, args=(connection, talk), daemon=True).start()


def _served(connection: socket.socket, talk: Talk) -> None:
    with suppress(OSError), connection:
        connection.settimeout(10)
        talk(connection)
