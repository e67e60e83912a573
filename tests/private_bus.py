"""A D-Bus of the test's own, and on it one who answers in systemd's name: what is asked of it, a test does."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dbus_fast import Message, MessageType, Variant
from dbus_fast.aio import MessageBus

SYSTEMD = "org.freedesktop.systemd1"
MANAGER = f"{SYSTEMD}.Manager"
PATH = "/org/freedesktop/systemd1"
_VERBS = {"StartUnit": "start", "StopUnit": "stop", "ReloadUnit": "reload", "RestartUnit": "restart"}
_CONFIGURATION = """\
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>{address}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""

Work = Callable[[str, str], str]
"""A verb and a unit in, the result of the job out: `done`, `failed`, ..."""


class PrivateBus:
    """The real dbus-daemon."""

    def __init__(self, directory: Path) -> None:
        self.address = f"unix:path={directory / 'bus'}"
        self._configuration = directory / "bus.conf"
        self._configuration.write_text(_CONFIGURATION.format(address=self.address))
        self._daemon: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = ("dbus-daemon", f"--config-file={self._configuration}", "--nofork", "--nopidfile", "--print-address")
        self._daemon = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self._daemon.stdout is not None
        assert self._daemon.stdout.readline(), "no dbus-daemon"

    def stop(self) -> None:
        if self._daemon is not None:
            self._daemon.kill()
            self._daemon.communicate()
            self._daemon = None


@dataclass
class FakeSystemd:
    """What it was `asked` for, and how it answers. `work` does the jobs, in a thread.

    `hasty`: a job is over before its number is told. `refusal`: name and text of the error that is the only answer.
    """

    work: Work = lambda _verb, _unit: "done"
    asked: list[str] = field(default_factory=list)
    began: threading.Event = field(default_factory=threading.Event)
    states: dict[str, str] = field(default_factory=dict)
    service: dict[str, Variant] = field(default_factory=dict)
    refusal: tuple[str, str] | None = None
    hasty: bool = False
    _jobs: int = 0
    _working: set[asyncio.Task[None]] = field(default_factory=set)

    def answer(self, bus: MessageBus, question: Message) -> Message | None:
        if question.message_type is not MessageType.METHOD_CALL or question.destination == bus.unique_name:
            return None
        if self.refusal is not None:
            return Message.new_error(question, *self.refusal)
        if question.member == "GetUnit":
            return self._unit(question)
        if question.member == "GetAll":
            return self._properties(question)
        return self._job(bus, question)

    def _unit(self, question: Message) -> Message:
        (unit,) = question.body
        if unit not in self.states and not self.service:
            return Message.new_error(question, f"{SYSTEMD}.NoSuchUnit", f"Unit {unit} not loaded.")
        return Message.new_method_return(question, "o", [f"{PATH}/unit/{unit.encode().hex()}"])

    def _properties(self, question: Message) -> Message:
        assert question.path is not None
        found = self.service
        if question.body == [f"{SYSTEMD}.Unit"]:
            unit = bytes.fromhex(question.path.rpartition("/")[2]).decode()
            found = {"ActiveState": Variant("s", self.states[unit])}
        return Message.new_method_return(question, "a{sv}", [found])

    def _job(self, bus: MessageBus, question: Message) -> Message:
        assert question.member is not None
        unit, mode = question.body
        verb = _VERBS[question.member]
        self.asked.append(f"{verb} {unit} {mode}")
        self.began.set()
        self._jobs += 1
        path = f"{PATH}/job/{self._jobs}"
        if self.hasty:
            self._removed(bus, path, unit, self.work(verb, unit))
        else:
            working = asyncio.create_task(self._done(bus, path, verb, unit))
            self._working.add(working)
            working.add_done_callback(self._working.discard)
        return Message.new_method_return(question, "o", [path])

    async def _done(self, bus: MessageBus, path: str, verb: str, unit: str) -> None:
        self._removed(bus, path, unit, await asyncio.to_thread(self.work, verb, unit))

    def _removed(self, bus: MessageBus, path: str, unit: str, result: str) -> None:
        body: list[Any] = [self._jobs, path, unit, result]
        bus.send(Message.new_signal(PATH, MANAGER, "JobRemoved", "uoss", body))


@contextlib.contextmanager
def private_bus(directory: Path) -> Iterator[PrivateBus]:
    bus = PrivateBus(directory)
    bus.start()
    try:
        yield bus
    finally:
        bus.stop()


@contextlib.contextmanager
def answering(systemd: FakeSystemd, address: str) -> Iterator[None]:
    """On a loop of its own, so that tests may block."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        bus = asyncio.run_coroutine_threadsafe(_join(systemd, address), loop).result(10)
        try:
            yield
        finally:
            asyncio.run_coroutine_threadsafe(_leave(bus), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


async def _join(systemd: FakeSystemd, address: str) -> MessageBus:
    bus = await MessageBus(address).connect()
    bus.add_message_handler(lambda question: systemd.answer(bus, question))
    await bus.request_name(SYSTEMD)
    return bus


async def _leave(bus: MessageBus) -> None:
    if bus.connected:
        bus.disconnect()
    with contextlib.suppress(OSError, EOFError):
        await bus.wait_for_disconnect()
