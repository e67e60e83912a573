"""Jobs of systemd, from the question to the end, and all that may become of them and of the bus."""

from __future__ import annotations

import asyncio
import signal
import threading
from datetime import timedelta

import pytest
from dbus_fast import Message, Variant
from dbus_fast.aio import MessageBus

from meshd.systemd.error import SystemdError
from meshd.systemd.units import Systemd
from tests.private_bus import MANAGER, PATH, SYSTEMD, FakeSystemd, answering, private_bus
from tests.waiting import until

UNIT = "meshd-envoy@sidecar.service"
LONG = timedelta(seconds=20)
ERROR = "org.freedesktop.DBus.Error"


def service(**properties):
    """What systemd says of a service whose process ended with status 3."""
    found = {
        "Result": Variant("s", "exit-code"),
        "ExecMainCode": Variant("i", 1),
        "ExecMainStatus": Variant("i", 3),
        "StatusText": Variant("s", ""),
        "ReloadResult": Variant("s", "success"),
        "ExecReload": Variant("a(sasbttttuii)", []),
    }
    return found | properties


def failing(systemd, verb="start", within=LONG):
    with pytest.raises(SystemdError) as caught:
        asyncio.run(systemd.carry_out(verb, UNIT, within))
    return caught.value


@pytest.mark.parametrize("verb", ["start", "stop", "reload", "restart"])
def test_a_verb_returns_when_its_job_is_done(systemd, fake, verb):
    done = []
    fake.work = lambda *job: done.append(job) or "done"

    asyncio.run(systemd.carry_out(verb, UNIT, LONG))

    assert fake.asked == [f"{verb} {UNIT} replace"]
    assert done == [(verb, UNIT)]


def test_a_job_that_is_over_before_its_number_is_told_is_not_waited_for(systemd, fake):
    fake.hasty = True

    asyncio.run(systemd.carry_out("start", UNIT, LONG))


def test_the_end_of_other_jobs_is_not_taken_for_it(systemd, fake):
    """Both go through one systemd, and the other one fails."""
    other, first = threading.Event(), threading.Event()

    def work(_verb, unit):
        if unit == UNIT:
            first.set()
            assert other.wait(10)
            return "done"
        assert first.wait(10)
        return "canceled"

    fake.work = work

    async def both():
        mine = asyncio.create_task(systemd.carry_out("start", UNIT, LONG))
        with pytest.raises(SystemdError, match="another job took its place"):
            await systemd.carry_out("start", "other.service", LONG)
        assert not mine.done()
        other.set()
        await mine

    asyncio.run(both())


def test_an_end_that_somebody_else_tells_us_is_not_believed(systemd, bus, fake):
    """On the system's bus anybody may send anybody a signal."""
    pretended = threading.Event()
    fake.work = lambda *_job: "failed" if pretended.wait(10) else "done"

    async def story():
        asking = asyncio.create_task(systemd.carry_out("start", UNIT, LONG))
        liar = await MessageBus(bus.address).connect()
        await asyncio.to_thread(fake.began.wait, 10)
        for name in await names(liar):
            signal = Message.new_signal(PATH, MANAGER, "JobRemoved", "uoss", [1, f"{PATH}/job/1", UNIT, "done"])
            signal.destination = name
            await liar.send(signal)
        await names(liar)  # what was sent before is delivered by now
        pretended.set()
        liar.disconnect()
        await liar.wait_for_disconnect()
        await asking

    with pytest.raises(SystemdError, match="was not started"):
        asyncio.run(story())


async def names(bus):
    question = Message("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "ListNames")
    return [name for name in (await bus.call(question)).body[0] if name.startswith(":")]


def test_what_is_so_already_is_no_failure(systemd, fake):
    fake.work = lambda *_job: "skipped"

    asyncio.run(systemd.carry_out("start", UNIT, LONG))


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ("canceled", "another job took its place, such as a `systemctl stop`"),
        ("timeout", "it took longer than the unit allows"),
        ("dependency", "what it depends on failed"),
        ("invalid", "it does not run"),
        ("assert", "an Assert= of the unit does not hold"),
        ("something-new", "its job ended as 'something-new'"),
    ],
)
def test_each_end_of_a_job_is_told_in_words(systemd, fake, result, words):
    fake.work = lambda *_job: result

    error = failing(systemd)

    assert str(error) == f"{UNIT} was not started: {words}"
    assert error.hint == f"journalctl -u {UNIT}"


