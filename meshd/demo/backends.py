"""Small HTTP/1.1 servers on loopback, each with one answer: which version it is. With TLS when given a context."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


@asynccontextmanager
async def backend(name: str, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """The port on which every request is answered with `name`, and with how it came when that was TLS."""
    connections: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(writer)
        # What ends a connection here is the proxy that closed it, or the end of the demo.
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await _converse(reader, writer, name)
        connections.discard(writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in connections:
            writer.transport.abort()


async def _converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str) -> None:
    session = writer.get_extra_info("ssl_object")
    body = f"{name} over {session.version()}" if session else name
    answer = f"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {len(body) + 1}\r\n\r\n{body}\n".encode()
    while True:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
