"""Requests of which each has a connection of its own, by applications of a machine; and how those fail that do."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.capture.machines import APPLICATION, socket_of
from tests.live.namespace import Namespace
from tests.waiting import until

_THREADS = 3


@dataclass
class Fresh:
    """`failures`: when, from which port, and how."""

    room: Namespace
    address: str
    host: str
    answered: int = 0
    failures: list[str] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def ask(self) -> None:
        while not self._over.wait(0.005):
            began = time.strftime("%H:%M:%S")
            connection = self.room.within(socket_of, APPLICATION, socket.AF_INET)
            with connection:
                try:
                    answer = self._answer(connection)
                except OSError as error:
                    answer = repr(error).encode()
                if answer.startswith(b"HTTP/1.1 200 "):
                    self.answered += 1
                else:
                    self.failures.append(f"{began} {connection} {answer[:300]!r}")

    def _answer(self, connection: socket.socket) -> bytes:
        connection.settimeout(10)
        connection.connect((self.address, 80))
        connection.sendall(f"GET / HTTP/1.1\r\nHost: {self.host}\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
        return answer

    def until_more(self, requests: int = 50) -> None:
        target = self.answered + requests
        until(lambda: self.answered >= target, what="more answers")

    def end(self) -> None:
        self._over.set()


@contextmanager
def fresh(room: Namespace, address: str, host: str) -> Iterator[Fresh]:
    asking = Fresh(room=room, address=address, host=host)
    threads = [threading.Thread(target=asking.ask) for _ in range(_THREADS)]
    for thread in threads:
        thread.start()
    try:
        asking.until_more()
        yield asking
        asking.until_more()
    finally:
        asking.end()
        for thread in threads:
            thread.join()
