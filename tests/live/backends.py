"""HTTP servers on loopback that answer with what they were asked, misbehave when a request says so, and remember.

A request's `x-do` header says how: `<deed>[x<times>][@<version>]`, where the deed is a status, `reset` (the connection
ends without an answer) or `hold` (no answer until `release`). It is done on the first `times` tries of that request, by
that version only; of several such headers the first that still has to be done is meant. Tries and copies of one request
share its `x-live` header.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tests.live import http2

_TLS_RECORD = b"\x16"  # not answered in plain text: the client would wait for the rest of a handshake
_PREFACE = b"PRI * HTTP/2.0\r\n\r\n"
_DEED = re.compile(r"(?P<deed>\d{3}|reset|hold)(?:x(?P<times>\d+))?(?:@(?P<version>\w+))?")


@dataclass(frozen=True, kw_only=True)
class Received:
    """One request as a backend got it. `connection` is a number of its own for each connection."""

    by: str
    connection: int
    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    tls: dict[str, Any] | None
    peer: str

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]


@dataclass
class Backends:
    """`ports` by version; `received` in the order of arrival; `prefaces`: who was spoken to in HTTP/2,
    and by which ALPN; `pings`: by the number of the connection."""

    ports: dict[str, int] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)
    prefaces: list[tuple[str, str | None]] = field(default_factory=list)
    pings: Counter[int] = field(default_factory=Counter)
    opened: int = 0
    closed: set[int] = field(default_factory=set)
    _held: list[asyncio.Event] = field(default_factory=list)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _servers: list[asyncio.Server] = field(default_factory=list)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    def of(self, live: str) -> list[Received]:
        """All tries and copies of one request."""
        return [each for each in list(self.received) if live in each.all("x-live")]

    def serve(self, version: str, tls: ssl.SSLContext | None = None) -> int:
        """From now on, on a port of its own."""
        if tls:
            tls.sni_callback = lambda connection, name, _: setattr(connection, "asked_name", name)
        start = asyncio.start_server(self._as(version), "127.0.0.1", 0, ssl=tls)
        server = self._do(start)
        self._servers.append(server)
        self.ports[version] = server.sockets[0].getsockname()[1]
        return self.ports[version]

    def serve_on(self, version: str, listening: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        """From now on, on a socket of whatever network namespace."""
        if tls:
            tls.sni_callback = lambda connection, name, _: setattr(connection, "asked_name", name)
        self._servers.append(self._do(asyncio.start_server(self._as(version), sock=listening, ssl=tls)))

    def serve_unix(self, version: str, path: Path) -> None:
        self._servers.append(self._do(asyncio.start_unix_server(self._as(version), path)))

    def hang_up(self) -> None:
        """All connections that are open."""
        for writer in list(self._writers):
            self._loop.call_soon_threadsafe(writer.transport.abort)

    def release(self) -> None:
        """What was held is answered."""
        for event in list(self._held):
            self._loop.call_soon_threadsafe(event.set)

    # --- inside -----------------------------------------------------------------------------------------------

    def _do(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    def _as(self, version: str) -> Any:
        async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.opened += 1
            number = self.opened
            self._writers.add(writer)
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError, ssl.SSLError):
                await self._converse(version, number, reader, writer)
            self.closed.add(number)
            self._writers.discard(writer)
            writer.close()

        return converse

    async def _converse(
        self, version: str, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while True:
            first = await reader.readexactly(1)
            if first == _TLS_RECORD:
                return
            head = first + await reader.readuntil(b"\r\n\r\n")
            if head == _PREFACE:
                session = writer.get_extra_info("ssl_object")
                self.prefaces.append((version, session.selected_alpn_protocol() if session else None))
                answer = partial(self._answer_http2, version, number, _tls(writer), _peer(writer))
                await http2.serve(reader, writer, head, answer, partial(self.pings.update, (number,)))
                return
            request = await _request(version, number, head, reader, writer)
            self.received.append(request)
            deed = self._deed(request)
            if deed == "reset":
                writer.transport.abort()
                return
            if deed == "hold":
                await self._hold_while_there(reader)
                if reader.at_eof():
                    return
            if request.all("upgrade"):
                await _echo(reader, writer)
                return
            writer.write(_answer(request, int(deed) if deed.isdecimal() else 200))
            await writer.drain()

    async def _answer_http2(
        self, version: str, number: int, tls: dict[str, Any] | None, peer: str, asked: http2.Message
    ) -> http2.Message | None:
        """A gRPC request is answered with `grpc-status: 0`."""
        regular = tuple((name, value) for name, value in asked.headers if not name.startswith(":"))
        request = Received(
            by=version,
            connection=number,
            method=asked.one(":method"),
            path=asked.one(":path"),
            headers=(("host", asked.one(":authority")), *regular),
            body=asked.body,
            tls=tls,
            peer=peer,
        )
        self.received.append(request)
        deed = self._deed(request)
        if deed == "reset":
            return None
        if deed == "hold":
            await self._hold()
        is_grpc = asked.one("content-type").startswith("application/grpc")
        return http2.Message(
            headers=(
                (":status", deed if deed.isdecimal() else "200"),
                ("server", "backend"),
                ("x-backend", version),
                ("x-own", "kept"),
                ("content-type", "application/grpc" if is_grpc else "application/json"),
            ),
            body=asked.body if is_grpc else _told(request),
            trailers=(("grpc-status", "0"),) if is_grpc else (),
        )

    def _deed(self, request: Received) -> str:
        """What this try is told to do; `` where it is to be answered well."""
        for asked in map(_DEED.fullmatch, request.all("x-do")):
            if asked is None or asked["version"] not in {None, request.by}:
                continue
            tries = [each for each in self.of(request.all("x-live")[0]) if asked["version"] in {None, each.by}]
            if not asked["times"] or len(tries) <= int(asked["times"]):
                return asked["deed"]
        return ""

    async def _hold(self) -> None:
        """Until `release`."""
        released = asyncio.Event()
        self._held.append(released)
        try:
            await released.wait()
        finally:
            self._held.remove(released)

    async def _hold_while_there(self, reader: asyncio.StreamReader) -> None:
        """Until `release`, or until the client gives up."""
        gone = asyncio.ensure_future(reader.read(1))
        waiting = asyncio.ensure_future(self._hold())
        await asyncio.wait((gone, waiting), return_when=asyncio.FIRST_COMPLETED)
        for task in (gone, waiting):
            task.cancel()
        await asyncio.gather(gone, waiting, return_exceptions=True)

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextmanager
def running_backends() -> Iterator[Backends]:
    backends = Backends()
    thread = threading.Thread(target=backends._loop.run_forever)
    thread.start()
    try:
        yield backends
    finally:
        backends._do(backends._close())
        backends._loop.call_soon_threadsafe(backends._loop.stop)
        thread.join()
        backends._loop.close()


async def _request(
    version: str, number: int, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> Received:
    start, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, path, _ = start.split(" ")
    headers = tuple((name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines))
    return Received(
        by=version,
        connection=number,
        method=method,
        path=path,
        headers=headers,
        body=await _body(dict(headers), reader),
        tls=_tls(writer),
        peer=_peer(writer),
    )


async def _body(headers: dict[str, str], reader: asyncio.StreamReader) -> bytes:
    if headers.get("transfer-encoding") != "chunked":
        return await reader.readexactly(int(headers.get("content-length", 0)))
    body = b""
    while size := int(await reader.readline(), 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return body


def _peer(writer: asyncio.StreamWriter) -> str:
    """The address that the connection comes from; empty for a Unix socket's."""
    name = writer.get_extra_info("peername")
    return str(name[0]) if isinstance(name, tuple) else ""


