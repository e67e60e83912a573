"""Bytes to a listener and back: backends that say who they are, and clients that begin with what they please."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def saying(name: str, heard: list[bytes] | None = None) -> Iterator[int]:
    """A port where whoever connects and sends a line is told `name`; the lines are noted in `heard`."""
    server = socket.create_server(("127.0.0.1", 0))
    noted = [] if heard is None else heard
    thread = threading.Thread(target=_serve, args=(server, name.encode(), noted))
    thread.start()
    try:
        yield server.getsockname()[1]
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()


def _serve(server: socket.socket, name: bytes, heard: list[bytes]) -> None:
    with suppress(OSError):
        while True:
            connection, _ = server.accept()
            threading.Thread(target=_answer, args=(connection, name, heard), daemon=True).start()


def _answer(connection: socket.socket, name: bytes, heard: list[bytes]) -> None:
    with connection, suppress(OSError):
        connection.settimeout(10)
        line = connection.makefile("rb").readline()
        if line:
            heard.append(line.strip())
            connection.sendall(name)


def told(port: int | str, *, begins: bytes = b"", host: str = "127.0.0.1") -> str:
    """What the backend says; empty when the connection is closed without a word. A string is a Unix socket."""
    with suppress(OSError), _connected(port, host) as connection:
        connection.sendall(begins + b"hello\n")
        return connection.recv(1000).decode()
    return ""


def _connected(port: int | str, host: str) -> socket.socket:
    if isinstance(port, int):
        return socket.create_connection((host, port), timeout=10)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(10)
    connection.connect(port)
    return connection


def proxied(destination: str, port: int, *, source: str = "192.0.2.1") -> bytes:
    """A PROXY header, version 1."""
    return f"PROXY TCP4 {source} {destination} 40000 {port}\r\n".encode()


def client_hello(name: str, alpn: list[str] | None = None) -> bytes:
    """The first bytes of a TLS client, and the end of a line, for a backend that reads lines."""
    context = ssl.create_default_context()
    if alpn:
        context.set_alpn_protocols(alpn)
    inside, outside = ssl.MemoryBIO(), ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(inside, outside, server_hostname=name).do_handshake()
    return outside.read() + b"\n"
