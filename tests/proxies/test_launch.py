"""What a proxy starts with, and how."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from envoy.config.bootstrap.v3 import bootstrap_pb2
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import CommonTlsContext, UpstreamTlsContext
from google.protobuf.duration_pb2 import Duration

from meshd.envoy.access_logs import loggers
from meshd.plan import AccessLog
from meshd.proxies import admin
from meshd.proxies.error import HotRestartError, InvalidBootstrapError, OtherProtocolError, ProxyError
from meshd.proxies.hot_restart import hot_restart, reload_unit
from meshd.proxies.launch import (
    EnvoySettings,
    choose,
    command_line,
    last_words,
    rotate,
    rotate_under_way,
    run,
    start,
    validate,
)
from meshd.proxies.paths import ProxyPaths
from meshd.proxies.process import alive, end
from meshd.proxies.record import find
from meshd.proxies.stop import stop
from tests.deliver.certificates import Pair, made

from .conftest import envoys, fetch, listening, static_bootstrap

RUN = """
import sys
from pathlib import Path
from meshd.proxies.launch import EnvoySettings, run
from meshd.proxies.paths import ProxyPaths
binary, state, runtime = map(Path, sys.argv[1:])
run(ProxyPaths(proxy="sidecar", state=state, runtime=runtime), EnvoySettings(binary=binary, concurrency=1))
"""

RELOAD = RUN.replace("import EnvoySettings, run", "import EnvoySettings").replace("\nrun(", "\nreload_unit(")
RELOAD = f"from meshd.proxies.hot_restart import reload_unit{RELOAD}"


@pytest.fixture
def told(short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> socket.socket:
    """What systemd would be told."""
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.bind(str(short_tmp / "notify"))
    receiver.settimeout(15)
    monkeypatch.setenv("NOTIFY_SOCKET", str(short_tmp / "notify"))
    with receiver:
        yield receiver


def both(paths: ProxyPaths, port: int) -> None:
    paths.bootstrap.parent.mkdir(parents=True, exist_ok=True)
    paths.bootstrap.write_bytes(static_bootstrap(paths, port, "xds"))
    paths.fallback.write_bytes(static_bootstrap(paths, port, "fallback", mode="fallback"))


def test_a_proxy_starts_from_meshd_when_it_answers(paths: ProxyPaths, port: int) -> None:
    both(paths, port)

    with listening(paths.xds_socket):
        assert choose(paths).mode == "xds"


def test_a_proxy_starts_from_its_fallback_when_meshd_does_not_answer(paths: ProxyPaths, port: int) -> None:
    both(paths, port)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(paths.xds_socket))  # the file of a socket that nobody listens on

    assert choose(paths).mode == "fallback"
    assert choose(paths).path == paths.fallback


def test_without_a_fallback_a_proxy_starts_and_waits_for_meshd(paths: ProxyPaths, port: int) -> None:
    both(paths, port)
    paths.fallback.unlink()

    assert choose(paths).mode == "xds"


def test_with_nothing_to_start_from_a_proxy_says_what_is_missing(paths: ProxyPaths) -> None:
    with pytest.raises(ProxyError, match="nothing to start with yet") as caught:
        choose(paths)

    assert str(paths.bootstrap) in str(caught.value)
    assert "meshd status" in caught.value.hint


def test_an_unreadable_bootstrap_is_said_to_be_so(paths: ProxyPaths) -> None:
    paths.fallback.mkdir()

    with pytest.raises(ProxyError, match="cannot read") as caught:
        choose(paths)

    assert "user" in caught.value.hint


def test_the_command_line_keeps_everything_of_a_proxy_in_its_own_directory(
    paths: ProxyPaths, settings: EnvoySettings
) -> None:
    line = command_line(paths, replace(settings, concurrency=None), Path("/b.pb"), base_id=7, epoch=2)

    flags = dict(zip(line[1::2], line[2::2], strict=True))
    assert flags == {
        "-c": "/b.pb",
        "--base-id": "7",
        "--restart-epoch": "2",
        "--socket-path": str(paths.own / "hot"),
        "--socket-mode": "600",
        "--drain-time-s": "1",
        "--parent-shutdown-time-s": "2",
        "--drain-strategy": "immediate",
        "--log-level": "warning",
        "--component-log-level": "rbac:error",
        "--file-flush-interval-msec": "1000",
    }


@pytest.mark.envoy
def test_the_unit_becomes_envoy_and_systemd_is_told_when_it_is_live(
    paths: ProxyPaths, port: int, settings: EnvoySettings, told: socket.socket
) -> None:
    both(paths, port)
    with subprocess.Popen(
        [sys.executable, "-c", RUN, *map(str, (settings.binary, paths.state, paths.runtime))], stderr=subprocess.PIPE
    ) as unit:
        assert told.recv(1000).decode().splitlines() == ["READY=1", "STATUS=LIVE (fallback)"]
        running = find(paths)
        assert running is not None
        assert (running.process.pid, running.mode, running.epoch) == (unit.pid, "fallback", 0)

        with pytest.raises(ProxyError, match="runs already"):
            run(paths, settings)

        with listening(paths.xds_socket):
            successor = reload_unit(paths, settings)
        assert told.recv(1000).decode().splitlines() == [
            f"MAINPID={successor.process.pid}",
            "STATUS=LIVE (xds), epoch 1",
        ]
        # systemd takes over only what is its own child.
        parent = int(Path(f"/proc/{successor.process.pid}/stat").read_text().rpartition(")")[2].split()[1])
        assert parent == 1
        unit.communicate(timeout=15)  # the old epoch leaves by itself
        assert stop(paths, timedelta(seconds=1))


def test_a_rotation_of_logs_does_not_end_what_becomes_envoy(paths: ProxyPaths, port: int, tmp_path: Path) -> None:
    both(paths, port)
    shell = tmp_path / "envoy"
    shell.write_text("#!/bin/sh\nkill -USR1 $$\nexit 42\n")
    shell.chmod(0o755)

    unit = subprocess.run([sys.executable, "-c", RUN, *map(str, (shell, paths.state, paths.runtime))], check=False)

    assert unit.returncode == 42


@pytest.mark.envoy
def test_under_systemd_each_epoch_writes_its_access_log_into_the_journal(
    paths: ProxyPaths, port: int, settings: EnvoySettings, told: socket.socket
) -> None:
    """The journal is a socket, which Envoy could not open by the name of its output."""
    paths.bootstrap.parent.mkdir(parents=True, exist_ok=True)
    for path, mode in ((paths.bootstrap, "xds"), (paths.fallback, "fallback")):
        path.write_bytes(logging_all(static_bootstrap(paths, port, mode, mode=mode), mode))
    ours, theirs = socket.socketpair()
    arguments = [str(path) for path in (settings.binary, paths.state, paths.runtime)]
    with ours, subprocess.Popen([sys.executable, "-c", RUN, *arguments], stdout=theirs, stderr=theirs) as unit:
        assert told.recv(1000).startswith(b"READY=1")
        asyncio.run(fetch(port))
        assert b"fallback GET /" in heard(ours, until=b"GET /")

        with listening(paths.xds_socket):
            subprocess.run(
                [sys.executable, "-c", RELOAD, *arguments], stdout=theirs, stderr=theirs, check=True, timeout=60
            )
        theirs.close()
        asyncio.run(fetch(port))
        assert b"xds GET /" in heard(ours, until=b"xds GET /")
        unit.kill()  # the old epoch need not be waited for
        assert stop(paths, timedelta(seconds=1))


def logging_all(bootstrap: bytes, who: str) -> bytes:
    message = bootstrap_pb2.Bootstrap.FromString(bootstrap)
    everything = loggers(AccessLog(format=f"{who} %REQ(:METHOD)% %REQ(:PATH)%\n", encoding="text"))
    for listener in message.static_resources.listeners:
        (chain,) = listener.filter_chains
        manager = HttpConnectionManager.FromString(chain.filters[0].typed_config.value)
        manager.access_log.extend(everything.requests)
        chain.filters[0].typed_config.value = manager.SerializeToString()
    return message.SerializeToString()


def heard(output: socket.socket, *, until: bytes) -> bytes:
    """What has come out, up to these words."""
    output.settimeout(20)
    said = b""
    while until not in said:
        said += output.recv(10_000)
    return said


@pytest.mark.envoy
def test_a_failed_reload_ends_the_crippled_epoch_so_that_systemd_restarts_the_unit(
    paths: ProxyPaths, port: int, settings: EnvoySettings
) -> None:
    with listening(paths.xds_socket), socket.create_server(("127.0.0.1", 0)) as taken:
        both(paths, port)
        old = start(paths, settings, choose(paths))
        paths.bootstrap.write_bytes(static_bootstrap(paths, taken.getsockname()[1], "two"))

        with pytest.raises(HotRestartError, match="did not become LIVE"):
            reload_unit(paths, settings)

    assert not alive(old.process)
    assert envoys(paths) == []


@pytest.mark.envoy
def test_an_invalid_bootstrap_is_refused_before_anything_happens(
    paths: ProxyPaths, port: int, settings: EnvoySettings
) -> None:
    with listening(paths.xds_socket):
        both(paths, port)
        old = start(paths, settings, choose(paths))
        paths.bootstrap.write_bytes(static_bootstrap(paths, 99999999, "two"))

        with pytest.raises(InvalidBootstrapError, match="Envoy refuses"):
            hot_restart(paths, settings)

        assert admin.server_info(paths.admin_socket).pid == old.process.pid
        stop(paths, timedelta())


@pytest.mark.envoy
def test_a_binary_that_speaks_another_hot_restart_protocol_is_not_tried(
    paths: ProxyPaths, port: int, settings: EnvoySettings, short_tmp: Path
) -> None:
    other = short_tmp / "envoy"
    other.write_text(f'#!/bin/sh\n[ "$1" = --hot-restart-version ] && echo 99.1 || exec {settings.binary} "$@"\n')
    other.chmod(0o755)
    with listening(paths.xds_socket):
        both(paths, port)
        old = start(paths, settings, choose(paths))

        with pytest.raises(OtherProtocolError, match=r"99\.1"):
            hot_restart(paths, replace(settings, binary=other))

        assert admin.server_info(paths.admin_socket).pid == old.process.pid
        stop(paths, timedelta())


def test_there_is_nothing_to_hand_over_from_when_no_proxy_runs(paths: ProxyPaths, settings: EnvoySettings) -> None:
    with pytest.raises(ProxyError, match="does not run"):
        hot_restart(paths, settings)


def test_a_directory_too_deep_for_sockets_is_said_to_be_so(
    paths: ProxyPaths, port: int, settings: EnvoySettings
) -> None:
    deep = replace(paths, runtime=paths.runtime / ("x" * 80))
    both(paths, port)

    with pytest.raises(ProxyError, match="too long a path"):
        start(deep, settings, choose(paths))


def test_a_binary_that_is_none_is_said_to_be_so(paths: ProxyPaths, port: int, settings: EnvoySettings) -> None:
    both(paths, port)
    missing = replace(settings, binary=Path("/no/envoy"))

    with pytest.raises(ProxyError, match=r"did not become LIVE|could not start"):
        start(paths, missing, choose(paths))
    with pytest.raises(ProxyError, match="could not validate"):
        validate(paths.fallback, missing)


def test_a_full_log_is_put_aside_and_its_last_complaint_found(tmp_path: Path) -> None:
    log = tmp_path / "envoy.log"
    assert last_words(log) == "it said nothing"

    log.write_bytes(
        b"x" * 17_000_000 + b"\n[2026][1][critical][main] [a.cc:1] port taken\n[2026][1][warning][main] [b.cc:2] bye\n"
    )
    assert last_words(log) == "port taken"

    rotate(log)
    assert not log.exists()
    assert (tmp_path / "envoy.log.1").exists()


def test_a_full_log_is_put_aside_under_the_hands_of_who_appends_to_it(tmp_path: Path) -> None:
    log = tmp_path / "envoy.log"
    with log.open("ab", buffering=0) as envoy:
        envoy.write(b"x" * 17_000_000)

        rotate_under_way(log)
        envoy.write(b"and on\n")
        rotate_under_way(log)

    assert log.read_bytes() == b"and on\n"
    assert (tmp_path / "envoy.log.1").stat().st_size == 17_000_000


@pytest.mark.envoy
def test_stopping_lets_a_request_under_way_finish(paths: ProxyPaths, port: int, settings: EnvoySettings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as backend, ThreadPoolExecutor() as aside:
        paths.fallback.write_bytes(static_bootstrap(paths, port, backend.getsockname()[1], mode="fallback"))
        start(paths, settings, choose(paths))
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            upstream, _ = backend.accept()  # the request is under way
            stopped = aside.submit(stop, paths, timedelta(seconds=15))
            while connects(port):
                assert not stopped.done()
            with upstream:
                upstream.recv(1000)
                upstream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate")

            assert client.recv(1000).endswith(b"late")
            assert stopped.result(timeout=10)

    assert not stop(paths, timedelta(seconds=1))
    assert envoys(paths) == []


def connects(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port)):
            return True
    except ConnectionRefusedError:
        return False


@pytest.mark.envoy
def test_a_proxy_that_takes_no_notice_is_killed(paths: ProxyPaths, port: int, settings: EnvoySettings) -> None:
    both(paths, port)
    record = start(paths, settings, choose(paths))
    os.kill(record.process.pid, signal.SIGSTOP)

    end(record.process, timedelta(milliseconds=50))

    assert not alive(record.process)


@pytest.mark.envoy
def test_a_fallback_starts_without_what_needs_a_file_that_is_gone(
    paths: ProxyPaths, port: int, settings: EnvoySettings
) -> None:
    """Envoy would refuse all of it; and the day on which a certificate is missing may be one on which meshd is too."""
    gone = paths.state / "gone.crt"
    tls = UpstreamTlsContext(common_tls_context=CommonTlsContext())
    tls.common_tls_context.validation_context.trusted_ca.filename = str(gone)
    bootstrap = bootstrap_pb2.Bootstrap.FromString(static_bootstrap(paths, port, "fallback", mode="fallback"))
    sealed = bootstrap.static_resources.clusters.add(name="sealed", connect_timeout=Duration(seconds=1))
    sealed.transport_socket.name = "envoy.transport_sockets.tls"
    sealed.transport_socket.typed_config.Pack(tls)
    paths.fallback.write_bytes(bootstrap.SerializeToString())

    chosen = choose(paths)

    assert (chosen.mode, chosen.lacking) == ("fallback", (str(gone),))
    start(paths, settings, chosen)
    assert asyncio.run(fetch(port)) == "fallback"
    assert stop(paths, timedelta())
    gone.write_text("")
    assert (choose(paths).path, choose(paths).lacking) == (paths.fallback, ())


def with_tls(plain: bytes, *pairs: Pair, authority: Path | None = None) -> bytes:
    bootstrap = bootstrap_pb2.Bootstrap.FromString(plain)
    contexts = []
    for pair in pairs:
        context = CommonTlsContext()
        one = context.tls_certificates.add()
        one.certificate_chain.filename, one.private_key.filename = str(pair.chain), str(pair.key)
        contexts.append(context)
    if authority:
        contexts.append(CommonTlsContext())
        contexts[-1].validation_context.trusted_ca.filename = str(authority)
    for number, context in enumerate(contexts):
        cluster = bootstrap.static_resources.clusters.add(name=f"tls-{number}", connect_timeout=Duration(seconds=1))
        cluster.transport_socket.name = "envoy.transport_sockets.tls"
        cluster.transport_socket.typed_config.Pack(UpstreamTlsContext(common_tls_context=context))
    return bootstrap.SerializeToString()


@pytest.mark.envoy
def test_a_fallback_starts_without_what_needs_a_file_of_which_envoy_can_make_nothing(
    paths: ProxyPaths, port: int, settings: EnvoySettings
) -> None:
    pairs = [made(paths.state / str(number), f"{number}.example") for number in range(5)]
    pairs[1].chain.write_text("this is no certificate")
    pairs[3].key.write_bytes(pairs[0].key.read_bytes())
    authority = paths.state / "ca.crt"
    authority.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    plain = static_bootstrap(paths, port, "fallback", mode="fallback")
    paths.fallback.write_bytes(with_tls(plain, *pairs, authority=authority))

    chosen = choose(paths, settings.binary)

    bad = (pairs[1], pairs[3])
    assert chosen.lacking == tuple(
        sorted(map(str, (authority, *(file for each in bad for file in (each.chain, each.key)))))
    )
    start(paths, settings, chosen)
    assert asyncio.run(fetch(port)) == "fallback"
    kept = bootstrap_pb2.Bootstrap.FromString(chosen.path.read_bytes()).static_resources.clusters
    assert {each.name for each in kept if each.HasField("transport_socket")} >= {"tls-0", "tls-2", "tls-4"}


@pytest.mark.envoy
def test_a_fallback_of_good_certificates_is_taken_as_it_is(
    paths: ProxyPaths, port: int, settings: EnvoySettings
) -> None:
    pair = made(paths.state / "a", "a.example")
    plain = static_bootstrap(paths, port, "fallback", mode="fallback")
    paths.fallback.write_bytes(with_tls(plain, pair, authority=pair.chain))

    assert choose(paths, settings.binary).path == paths.fallback
    assert choose(paths, paths.state / "no-such-envoy").path == paths.fallback


def test_a_damaged_fallback_is_said_to_be_so(paths: ProxyPaths) -> None:
    """Envoy would start with it, as an empty one, and nobody could ask it anything."""
    paths.fallback.write_bytes(b"\xff\xff")

    with pytest.raises(ProxyError, match="is damaged"):
        choose(paths)
