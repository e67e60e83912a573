"""What an application asks of its sidecar, what it is answered, and what an exchange should be.

`get("/a", x_user="jason").gives(by="v2", path="/b")` is an exchange: a request and what must come of it.
"""

from __future__ import annotations

import http.client
import itertools
import json
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.live import http2
from tests.live.certificates import Pair

_NUMBERS = itertools.count(1)


@dataclass(frozen=True, kw_only=True)
class Secure:
    """TLS that the client opens: the name it asks for and verifies, and the certificate it shows, by its name.

    `sni` empty asks for none, and verifies only whose certificate it is. `alpn` empty offers what the request speaks.
    """

    sni: str
    pair: str = ""
    alpn: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Ask:
    """`host` None is the case's own. `listener`: which one is asked; `proxy` by an absolute URL, others by path.

    `source` and `target`: the loopback addresses between which the connection is. `secure` None asks in plain text.
    `headers` are written `x_user="jason"`; a header that comes more than once has a
    tuple of values.
    """

    method: str = "GET"
    path: str = "/"
    host: str | None = None
    listener: str = "proxy"
    headers: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    body: bytes | None = None
    source: str = "127.0.0.1"
    target: str = "127.0.0.1"
    secure: Secure | None = None
    http2: bool = False

    def gives(self, status: int = 200, **expected: Any) -> Exchange:
        return Exchange(ask=self, expected=Expected(status=status, **expected))

    def is_refused(self) -> Exchange:
        """No response at all: the handshake fails, or the connection ends."""
        return Exchange(ask=self, expected=Expected(status=0))

    def over_tls(self, sni: str, pair: str = "", alpn: tuple[str, ...] = ()) -> Ask:
        return replace(self, secure=Secure(sni=sni, pair=pair, alpn=alpn), host=self.host or sni)

    def in_http2(self) -> Ask:
        return replace(self, http2=True)

    def to(self, host: str, listener: str | None = None) -> Ask:
        return replace(self, host=host, listener=listener or self.listener)

    def through(self, listener: str, target: str = "127.0.0.1") -> Ask:
        return replace(self, listener=listener, target=target)

    def out_of(self, source: str) -> Ask:
        return replace(self, source=source)


def ask(method: str, path: str = "/", **headers: str | tuple[str, ...]) -> Ask:
    return Ask(method=method, path=path, headers={name.replace("_", "-"): value for name, value in headers.items()})


def get(path: str = "/", **headers: str | tuple[str, ...]) -> Ask:
    return ask("GET", path, **headers)


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What is None or empty is not looked at.

    `by`: the version that answered. `path`, `sent_host` and `sent` are what it got, header by header (None: must be
    absent); `headers` are those of the answer. `reached`: the versions that got it, tries and copies, in any order.
    """

    status: int = 200
    by: str | None = None
    path: str | None = None
    sent_host: str | None = None
    sent: Mapping[str, str | list[str] | None] = field(default_factory=dict)
    headers: Mapping[str, str | list[str] | None] = field(default_factory=dict)
    body: bytes | None = None
    reached: tuple[str, ...] | None = None
    tls: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Exchange:
    ask: Ask
    expected: Expected


@dataclass(frozen=True, kw_only=True)
class Answer:
    """`live` marks the request, its tries and its copies at the backends."""

    live: str
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]

    @property
    def told(self) -> dict[str, Any]:
        """What the backend says it received."""
        assert self.all("x-backend"), f"no backend answered: {self.status} {self.body!r} {self.headers}"
        told: dict[str, Any] = json.loads(self.body)
        return told

    @property
    def by(self) -> str:
        return "".join(self.all("x-backend"))

    def sent(self, name: str) -> list[str]:
        return [value for key, value in self.told["headers"] if key == name]


class _Connection(http.client.HTTPConnection):
    """On a socket that is open already."""

    def __init__(self, opened: socket.socket) -> None:
        super().__init__("localhost", timeout=10)
        self.sock = opened

    def connect(self) -> None:
        raise ConnectionResetError("the connection was closed")


def opened(
    address: int | str,
    *,
    source: str = "127.0.0.1",
    target: str = "127.0.0.1",
    secure: Secure | None = None,
    keys: Keys | None = None,
) -> socket.socket:
    """A socket to a port of a loopback address, or to a Unix socket; with TLS where `secure` says how."""
    if isinstance(address, int):
        connection = socket.create_connection((target, address), 10, (source, 0))
    else:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(10)
        connection.connect(address)
    if secure is None:
        return connection
    assert keys is not None
    try:
        return keys.context(secure).wrap_socket(connection, server_hostname=secure.sni or None)
    except BaseException:
        connection.close()
        raise


@dataclass(frozen=True, kw_only=True)
class Keys:
    """What clients of the suite trust, and the certificates they may show."""

    trusted: Path
    pairs: Mapping[str, Pair] = field(default_factory=dict)

    def context(self, secure: Secure) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.trusted)
        context.check_hostname = bool(secure.sni)
        if secure.pair:
            context.load_cert_chain(self.pairs[secure.pair].chain, self.pairs[secure.pair].key)
        if secure.alpn:
            context.set_alpn_protocols(list(secure.alpn))
        return context


def send(address: int | str, request: Ask, host: str, *, absolute: bool, keys: Keys | None = None) -> Answer:
    """`absolute`: as to an HTTP proxy."""
    live = str(next(_NUMBERS))
    secure = request.secure
    if secure is not None and not secure.alpn:
        secure = replace(secure, alpn=("h2",) if request.http2 else ("http/1.1",))
    plain = opened(address, source=request.source, target=request.target, secure=secure, keys=keys)
    if request.http2:
        with plain:
            return _in_http2(plain, request, host, live)
    connection = _Connection(plain)
    try:
        connection.putrequest(request.method, f"http://{host}{request.path}" if absolute else request.path, True, True)
        connection.putheader("host", host)
        connection.putheader("x-live", live)
        for name, values in request.headers.items():
            for value in (values,) if isinstance(values, str) else values:
                connection.putheader(name, value)
        if request.body is not None:
            connection.putheader("content-length", str(len(request.body)))
        connection.endheaders(request.body)
        response = connection.getresponse()
        headers = tuple((name.lower(), value) for name, value in response.getheaders())
        return Answer(live=live, status=response.status, headers=headers, body=response.read())
    finally:
        connection.close()


def _in_http2(connection: socket.socket, request: Ask, host: str, live: str) -> Answer:
    regular = [
        (name, value)
        for name, values in request.headers.items()
        for value in ((values,) if isinstance(values, str) else values)
    ]
    scheme = "https" if request.secure else "http"
    pseudo = ((":method", request.method), (":scheme", scheme), (":authority", host), (":path", request.path))
    told = http2.ask(connection, http2.Message(headers=(*pseudo, ("x-live", live), *regular), body=request.body or b""))
    headers = tuple((name, value) for name, value in (*told.headers, *told.trailers) if name != ":status")
    return Answer(live=live, status=int(told.one(":status")), headers=headers, body=told.body)
