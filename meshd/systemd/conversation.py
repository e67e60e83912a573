"""A conversation with systemd over D-Bus: calls and signals in, answers out. It ends when the bus does.

Each has a connection of its own. One costs a millisecond, meshd asks for something a few times a day, and there is
nothing to be kept alive, to be found dead or to be subscribed to again when the bus or systemd was started anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from dbus_fast import BusType, Message, MessageFlag, MessageType
from dbus_fast.aio import MessageBus
from dbus_fast.errors import DBusFastError

from meshd.systemd.error import SystemdError
from meshd.systemd.words import hint, printable

R = TypeVar("R")

SYSTEMD: Final = "org.freedesktop.systemd1"
_PATH: Final = "/org/freedesktop/systemd1"
_BUS: Final = "org.freedesktop.DBus"
MANAGER: Final = f"{SYSTEMD}.Manager"

_LOSSES: Final = (OSError, EOFError, DBusFastError)
"""What the library says of a bus that is not there, does not let us in, or ends."""


class Conversation:
    def __init__(self, bus: MessageBus) -> None:
        self._bus = bus

    async def call(self, member: str, signature: str = "", *body: object) -> list[Any]:
        """Of systemd's manager."""
        return await self._call(SYSTEMD, _PATH, MANAGER, member, signature, *body)

    async def properties(self, path: str, interface: str) -> dict[str, Any]:
        (found,) = await self._call(SYSTEMD, path, f"{_BUS}.Properties", "GetAll", "s", interface)
        return {name: variant.value for name, variant in found.items()}

    async def listen(self, signal: str, heard: Callable[[list[Any]], None]) -> None:
        """From here on the manager's signals of this name are heard, those too that come before the next answer."""

        def note(message: Message) -> None:
            # What was sent to us alone need not have come from systemd: anybody may send it. The bus passes on what was
            # sent to everybody if it comes from whom the rule names.
            sent_to_everybody = message.destination is None
            if message.message_type is MessageType.SIGNAL and message.member == signal and sent_to_everybody:
                heard(message.body)

        self._bus.add_message_handler(note)
        rule = f"type='signal',sender='{SYSTEMD}',path='{_PATH}',interface='{MANAGER}',member='{signal}'"
        await self._call(_BUS, "/org/freedesktop/DBus", _BUS, "AddMatch", "s", rule)

    async def _call(
        self, whom: str, path: str, interface: str, member: str, signature: str, *body: object
    ) -> list[Any]:
        question = Message(
            destination=whom,
            path=path,
            interface=interface,
            member=member,
            signature=signature,
            body=list(body),
            flags=MessageFlag.NO_AUTOSTART,  # a bus without systemd says so itself
        )
        try:
            answer = await self._bus.call(question)
        except _LOSSES as error:
            raise _lost() from error
        if answer is None:
            raise _lost()
        if answer.message_type is MessageType.ERROR:
            name = answer.error_name or ""
            raise SystemdError(printable(" ".join(map(str, answer.body))), hint(name), name)
        return list(answer.body)


async def converse(address: str | None, errand: Callable[[Conversation], Coroutine[Any, Any, R]]) -> R:
    """None: the system's bus. Whoever is cancelled meanwhile leaves no connection behind. Raises SystemdError."""
    try:
        bus = await MessageBus(address, BusType.SYSTEM).connect()
    except _LOSSES as error:
        raise SystemdError(f"no D-Bus here: {error}", hint("")) from error
    return await _unless_lost(bus, errand(Conversation(bus)))


async def _unless_lost(bus: MessageBus, errand: Coroutine[Any, Any, R]) -> R:
    """The library leaves a call open for ever that is made once the bus has gone."""
    working = asyncio.ensure_future(errand)
    lost = asyncio.ensure_future(bus.wait_for_disconnect())  # type: ignore[no-untyped-call]
    try:
        await asyncio.wait({working, lost}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise _lost()
        return working.result()
    finally:
        working.cancel()
        bus.disconnect()
        await asyncio.gather(working, lost, return_exceptions=True)


def _lost() -> SystemdError:
    return SystemdError("D-Bus went away meanwhile", "it is tried again; systemctl status dbus")
