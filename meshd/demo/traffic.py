"""Real requests through the proxy, as an application with `http_proxy` makes them, counted by their answers."""

from __future__ import annotations

import asyncio
import http.client
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

REQUESTS: Final = 200
_CONNECTIONS: Final = 4
_PATIENCE: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked, and which answers may come (`502` and the like are answers too)."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    among: frozenset[str]


async def answers(port: int, question: Question) -> Counter[str]:
    """How often each answer came."""
    share = REQUESTS // _CONNECTIONS
    asked = (asyncio.to_thread(_ask, port, question, share) for _ in range(_CONNECTIONS))
    return sum(await asyncio.gather(*asked), start=Counter[str]())


def _ask(port: int, question: Question, times: int) -> Counter[str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
    try:
        return Counter(_once(connection, question) for _ in range(times))
    finally:
        connection.close()


def _once(connection: http.client.HTTPConnection, question: Question) -> str:
    """The first line of a good answer, the status of any other, or the name of the failure."""
    try:
        connection.request("GET", question.url, headers=dict(question.headers))
        response = connection.getresponse()
        body = response.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        return type(error).__name__
    return body.strip() if response.status == http.client.OK else str(response.status)
