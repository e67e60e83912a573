"""The daemon's end of the control socket: who may ask, and one reply per line."""

from __future__ import annotations

import asyncio
import os
import pwd
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog

from meshd.control import REQUEST_LIMIT, ControlError, Reply, Request, parse_request

log = structlog.get_logger()

_READING: Final = frozenset({"status", "endpoints", "wait"})
_UCRED: Final = struct.Struct("3i")

Answer = Callable[[Request], Awaitable[Reply]]


class ControlServer:
    """Listens with mode 0660 in the runtime directory. Verbs that act are for root, meshd's user and its group."""

    def __init__(self, path: Path, answer: Answer) -> None:
        self._path = path
        self._answer = answer
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """The state directory's lock makes sure that a socket found here is a dead one's."""
        self._path.unlink(missing_ok=True)
        before = os.umask(0o117)
        try:
            self._server = await asyncio.start_unix_server(self._connected, self._path, limit=REQUEST_LIMIT)
        finally:
            os.umask(before)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)
        self._path.unlink(missing_ok=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            await self._converse(reader, writer)
        except (OSError, ValueError) as error:  # ValueError: a line beyond the limit
            log.debug("control.dropped", error=str(error))
        finally:
            self._open.discard(task)
            with suppress(ConnectionError):
                writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        uid, gid = peer(writer.get_extra_info("socket"))
        while line := await reader.readline():
            writer.write((await self._reply(line, uid, gid)).line())
            await writer.drain()

    async def _reply(self, line: bytes, uid: int, gid: int) -> Reply:
        try:
            return await self._permitted(parse_request(line), uid, gid)
        except ControlError as error:
            return Reply(ok=False, body={"failure": str(error), "hint": error.hint})
        except Exception as error:
            log.exception("control.crashed", next="please report this")
            return Reply(ok=False, body={"failure": f"a fault in meshd: {error!r}", "hint": "see its log"})

    async def _permitted(self, request: Request, uid: int, gid: int) -> Reply:
        if request.verb in _READING:
            return await self._answer(request)
        # Aside, for the directory that knows the user's groups may be on the network.
        if not await asyncio.to_thread(may_act, uid, gid, self._path.stat().st_gid):
            log.warning("control.denied", verb=request.verb, uid=uid)
            return Reply(
                ok=False, body={"failure": f"user {uid} may not {request.verb}", "hint": "be root or in meshd's group"}
            )
        log.info("control.asked", verb=request.verb, uid=uid)
        return await self._answer(request)


def peer(connection: socket.socket) -> tuple[int, int]:
    """The user and group of the process at the other end, as the kernel knows them."""
    _, uid, gid = _UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return uid, gid


def may_act(uid: int, gid: int, group: int) -> bool:
    if uid in {0, os.geteuid()} or gid == group:
        return True
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        return False
    return group in os.getgrouplist(name, gid)
