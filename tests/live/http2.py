"""HTTP/2 for the suite, over h2: one request as a client asks it, and a backend's whole connection."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    DataReceived,
    PingReceived,
    RequestReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Message:
    """`headers` with the pseudo-headers; `trailers` empty where there are none."""

    headers: Headers
    body: bytes = b""
    trailers: Headers = ()

    def one(self, name: str) -> str:
        return next((value for key, value in self.headers if key == name), "")


def ask(connection: socket.socket, request: Message) -> Message:
    """The answer; ConnectionResetError where the stream is reset or the connection ends."""
    state = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
    state.initiate_connection()
    state.send_headers(1, list(request.headers), end_stream=not request.body)
    if request.body:
        state.send_data(1, request.body, end_stream=True)
    connection.sendall(state.data_to_send())
    reading = _Reading()
    while not reading.ended:
        received = connection.recv(65536)
        if not received:
            raise ConnectionResetError("the connection ended within a response")
        for event in state.receive_data(received):
            reading.take(state, event)
        connection.sendall(state.data_to_send())
    return reading.message


class _Reading:
    """A message as its frames come in."""

    def __init__(self) -> None:
        self.message = Message(headers=())
        self.ended = False

    def take(self, state: H2Connection, event: object) -> None:
        match event:
            case RequestReceived() | ResponseReceived():
                self.message = Message(headers=_texts(event.headers))
            case DataReceived():
                state.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                self.message = Message(headers=self.message.headers, body=self.message.body + event.data)
            case TrailersReceived():
                told = self.message
                self.message = Message(headers=told.headers, body=told.body, trailers=_texts(event.headers))
            case StreamEnded():
                self.ended = True
            case StreamReset():
                raise ConnectionResetError(f"the stream was reset: {event.error_code}")


def _texts(headers: object) -> Headers:
    return tuple((str(name), str(value)) for name, value in headers)  # type: ignore[attr-defined]


async def serve(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    first: bytes,
    answer: Callable[[Message], Awaitable[Message | None]],
    pinged: Callable[[], None],
) -> None:
    """Until the client goes, and each stream by itself. `first`: what was read already. An answer of None resets."""
    state = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
    state.initiate_connection()
    streams: dict[int, _Reading] = {}
    answering: dict[int, asyncio.Task[None]] = {}

    async def respond(stream: int, asked: Message) -> None:
        _answer(state, stream, await answer(asked))
        writer.write(state.data_to_send())

    received = first
    try:
        while received:
            for event in state.receive_data(received):
                stream = getattr(event, "stream_id", None)
                if isinstance(event, PingReceived):
                    pinged()
                elif isinstance(event, StreamReset) and stream in answering:
                    answering.pop(stream).cancel()
                elif isinstance(stream, int) and not isinstance(event, StreamReset):
                    reading = streams.setdefault(stream, _Reading())
                    reading.take(state, event)
                    if reading.ended:
                        answering[stream] = asyncio.ensure_future(respond(stream, streams.pop(stream).message))
            writer.write(state.data_to_send())
            await writer.drain()
            received = await reader.read(65536)
    finally:
        for task in answering.values():
            task.cancel()
        await asyncio.gather(*answering.values(), return_exceptions=True)


def _answer(state: H2Connection, stream: int, told: Message | None) -> None:
    if told is None:
        state.reset_stream(stream)
        return
    state.send_headers(stream, list(told.headers), end_stream=not told.body and not told.trailers)
    if told.body:
        state.send_data(stream, told.body, end_stream=not told.trailers)
    if told.trailers:
        state.send_headers(stream, list(told.trailers), end_stream=True)
