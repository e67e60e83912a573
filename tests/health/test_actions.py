"""The four actions against real servers and processes."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import threading
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import grpc
import pytest
from google.protobuf.wrappers_pb2 import Int32Value, StringValue

from meshd.health.exec_action import run_command
from meshd.health.run import run
from meshd.plan import ExecProbe, GrpcProbe, HttpProbe, TcpProbe
from tests.health.conftest import a_probe, an_http_probe, on_a_loop
from tests.live.certificates import authority, server_context
from tests.ports import free_port
from tests.waiting import until

SOON = timedelta(milliseconds=200)


@asynccontextmanager
async def answering(text: str | None, tls: ssl.SSLContext | None = None):
    """A server that answers so, and its port and what it was asked; None: it never answers."""
    asked: list[str] = []
    serving: list[asyncio.Task] = []

    async def serve(reader, writer):
        serving.append(asyncio.current_task())
        with suppress(asyncio.IncompleteReadError):
            asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
            if text is None:
                await reader.read()
            else:
                writer.write(text.encode())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1], asked
        await asyncio.sleep(0)
        await asyncio.gather(*serving)


def status(code: int, before: str = "") -> str:
    return f"{before}HTTP/1.1 {code} Whatever\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.spec("W-13")
@pytest.mark.parametrize("code", [200, 204, 301, 399])
@on_a_loop
async def test_any_status_from_200_to_399_is_healthy(code):
    async with answering(status(code)) as (port, _):
        assert (await run(an_http_probe(port))).healthy


@pytest.mark.spec("W-13")
@pytest.mark.parametrize("code", [400, 404, 500, 503, 600])
@on_a_loop
async def test_any_other_status_is_not(code):
    async with answering(status(code)) as (port, _):
        result = await run(an_http_probe(port))

    assert (result.healthy, result.reason) == (False, f"status {code}")


@on_a_loop
async def test_interim_answers_are_passed_over():
    async with answering(status(503, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")) as (port, _):
        assert (await run(an_http_probe(port))).reason == "status 503"


@pytest.mark.spec("W-13")
@on_a_loop
async def test_path_and_headers_are_as_the_probe_says_and_no_line_of_it_becomes_two():
    headers = (("host", "shop.example"), ("X-Token", "a\r\nEvil: yes"))
    async with answering(status(200)) as (port, asked):
        await run(an_http_probe(port, path="healthz?deep=1&q=a b", headers=headers))

    lines = asked[0].splitlines()
    assert lines[0] == "GET /healthz?deep=1&q=a%20b HTTP/1.1"
    assert "X-Token: a Evil: yes" in lines
    assert [line for line in lines if line.lower().startswith("host")] == ["host: shop.example"]


@on_a_loop
async def test_without_headers_host_is_the_address():
    async with answering(status(200)) as (port, asked):
        await run(an_http_probe(port))

    assert f"Host: 127.0.0.1:{port}" in asked[0].splitlines()


@pytest.mark.spec("W-13")
@pytest.mark.parametrize("headers", [(), (("Host", "shop.example:8443"),)])
@on_a_loop
async def test_https_verifies_nothing(tmp_path, headers):
    pair = authority(tmp_path, "nobody knows").signed("other.example", "DNS:other.example")
    async with answering(status(200), server_context(pair)) as (port, _):
        assert (await run(an_http_probe(port, scheme="HTTPS", headers=headers))).healthy


@pytest.mark.parametrize(
    ("answer", "reason"),
    [("", "the connection was closed without an answer"), ("SSH-2.0-OpenSSH\r\n", "the answer is not HTTP")],
)
@on_a_loop
async def test_what_is_not_http_is_unhealthy(answer, reason):
    async with answering(answer) as (port, _):
        result = await run(an_http_probe(port))

    assert (result.healthy, result.reason) == (False, reason)


@on_a_loop
async def test_a_line_without_end_is_unhealthy():
    async with answering("HTTP/1.1 200" + "x" * 200_000) as (port, _):
        assert not (await run(an_http_probe(port))).healthy


@pytest.mark.spec("W-12")
@on_a_loop
async def test_who_does_not_answer_in_time_is_unhealthy():
    async with answering(None) as (port, _):
        result = await run(a_probe(action=HttpProbe(host="127.0.0.1", port=port), timeout=SOON))

    assert (result.healthy, result.reason) == (False, "no answer within 0.2 s")


@pytest.mark.spec("W-14")
@on_a_loop
async def test_who_takes_a_tcp_connection_is_healthy():
    async with answering(None) as (port, _):
        assert (await run(a_probe(action=TcpProbe(host="localhost", port=port)))).healthy


@pytest.mark.spec("W-14")
@pytest.mark.parametrize("action", [TcpProbe, HttpProbe])
@on_a_loop
async def test_who_refuses_the_connection_is_unhealthy(action):
    result = await run(a_probe(action=action(host="127.0.0.1", port=free_port())))

    assert not result.healthy
    assert result.reason == "Connection refused"


@pytest.mark.spec("W-15")
@on_a_loop
async def test_exit_0_is_healthy_and_nothing_of_ours_is_in_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")
    seen = tmp_path / "environment"

    result = await run(a_probe(action=ExecProbe(command=("/bin/sh", "-c", f"env > {seen}"))))

    assert result.healthy
    assert "NOTIFY_SOCKET" not in seen.read_text()


@pytest.mark.spec("W-15")
@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (("/bin/sh", "-c", "exit 3"), "exit status 3"),
        (("/bin/sh", "-c", "kill -9 $$"), "ended by signal 9"),
        (("/no/such/command",), "No such file or directory"),
    ],
)
@on_a_loop
async def test_any_other_end_is_unhealthy(command, reason):
    result = await run(a_probe(action=ExecProbe(command=command)))

    assert (result.healthy, result.reason) == (False, reason)


@pytest.mark.spec("W-15")
@on_a_loop
async def test_a_command_that_is_late_is_ended_with_all_that_it_started(tmp_path):
    pids = tmp_path / "pids"
    script = f"sleep 600 & echo $! > {pids}; echo $$ >> {pids}; wait"

    result = await run(a_probe(action=ExecProbe(command=("/bin/sh", "-c", script)), timeout=timedelta(seconds=1)))

    assert result.reason == "no answer within 1 s"
    for pid in map(int, pids.read_text().split()):
        await asyncio.to_thread(until, lambda pid=pid: not _runs(pid), what=f"the end of {pid}")


@on_a_loop
async def test_a_command_that_is_given_up_while_it_starts_is_ended_with_all_that_it_started(tmp_path):
    pids = tmp_path / "pids"
    script = f"sleep 600 & echo $! > {pids}; wait"
    running = asyncio.create_task(run_command(ExecProbe(command=("/bin/sh", "-c", script))))
    for _ in range(3):
        await asyncio.sleep(0)
    # The loop stands still meanwhile: it has not heard yet that the command runs.
    child = int(until(lambda: pids.exists() and pids.read_text().strip(), what="the command to run"))

    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running
    await asyncio.to_thread(until, lambda: not _runs(child), what=f"the end of {child}")


@on_a_loop
async def test_a_nameserver_that_does_not_answer_holds_up_nobody_else(monkeypatch):
    answered = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answered.wait(60) and [])
    probes = [an_http_probe(80, host="shop.example")] * 100

    results = await asyncio.gather(*(run(replace(probe, timeout=SOON)) for probe in probes))

    assert {result.reason for result in results} == {"no answer within 0.2 s"}
    async with asyncio.timeout(10):
        assert await asyncio.to_thread(lambda: "done") == "done"
    answered.set()


@on_a_loop
async def test_of_several_addresses_of_a_name_one_that_answers_is_enough(monkeypatch):
    found = [(None, None, None, "", (address, 0)) for address in ("127.0.0.99", "127.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    async with answering(status(200)) as (port, _):
        result = await run(an_http_probe(port, host="shop.example"))

    assert result.healthy


@on_a_loop
async def test_a_name_that_is_not_known_is_unhealthy(monkeypatch):
    def unknown(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)

    result = await run(an_http_probe(80, host="shop.example"))

    assert (result.healthy, result.reason) == (False, "[Errno -2] Name or service not known")


@on_a_loop
async def test_who_never_answers_keeps_no_connection_of_ours_open():
    with socket.create_server(("127.0.0.1", 0), backlog=50) as silent:
        address = {"host": "127.0.0.1", "port": silent.getsockname()[1]}
        before = descriptors()
        for action in (GrpcProbe(**address), HttpProbe(**address, scheme="HTTPS"), HttpProbe(**address)):
            probe = a_probe(action=action, timeout=SOON)
            assert not any(result.healthy for result in await asyncio.gather(*(run(probe) for _ in range(10))))

        # Fewer than are kept by the 20 s that gRPC would take by itself; its own few threads keep some for good.
        await asyncio.to_thread(until, lambda: descriptors() < before + 10, seconds=10, what="an end of connections")


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def _runs(pid: int) -> bool:
    """The grandchild is init's to reap, which may take a moment: a zombie is gone enough."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):
        return False


