from __future__ import annotations

import asyncio
import os
import stat
import threading

import pytest

from meshd.control import ControlError, Reply, Request, ask, awaited
from meshd.daemon.control_server import ControlServer, may_act


@pytest.fixture
def serving(short_tmp):
    """A control server on a loop of its own thread, which answers with what it was asked."""
    path = short_tmp / "control.sock"
    started, stop = threading.Event(), None

    async def answer(request):
        if request.verb == "sync":
            raise RuntimeError("a fault")
        return Reply(ok=request.verb != "wait", body={"verb": request.verb, **request.arguments})

    async def serve():
        nonlocal stop
        stop = asyncio.Event()
        server = ControlServer(path, answer)
        await server.start()
        started.set()
        await stop.wait()
        await server.stop()

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    started.wait(10)
    yield path
    loop.call_soon_threadsafe(stop.set)
    thread.join()
    loop.close()


def test_a_question_is_answered(serving):
    reply = ask(serving, Request(verb="wait", arguments={"revision": "abc"}))

    assert reply == Reply(ok=False, body={"verb": "wait", "revision": "abc"})


def test_the_socket_is_for_user_and_group_alone(serving):
    assert stat.S_IMODE(serving.stat().st_mode) == 0o660


def test_a_line_that_is_no_request_gets_an_answer_that_says_so(serving):
    class Garbage(Request):
        def line(self):
            return b"hello\n"

    assert "not a request" in ask(serving, Garbage(verb="status")).body["failure"]


@pytest.mark.parametrize("line", [b"[]\n", b"42\n", b'"status"\n', b"null\n", b"[" * 50_000 + b"\n", b"\xff\n"])
def test_no_line_is_without_an_answer(serving, line):
    class Garbage(Request):
        def line(self):
            return line

    assert "not a request" in ask(serving, Garbage(verb="status")).body["failure"]


def test_a_line_without_end_is_hung_up_on_and_the_next_client_is_answered(serving):
    class Endless(Request):
        def line(self):
            return b"x" * 1_000_000

    with pytest.raises(ControlError):
        ask(serving, Endless(verb="status"))
    assert ask(serving, Request(verb="status")).ok


def test_a_fault_in_an_answer_is_told_to_who_asked(serving, capsys):
    assert "a fault" in ask(serving, Request(verb="sync")).body["failure"]
    assert "control.crashed" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"revision": ""},
        {"revision": "HEAD", "seconds": 1},
        {"revision": 7, "seconds": 1},
        {"revision": "abcd"},
        {"revision": "abcd", "seconds": "soon"},
        {"revision": "abcd", "seconds": float("nan")},
    ],
)
def test_waiting_needs_a_revision_and_a_time(arguments):
    with pytest.raises(ControlError, match="must be"):
        awaited(Request(verb="wait", arguments=arguments))


def test_a_revision_may_be_in_capitals():
    assert awaited(Request(verb="wait", arguments={"revision": "ABCD", "seconds": 1})).revision == "abcd"


def test_an_unknown_verb_is_named(serving):
    assert "unknown verb 'explode'" in ask(serving, Request(verb="explode")).body["failure"]


def test_no_daemon_is_told_with_what_to_do(short_tmp):
    with pytest.raises(ControlError) as caught:
        ask(short_tmp / "nobody.sock", Request(verb="status"))

    assert "systemctl start meshd" in caught.value.hint


def test_root_meshd_itself_and_its_group_may_act():
    assert may_act(0, 0, 4242)
    assert may_act(os.geteuid(), os.getegid(), 4242)
    assert may_act(54321, 4242, 4242)
    assert not may_act(54321, 54321, 4242)
