"""What an application asks of its sidecar, what it is answered, and what an exchange should be.

`get("/a", x_user="jason").gives(by="v2", path="/b")` is an exchange: a request and what must come of it.
"""

from __future__ import annotations

import http.client
import itertools
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

_NUMBERS = itertools.count(1)


@dataclass(frozen=True, kw_only=True)
class Ask:
    """`host` None is the case's own. `listener`: which one is asked; `proxy` by an absolute URL, others by path.

    `headers` are written `x_user="jason"`; a header that comes more than once has a tuple of values.
    """

    method: str = "GET"
    path: str = "/"
    host: str | None = None
    listener: str = "proxy"
    headers: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    body: bytes | None = None
    source: str = "127.0.0.1"

    def gives(self, status: int = 200, **expected: Any) -> Exchange:
        return Exchange(ask=self, expected=Expected(status=status, **expected))

    def to(self, host: str, listener: str | None = None) -> Ask:
        return replace(self, host=host, listener=listener or self.listener)

    def through(self, listener: str) -> Ask:
        return replace(self, listener=listener)


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
    """To a port of the loopback address, or to a Unix socket."""

    def __init__(self, address: int | str, source: str) -> None:
        super().__init__("localhost", timeout=10)
        self._address = address
        self._source = source

    def connect(self) -> None:
        if isinstance(self._address, int):
            self.sock = socket.create_connection(("127.0.0.1", self._address), 10, (self._source, 0))
        else:
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(10)
            self.sock.connect(self._address)


def send(address: int | str, request: Ask, host: str, *, absolute: bool) -> Answer:
    """`absolute`: as to an HTTP proxy."""
    live = str(next(_NUMBERS))
    connection = _Connection(address, request.source)
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