@asynccontextmanager
async def health_service(statuses: dict[str, int]):
    """grpc.health.v1, as its own code would speak it."""

    async def check(request, context):
        if request.value not in statuses:
            await context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return Int32Value(value=statuses[request.value])

    handler = grpc.unary_unary_rpc_method_handler(
        check, request_deserializer=StringValue.FromString, response_serializer=Int32Value.SerializeToString
    )
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield port
    await server.stop(None)


@pytest.mark.spec("W-16")
@pytest.mark.parametrize(
    ("service", "reason"),
    [
        ("", ""),
        ("shop", "NOT_SERVING"),
        ("new", "status 7"),
        ("other", "NOT_FOUND: unknown service"),
    ],
)
@on_a_loop
async def test_grpc_is_healthy_when_it_says_serving(service, reason):
    async with health_service({"": 1, "shop": 2, "new": 7}) as port:
        result = await run(a_probe(action=GrpcProbe(host="127.0.0.1", port=port, service=service)))

    assert (result.healthy, result.reason) == (not reason, reason)


@pytest.mark.spec("W-16")
@on_a_loop
async def test_grpc_that_nobody_serves_is_unhealthy():
    result = await run(a_probe(action=GrpcProbe(host="127.0.0.1", port=free_port())))

    assert not result.healthy
    assert result.reason.startswith("UNAVAILABLE")
