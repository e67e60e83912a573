"""A forward proxy as companies have them: it takes CONNECT, and knows by name what nobody else here can find."""

from __future__ import annotations

import base64
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tests.live.raw import serving
from tests.ports import free_port
from tests.waiting import until

_LARGEST = 65536


class Asked(NamedTuple):
    authority: str
    shown: str


def basic(user: str, password: str) -> str:
    """What a file of credentials has."""
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


@dataclass
class ForwardProxy:
    """`leads`: the port of this machine at which each `host:port` is. What is not there is refused with 403.

    `expects`: the credentials without which the answer is 407. `tls`: it is spoken to in TLS. `mute`: it takes
    connections and never answers.
    """

    leads: dict[str, int] = field(default_factory=dict)
    expects: str = ""
    tls: ssl.SSLContext | None = None
    mute: bool = False
    asked: list[Asked] = field(default_factory=list)

    def __call__(self, connection: socket.socket) -> None:
        if self.tls is None:
            self._take(connection)
            return
        with self.tls.wrap_socket(connection, server_side=True) as secure:
            self._take(secure)

    @property
    def authorities(self) -> list[str]:
        return [each.authority for each in self.asked]

    def _take(self, client: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = client.recv(1)
            if not byte:
                return
            head += byte
        start, *lines = head.decode().strip().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        asked = Asked(start.split()[1], headers.get("proxy-authorization", ""))
        self.asked.append(asked)
        if self.mute:
            client.recv(1)
            return
        refusal = self._refusal(start.split()[0], asked)
        if refusal:
            client.sendall(f"HTTP/1.1 {refusal}\r\ncontent-length: 0\r\n\r\n".encode())
            return
        with socket.create_connection(("127.0.0.1", self.leads[asked.authority]), 10) as there:
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            _join(client, there)

    def _refusal(self, method: str, asked: Asked) -> str:
        if method != "CONNECT":
            return "405 Method Not Allowed"
        if self.expects and asked.shown != self.expects:
            return "407 Proxy Authentication Required"
        return "" if asked.authority in self.leads else "403 Forbidden"


@contextmanager
def forward_proxy(proxy: ForwardProxy) -> Iterator[int]:
    """The port of 127.0.0.1 where it is."""
    with serving(proxy) as port:
        yield port


def _join(one: socket.socket, other: socket.socket) -> None:
    for each in (one, other):
        each.settimeout(None)
    back = threading.Thread(target=_carry, args=(other, one), daemon=True)
    back.start()
    _carry(one, other)
    back.join(10)


def _carry(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError, ValueError):
        while chunk := source.recv(_LARGEST):
            sink.sendall(chunk)
    with suppress(OSError, ValueError):
        sink.shutdown(socket.SHUT_WR)


# --- one that others made ---------------------------------------------------------------------------------------


def tinyproxy_binary() -> str | None:
    return shutil.which("tinyproxy")


@contextmanager
def tinyproxy(directory: Path, beyond: int, users: Mapping[str, str]) -> Iterator[int]:
    """Debian's, with Basic credentials. What it is asked for it asks of the proxy at port `beyond`, by name."""
    port = free_port()
    lines = (f"Port {port}", "Listen 127.0.0.1", f"Upstream http 127.0.0.1:{beyond}")
    with running_tinyproxy(directory, lines, users, lambda: _listens(port)):
        yield port


@contextmanager
def running_tinyproxy(
    directory: Path,
    lines: Sequence[str],
    users: Mapping[str, str],
    listens: Callable[[], bool],
    within: Sequence[str] = (),
) -> Iterator[Path]:
    """Its log. `within`: the command that runs another on a machine."""
    binary = tinyproxy_binary()
    assert binary
    config, log = directory / "tinyproxy.conf", directory / "tinyproxy.log"
    usual = ("Timeout 60", "MaxClients 50", "LogLevel Connect", f'LogFile "{log}"')
    credentials = (f"BasicAuth {user} {password}" for user, password in users.items())
    config.write_text("\n".join((*usual, *lines, *credentials, "")))
    with subprocess.Popen((*within, binary, "-d", "-c", str(config)), stdout=subprocess.DEVNULL) as process:
        try:
            until(lambda: process.poll() is not None or listens(), what="tinyproxy")
            assert process.poll() is None, log.read_text()
            yield log
        finally:
            process.kill()


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