def _tls(writer: asyncio.StreamWriter) -> dict[str, Any] | None:
    session = writer.get_extra_info("ssl_object")
    if session is None:
        return None
    peer = writer.get_extra_info("peercert") or {}
    return {
        "sni": getattr(session, "asked_name", None),
        "alpn": session.selected_alpn_protocol(),
        "client": dict(part for group in peer.get("subject", ()) for part in group).get("commonName"),
    }


def _told(request: Received) -> bytes:
    told = {"by": request.by, "method": request.method, "path": request.path, "headers": request.headers}
    told |= {"connection": request.connection, "tls": request.tls, "body": request.body.decode("latin-1")}
    told |= {"peer": request.peer}
    return json.dumps(told).encode()


def _answer(request: Received, status: int) -> bytes:
    body = b"" if status in {204, 304} else _told(request)
    head = [
        f"HTTP/1.1 {status} As-Asked",
        "server: backend",
        f"x-backend: {request.by}",
        "x-own: kept",
        "content-type: application/json",
        f"content-length: {len(body)}",
    ]
    if status in {204, 304}:
        head.pop()
    return "\r\n".join(head).encode() + b"\r\n\r\n" + (b"" if request.method == "HEAD" else body)


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """What follows an upgrade."""
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
    while chunk := await reader.read(1000):
        writer.write(chunk)
        await writer.drain()
