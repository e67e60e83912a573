"""One question to one nameserver: by UDP, and by TCP if the answer is truncated.

What does not belong to the question is passed over, so neither a forger nor a belated answer can end the wait.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import Final

import dns.asyncquery
import dns.exception
import dns.message

from meshd.resolve.nameservers import Nameserver

_LARGEST: Final = 65535


class GarbledError(Exception):
    """In time there came something, but no answer."""


async def ask(query: dns.message.Message, server: Nameserver, seconds: float) -> dns.message.Message:
    """Raises TimeoutError when nobody answers, another OSError when nobody is there, and GarbledError."""
    try:
        return await _by_udp(query, server, seconds)
    except dns.message.Truncated:
        return await _by_tcp(query, server, seconds)


async def _by_udp(query: dns.message.Message, server: Nameserver, seconds: float) -> dns.message.Message:
    """Raises Truncated besides. The socket is connected: the kernel drops what others send, and tells who is away."""
    loop, garbled = asyncio.get_running_loop(), False
    with socket.socket(_family(server), socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.connect((server.ip, server.port))
        try:
            async with asyncio.timeout(seconds):
                await loop.sock_sendall(sock, query.to_wire())
                while (response := _read(query, await loop.sock_recv(sock, _LARGEST))) is None:
                    garbled = True
        except TimeoutError:
            response = _in_time_but_unread(query, sock)
            if response is None and garbled:
                raise GarbledError from None
            if response is None:
                raise
    return response


def _in_time_but_unread(query: dns.message.Message, sock: socket.socket) -> dns.message.Message | None:
    """With hundreds of questions open it may be us who are late: the answer has been waiting in the socket."""
    with suppress(BlockingIOError):
        return _read(query, sock.recv(_LARGEST))
    return None


def _read(query: dns.message.Message, wire: bytes) -> dns.message.Message | None:
    """The answer, or None when this is not the answer to this question."""
    try:
        response = dns.message.from_wire(wire, raise_on_truncation=True)
    except dns.message.Truncated as cut:
        if query.is_response(cut.message()):  # type: ignore[no-untyped-call]
            raise
        return None
    except Exception:  # noqa: BLE001 - whatever a lying server makes the parser raise, it is no answer
        return None
    return response if query.is_response(response) else None


async def _by_tcp(query: dns.message.Message, server: Nameserver, seconds: float) -> dns.message.Message:
    try:
        return await dns.asyncquery.tcp(query, server.ip, timeout=seconds, port=server.port)
    except dns.exception.Timeout:
        raise TimeoutError from None
    except OSError:
        raise
    except Exception as error:
        raise GarbledError from error


def _family(server: Nameserver) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in server.ip else socket.AF_INET
