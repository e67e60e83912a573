"""Requests without a pause through the proxy, over a few kept connections, counting every one that fails."""

from __future__ import annotations

import http.client
import threading
from collections import Counter
from types import TracebackType
from typing import Self

from tests.waiting import until


class Load:
    """Each of the connections asks as fast as it is answered. A request fails by any answer but 200, or by none."""

    def __init__(self, port: int, host: str, connections: int = 4) -> None:
        self.outcomes: Counter[str] = Counter()
        self._port = port
        self._host = host
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(connections)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @property
    def requests(self) -> int:
        return self.outcomes.total()

    @property
    def failed(self) -> int:
        return self.requests - self.outcomes["200"]

    def summary(self) -> str:
        return f"{self.failed} of {self.requests} requests failed: {dict(self.outcomes)}"

    def until_requests(self, more: int) -> None:
        target = self.requests + more
        until(lambda: self.requests >= target, what=f"{more} more requests")

    def _ask(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        while not self._stop.is_set():
            connection = self._once(connection)
        connection.close()

    def _once(self, connection: http.client.HTTPConnection) -> http.client.HTTPConnection:
        """As any client does, a kept connection that the proxy closed between two requests is opened again."""
        fresh = connection.sock is None
        try:
            connection.request("GET", f"http://{self._host}/")
            response = connection.getresponse()
            response.read()
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError) as error:
            connection.close()
            if fresh:
                self.outcomes[type(error).__name__] += 1
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            self.outcomes[type(error).__name__] += 1
        else:
            self.outcomes[str(response.status)] += 1
        return connection
