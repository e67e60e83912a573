"""One proxy's delta ADS server on a Unix socket: serves a snapshot to the Envoys that connect, hears their verdicts.

It knows neither generations nor the order of a push; `push.py` moves it from one snapshot to the next.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import shutil
import socket
import stat
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest, DeltaDiscoveryResponse

from meshd.deliver.error import DeliveryError
from meshd.deliver.snapshot import NOTHING, Snapshot
from meshd.deliver.stream import Stream
from meshd.envoy.resource import TypeUrl
from meshd.names import ProxyName

_SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
_METHOD = "DeltaAggregatedResources"
_UNLIMITED = -1
_GRACE = 1.0
"""Seconds for the streams to end by themselves; they are told to."""
_LARGEST_REQUEST = 64 * 1024 * 1024
"""A reconnecting Envoy names everything that it has in one request: 2 MB at 10 000 clusters."""
_LONGEST_QUEUE = 1000
"""Responses that wait for an Envoy which does not read; past it the stream is ended, and Envoy comes back."""


class Session(Stream):
    """One connected Envoy: its protocol state, and the responses on their way to it. `number`: as they came."""

    def __init__(self, served: Snapshot, number: int) -> None:
        super().__init__(served)
        self.number = number
        self._outgoing: asyncio.Queue[DeltaDiscoveryResponse] = asyncio.Queue()
        self.ended = asyncio.Event()

    def enqueue(self, responses: Iterable[DeltaDiscoveryResponse]) -> None:
        for response in responses:
            self._outgoing.put_nowait(response)
        if self._outgoing.qsize() > _LONGEST_QUEUE:
            self.ended.set()

    async def write_to(self, context: Any) -> None:  # noqa: ANN401  grpc has no types
        while True:
            await context.write(await self._outgoing.get())


class ProxyServer:
    """Serves one proxy. All methods belong to the event loop that started it."""

    def __init__(self, proxy: ProxyName, path: Path, served: Snapshot = NOTHING) -> None:
        self.proxy = proxy
        self.path = path
        self.served = served
        self.sessions: frozenset[Session] = frozenset()
        self.last: Session | None = None
        """The latest to come of those that are here; of nobody, who was here last."""
        self._comers = itertools.count()
        self._moved = asyncio.Event()
        self._server: Any = None

    async def start(self) -> None:
        """Refuses to start on a socket that somebody else answers on."""
        handler = grpc.stream_stream_rpc_method_handler(
            self._converse,
            request_deserializer=DeltaDiscoveryRequest.FromString,
            response_serializer=DeltaDiscoveryResponse.SerializeToString,
        )
        self._server = grpc.aio.server(
            handlers=(grpc.method_handlers_generic_handler(_SERVICE, {_METHOD: handler}),),
            options=(
                ("grpc.max_send_message_length", _UNLIMITED),
                ("grpc.max_receive_message_length", _LARGEST_REQUEST),
            ),
        )
        _refuse_live(self.path)
        try:
            await self._listen()
        except (OSError, RuntimeError) as error:
            self._server = None
            raise DeliveryError(f"cannot listen on {self.path}: {error}", "is its directory writable?") from error

    async def stop(self) -> None:
        """Ends all streams; the Envoys keep what they have and try to come back."""
        server, self._server = self._server, None
        if server is not None:
            for session in self.sessions:
                session.ended.set()
            await server.stop(_GRACE)
            self.path.unlink(missing_ok=True)

    def serve(self, snapshot: Snapshot, types: Iterable[TypeUrl]) -> None:
        """From now on `snapshot` is the truth; every connected Envoy is sent what it lacks of these types."""
        self.served = snapshot
        for session in self.sessions:
            session.served = snapshot
            for type_url in types:
                session.enqueue(session.update(type_url))

    def offer_again(self) -> None:
        """To each Envoy what it refused; how often is the caller's to decide."""
        for session in self.sessions:
            session.enqueue(session.offer_again())

    async def until(self, condition: Callable[[], bool]) -> None:
        """Returns once the condition holds; it is looked at whenever an Envoy says something, comes or goes."""
        while not condition():
            await self._moved.wait()

    async def _listen(self) -> None:
        with _private_sibling(self.path) as directory:
            staged = directory / "s"
            self._server.add_insecure_port(f"unix:{staged}")
            await self._server.start()
            staged.chmod(stat.S_IRUSR | stat.S_IWUSR | stat.S_IRGRP | stat.S_IWGRP)
            staged.rename(self.path)

    async def _converse(self, requests: AsyncIterator[DeltaDiscoveryRequest], context: Any) -> None:  # noqa: ANN401
        session = Session(self.served, next(self._comers))
        self.sessions |= {session}
        self.last = session
        tasks = [
            asyncio.create_task(work)
            for work in (self._listen_to(session, requests), session.write_to(context), session.ended.wait())
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.sessions -= {session}
            # After a restart of ours both Envoys of a hot restart come back, in any order; one of them will leave.
            self.last = max(self.sessions, key=lambda present: present.number, default=session)
            self._pulse()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen_to(self, session: Session, requests: AsyncIterator[DeltaDiscoveryRequest]) -> None:
        async for request in requests:
            session.enqueue(session.receive(request))
            self._pulse()

    def _pulse(self) -> None:
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()


def _refuse_live(path: Path) -> None:
    """A socket file that nobody answers on is the trace of a crash, and may be replaced."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise DeliveryError(f"{path} is in the way: it is not a socket", "remove it")
    with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(ConnectionRefusedError, FileNotFoundError):
        probe.connect(os.fspath(path))
        raise DeliveryError(f"{path} is served by another process", "is another meshd running?")


@contextlib.contextmanager
def _private_sibling(path: Path) -> Iterator[Path]:
    """A directory that only we may enter: the socket gets its mode in it before anybody can connect.

    gRPC silently takes over a path that it is given, and a umask would change what other threads create.
    """
    directory = Path(tempfile.mkdtemp(prefix=".", dir=path.parent))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
