"""A request that is under way for as long as a test wants."""

from __future__ import annotations

import threading

from tests.live.cases import Case
from tests.live.requests import Answer, Ask, get
from tests.live.world import Live
from tests.waiting import until


class Held:
    """Its backend does not answer until `end`. `tries`: how many there are by then, of which the last is held."""

    def __init__(self, live: Live, case: Case, asked: Ask | None = None, tries: int = 1) -> None:
        self.answers: list[Answer] = []
        self._live = live
        self._asked = asked or get(x_do="hold")
        before = len(live.backends.received)
        self._thread = threading.Thread(target=lambda: self.answers.append(live.send(self._asked, case)))
        self._thread.start()
        until(lambda: len(live.backends.received) >= before + tries, what="the held request")

    def end(self) -> Answer:
        until(lambda: (self._live.backends.release(), not self._thread.is_alive())[1], what="the held answer")
        self._thread.join()
        return self.answers[0]
