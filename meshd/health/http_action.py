"""`httpGet`: one GET, of whose answer the status is all that counts (W-13)."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote

from meshd import __version__
from meshd.fields import is_ip
from meshd.health.connecting import connect
from meshd.health.result import HEALTHY, Result, unhealthy
from meshd.plan import HttpProbe

_AS_IS: Final = "/%?#[]@!$&'()*+,;=:~"
"""A path is written into the request as it is given, but for what would end the line."""


async def ask_http(action: HttpProbe) -> Result:
    reader, writer = await connect(action.host, action.port, tls=_tls(action), server_name=_server_name(action))
    try:
        writer.write(_request(action))
        await writer.drain()
        status = await _status(reader)
    finally:
        # Not closed in order: nobody waits for the rest of the answer, nor for a TLS peer's farewell.
        writer.transport.abort()
    return HEALTHY if 200 <= status < 400 else unhealthy(f"status {status}")


def _tls(action: HttpProbe) -> ssl.SSLContext | None:
    """Nothing is verified, as kubelet does not: the question is whether it answers, and it is this host's own."""
    if action.scheme == "HTTP":
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _server_name(action: HttpProbe) -> str | None:
    """The name that is asked for, by Host or by address; a bare address is no SNI."""
    if action.scheme == "HTTP":
        return None
    asked = next((value for name, value in action.headers if name.lower() == "host"), action.host)
    return "" if is_ip(asked) else asked.partition(":")[0]


def _request(action: HttpProbe) -> bytes:
    path = quote(action.path, safe=_AS_IS)
    lines = [f"GET {path if path.startswith('/') else f'/{path}'} HTTP/1.1", *_headers(action), "", ""]
    return "\r\n".join(lines).encode()


def _headers(action: HttpProbe) -> Iterator[str]:
    """The probe's own ones win over those that it would have anyway."""
    given = {name.lower() for name, _ in action.headers}
    host = f"[{action.host}]" if ":" in action.host else action.host
    usual = (
        ("Host", f"{host}:{action.port}"),
        ("User-Agent", f"meshd-probe/{__version__}"),
        ("Accept", "*/*"),
        ("Connection", "close"),
    )
    for name, value in (*(each for each in usual if each[0].lower() not in given), *action.headers):
        yield f"{name}: {' '.join(value.split())}"


async def _status(reader: asyncio.StreamReader) -> int:
    """Of the answer itself, not of an interim one that comes before it."""
    status = _code(await reader.readline())
    while 100 <= status < 200:
        while (await reader.readline()).strip():
            pass
        status = _code(await reader.readline())
    return status


def _code(line: bytes) -> int:
    words = line.split(maxsplit=2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        raise ValueError("the answer is not HTTP" if line else "the connection was closed without an answer")
    return int(words[1])
