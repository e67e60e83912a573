"""The independent judge of when a route is live: requests without a pause, until one is answered by the new route."""

from __future__ import annotations

import asyncio
import http.client
import time
from typing import Final

from bench import meshes
from bench.host import PATIENCE, BenchError, Host

_PAUSE: Final = 0.001


async def first_answer_after_push(host: Host, turn: int) -> float:
    """Seconds from the moment the ref moved until a request, sent after it, got the other version's answer."""
    waiting = await host.commit(meshes.probe_change(turn))
    wanted = "v1" if turn % 2 else "v2"
    asking = asyncio.create_task(asyncio.to_thread(_until_answered, host.place.proxy_port, wanted))
    pushed = await host.repository.push()
    answered = await asking
    await waiting
    return answered - pushed


def _until_answered(port: int, wanted: str) -> float:
    deadline = time.monotonic() + PATIENCE.total_seconds()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        while time.monotonic() < deadline:
            connection.request("GET", f"http://{meshes.PROBE}/")
            if connection.getresponse().read().decode().strip() == wanted:
                return time.time()
            time.sleep(_PAUSE)  # two cores: the prober must leave some to what it judges
    finally:
        connection.close()
    raise BenchError(f"no request was answered by {wanted}")
