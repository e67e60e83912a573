"""Units are started, stopped and reloaded: a verb and a unit in, and the end of the job out, or why it failed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, Final, Literal, TypeVar

from meshd.systemd.conversation import SYSTEMD, Conversation, converse
from meshd.systemd.error import SystemdError
from meshd.systemd.words import DONE, Verb, failure, told

R = TypeVar("R")

_METHODS: Final = {"start": "StartUnit", "stop": "StopUnit", "reload": "ReloadUnit", "restart": "RestartUnit"}
_WELL: Final = {"done", "skipped"}
"""Skipped: it was so already."""
_ANSWER: Final = timedelta(seconds=10)
"""For a question that asks for no work. polkit decides meanwhile, and wakes up for it."""

ActiveState = Literal["active", "reloading", "inactive", "failed", "activating", "deactivating", "maintenance"]


class Systemd:
    """`address`: of another bus than the system's."""

    def __init__(self, address: str | None = None) -> None:
        self._address = address

    async def carry_out(self, verb: Verb, unit: str, within: timedelta) -> None:
        """Returns when the job is done, as `systemctl` does. Raises SystemdError."""

        async def job(systemd: Conversation) -> None:
            results = _Results()
            await systemd.listen("JobRemoved", results.note)  # first, for a quick job ends before its number is told
            (path,) = await systemd.call(_METHODS[verb], "ss", unit, "replace")
            result = await results.of(path)
            if result not in _WELL:
                why = await _why_failed(systemd, verb, unit) if result == "failed" else ""
                raise SystemdError(why or told(result))

        await self._within(within, job, f"{unit} was not {DONE[verb]}", f"journalctl -u {unit}")

    async def queue(self, verb: Verb, unit: str) -> None:
        """Does not wait for the job, and gives way to one that is under way. Raises SystemdError."""

        async def job(systemd: Conversation) -> None:
            await systemd.call(_METHODS[verb], "ss", unit, "fail")

        await self._within(_ANSWER, job, f"{unit} is not {DONE[verb]}", "systemctl list-jobs")

    async def active_state(self, unit: str) -> ActiveState:
        """A unit that systemd has not loaded is inactive. Raises SystemdError."""

        async def look(systemd: Conversation) -> ActiveState:
            try:
                (path,) = await systemd.call("GetUnit", "s", unit)
                state: ActiveState = (await systemd.properties(path, f"{SYSTEMD}.Unit"))["ActiveState"]
            except SystemdError as error:
                if error.name == f"{SYSTEMD}.NoSuchUnit":
                    return "inactive"
                raise
            return state

        return await self._within(_ANSWER, look, f"the state of {unit} is not known", "systemctl list-jobs")

    async def _within(
        self, time: timedelta, errand: Callable[[Conversation], Coroutine[Any, Any, R]], what: str, hint: str
    ) -> R:
        try:
            async with asyncio.timeout(time.total_seconds()):
                return await converse(self._address, errand)
        except TimeoutError as error:
            raise SystemdError(f"{what} within {time.total_seconds():g} s", hint) from error
        except SystemdError as error:
            raise SystemdError(f"{what}: {error}", error.hint or hint, error.name) from error


class _Results:
    """How jobs ended, also those whose path is not known yet."""

    def __init__(self) -> None:
        self._ended: dict[str, str] = {}
        self._more = asyncio.Event()

    def note(self, removed: list[Any]) -> None:
        _number, path, _unit, result = removed
        self._ended[path] = result
        self._more.set()

    async def of(self, path: str) -> str:
        while path not in self._ended:
            await self._more.wait()
            self._more.clear()
        return self._ended[path]


async def _why_failed(systemd: Conversation, verb: Verb, unit: str) -> str:
    """Empty where systemd does not know it any more, or is one that has other properties."""
    try:
        (path,) = await systemd.call("GetUnit", "s", unit)
        return failure(verb, await systemd.properties(path, f"{SYSTEMD}.Service"))
    except (SystemdError, KeyError):
        return ""