@pytest.mark.parametrize(
    ("properties", "words"),
    [
        ({}, "its process ended with status 3"),
        ({"StatusText": Variant("s", "no fallback")}, "its process ended with status 3: no fallback"),
        ({"StatusText": Variant("s", "a\nb\x1b[31m")}, "its process ended with status 3: a b [31m"),
        (
            {"Result": Variant("s", "signal"), "ExecMainStatus": Variant("i", signal.SIGKILL)},
            "its process was ended by SIGKILL",
        ),
        (
            {"Result": Variant("s", "core-dump"), "ExecMainStatus": Variant("i", 99)},
            "its process was ended by signal 99",
        ),
        ({"Result": Variant("s", "start-limit-hit")}, "it was started too often"),
        ({"Result": Variant("s", "oom-kill")}, "memory was short, and the kernel ended it"),
        ({"Result": Variant("s", "exec-condition")}, "its process failed (exec-condition)"),
    ],
)
def test_a_unit_that_failed_says_why(systemd, fake, properties, words):
    fake.service = service(**properties)
    fake.work = lambda *_job: "failed"

    assert str(failing(systemd)) == f"{UNIT} was not started: {words}"


def test_a_reload_that_failed_is_told_by_its_command_for_the_unit_itself_is_well(systemd, fake):
    command = ["/usr/bin/meshd", ["meshd", "envoy", "reload"], False, 1, 1, 1, 1, 42, 1, 3]
    fake.service = service(
        Result=Variant("s", "success"),
        ReloadResult=Variant("s", "exit-code"),
        ExecReload=Variant("a(sasbttttuii)", [command]),
        StatusText=Variant("s", "not reloaded: Envoy refuses it"),
    )
    fake.work = lambda *_job: "failed"

    error = failing(systemd, "reload")

    words = "its ExecReload= ended with status 3: not reloaded: Envoy refuses it"
    assert str(error) == f"{UNIT} was not reloaded: {words}"


def test_a_unit_that_failed_and_is_forgotten_is_still_a_failure(systemd, fake):
    fake.work = lambda *_job: "failed"

    assert str(failing(systemd)) == f"{UNIT} was not started: its job ended as 'failed'"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        (f"{SYSTEMD}.NoSuchUnit", "meshd install-units"),
        (f"{SYSTEMD}.UnitMasked", "systemctl unmask"),
        (f"{SYSTEMD}.TransactionIsDestructive", "tried again"),
        (f"{SYSTEMD}.LoadFailed", f"journalctl -u {UNIT}"),
        (f"{ERROR}.AccessDenied", "rule for polkit"),
        (f"{ERROR}.InteractiveAuthorizationRequired", "rule for polkit"),
        (f"{ERROR}.NoReply", "tried again"),
    ],
)
def test_a_refusal_is_known_by_its_name_whatever_it_says(systemd, fake, name, hint):
    fake.refusal = (name, "Das geht nicht.")

    error = failing(systemd)

    assert str(error) == f"{UNIT} was not started: Das geht nicht."
    assert error.name == name
    assert hint in error.hint


def test_a_bus_without_systemd_recommends_the_other_supervisor(systemd, bus):
    assert "envoy.supervisor to child" in failing(systemd).hint


def test_without_a_bus_the_other_supervisor_is_recommended(short_tmp):
    error = failing(Systemd(f"unix:path={short_tmp}/nobody"))

    assert "no D-Bus here" in str(error)
    assert "envoy.supervisor to child" in error.hint


def test_an_address_that_is_none_is_an_error_like_any_other():
    assert "no D-Bus here" in str(failing(Systemd("carrier-pigeon:")))


