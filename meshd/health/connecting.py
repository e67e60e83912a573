"""A probe's host and port -> an open connection, or the reason why there is none."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from contextlib import suppress

from meshd.fields import is_ip

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]

_MOST_HEADERS = 64 * 1024


async def connect(
    host: str, port: int, *, tls: ssl.SSLContext | None = None, server_name: str | None = None
) -> Connection:
    """To the first address that takes it; raises what was wrong with the first that did not."""
    failures = []
    for address in await _addresses(host):
        try:
            return await asyncio.open_connection(
                address, port, limit=_MOST_HEADERS, ssl=tls, server_hostname=server_name
            )
        except OSError as failure:
            failures.append(failure)
    raise failures[0]


async def _addresses(host: str) -> tuple[str, ...]:
    """As the host's own library has them, on a thread that nobody waits for.

    With a nameserver that does not answer it takes half a minute; the threads of the loop have better to do, and a
    meshd that is told to stop does not wait for them either.
    """
    if is_ip(host):
        return (host,)
    loop = asyncio.get_running_loop()
    found: asyncio.Future[tuple[str, ...]] = loop.create_future()

    def tell(addresses: tuple[str, ...], failure: OSError | UnicodeError | None) -> None:
        if found.done():
            return
        if failure is not None:
            found.set_exception(failure)
        else:
            found.set_result(addresses)

    def look_up() -> None:
        told = _looked_up(host)
        with suppress(RuntimeError):  # the loop is closed: meshd has ended
            loop.call_soon_threadsafe(tell, *told)

    threading.Thread(target=look_up, name=f"lookup of {host}", daemon=True).start()
    return await found


def _looked_up(host: str) -> tuple[tuple[str, ...], OSError | UnicodeError | None]:
    try:
        answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as failure:
        return (), failure
    return tuple(dict.fromkeys(str(address[0]) for *_, address in answers)), None
