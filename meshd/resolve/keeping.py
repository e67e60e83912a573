"""When the answers go to disk: soon after addresses changed, and now and then for their age. It is done aside.

Some names have other addresses at each look-up, and 10 000 names are megabytes: so it is not done all the time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final

import structlog

from meshd.names import DnsName
from meshd.resolve.answer import Answer
from meshd.resolve.clock import Clock
from meshd.resolve.kept_file import load, save

log = structlog.get_logger()

_CHANGES_EVERY: Final = timedelta(seconds=30)
_AGES_EVERY: Final = timedelta(minutes=5)

Answers = Mapping[DnsName, Answer]


class Keeping:
    """`known` are the answers of an earlier run. Without a file, nothing is kept."""

    def __init__(self, file: Path | None, clock: Clock) -> None:
        self.known = load(file) if file is not None else {}
        self.unsaved = False
        self._file = file
        self._clock = clock
        self._saved_at = clock.now() - _CHANGES_EVERY
        self._saving: asyncio.Task[None] | None = None

    def keep_up(self, answers: Answers) -> None:
        if self._clock.now() - self._saved_at >= (_CHANGES_EVERY if self.unsaved else _AGES_EVERY):
            self._save(answers)

    async def close(self, answers: Answers) -> None:
        await self.idle()
        self._save(answers)
        await self.idle()

    async def idle(self) -> None:
        if self._saving is not None:
            await self._saving

    def _save(self, answers: Answers) -> None:
        """What cannot be saved now is tried again at the next upkeep."""
        if self._file is None or (self._saving is not None and not self._saving.done()):
            return
        good = {name: answer for name, answer in answers.items() if answer.addresses}
        self.unsaved = False
        self._saved_at = self._clock.now()
        saved = self._saved(self._file, good)
        self._saving = asyncio.get_running_loop().create_task(saved, name="save answers")

    async def _saved(self, file: Path, answers: Answers) -> None:
        try:
            await asyncio.to_thread(save, file, answers)
        except OSError as error:
            self.unsaved = True
            log.warning("answers.unsaved", file=str(file), error=error.strerror, next="check stateDirectory")