def test_a_job_that_never_ends_is_waited_for_no_longer_than_asked(systemd, fake):
    over = threading.Event()
    fake.work = lambda *_job: "done" if over.wait(20) else "failed"

    error = failing(systemd, within=timedelta(milliseconds=200))
    over.set()

    assert str(error) == f"{UNIT} was not started within 0.2 s"
    assert error.hint == f"journalctl -u {UNIT}"


def test_a_bus_that_goes_away_meanwhile_is_an_error_and_the_next_call_connects_anew(short_tmp):
    gone, fake = threading.Event(), FakeSystemd()
    fake.work = lambda *_job: "done" if gone.wait(20) else "failed"
    with private_bus(short_tmp) as bus:
        systemd = Systemd(bus.address)

        async def story():
            asking = asyncio.create_task(systemd.carry_out("stop", UNIT, LONG))
            await asyncio.to_thread(fake.began.wait, 10)
            bus.stop()
            await asking

        with answering(fake, bus.address):
            with pytest.raises(SystemdError, match="D-Bus went away meanwhile"):
                asyncio.run(story())
            gone.set()

        bus.start()
        with answering(fake, bus.address):
            asyncio.run(systemd.carry_out("start", UNIT, LONG))

    assert [each.split()[0] for each in fake.asked] == ["stop", "start"]


def test_a_bus_that_takes_connections_and_says_nothing_is_given_up(short_tmp):
    async def story():
        held = []
        path = str(short_tmp / "silent")
        silent = await asyncio.start_unix_server(lambda *streams: held.append(streams), path)
        try:
            await Systemd(f"unix:path={path}").carry_out("start", UNIT, timedelta(milliseconds=200))
        finally:
            silent.close()
            for _reader, writer in held:
                writer.close()
                await writer.wait_closed()

    with pytest.raises(SystemdError, match=r"was not started within 0\.2 s"):
        asyncio.run(story())


def test_a_bus_that_ends_while_it_is_asked_who_we_are_is_none(short_tmp):
    async def story():
        path = str(short_tmp / "hasty")
        hasty = await asyncio.start_unix_server(lambda _reader, writer: writer.close(), path)
        try:
            await Systemd(f"unix:path={path}").carry_out("start", UNIT, LONG)
        finally:
            hasty.close()

    with pytest.raises(SystemdError, match="no D-Bus here"):
        asyncio.run(story())


def test_a_job_that_is_queued_is_not_waited_for_and_calls_nothing_off(systemd, fake):
    over = threading.Event()
    fake.work = lambda *_job: "done" if over.wait(20) else "failed"

    asyncio.run(systemd.queue("reload", UNIT))
    over.set()

    assert fake.asked == [f"reload {UNIT} fail"]


def test_who_waits_and_is_cancelled_leaves_no_connection(systemd, bus, fake):
    over = threading.Event()
    fake.work = lambda *_job: "done" if over.wait(20) else "failed"

    async def connections():
        me = await MessageBus(bus.address).connect()
        try:
            return len(await names(me))
        finally:
            me.disconnect()
            await me.wait_for_disconnect()

    async def story():
        before = await connections()
        asking = asyncio.create_task(systemd.carry_out("start", UNIT, LONG))
        await asyncio.to_thread(fake.began.wait, 10)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        return before

    before = asyncio.run(story())
    over.set()

    until(lambda: asyncio.run(connections()) == before, what="the connection to be closed")


def test_a_unit_is_active_or_not(systemd, fake):
    fake.states = {UNIT: "activating"}

    assert asyncio.run(systemd.active_state(UNIT)) == "activating"


def test_a_unit_that_is_not_loaded_is_inactive(systemd, fake):
    assert asyncio.run(systemd.active_state(UNIT)) == "inactive"


def test_a_state_that_nobody_tells_is_an_error(systemd, fake):
    fake.refusal = (f"{ERROR}.AccessDenied", "no")

    with pytest.raises(SystemdError, match=f"the state of {UNIT} is not known: no"):
        asyncio.run(systemd.active_state(UNIT))
