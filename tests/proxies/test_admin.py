"""The admin socket of a real Envoy, and of things that are none."""

from __future__ import annotations

import json
import socket
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from meshd.proxies import admin
from meshd.proxies.admin import AdminError, InUse, Upstream
from meshd.proxies.launch import EnvoySettings, choose, start
from meshd.proxies.paths import ProxyPaths
from meshd.proxies.process import wait_gone
from tests import waiting
from tests.ports import free_port

from .conftest import static_bootstrap


@pytest.mark.envoy
def test_an_envoy_tells_who_it_is_and_does_as_it_is_asked(
    paths: ProxyPaths, port: int, settings: EnvoySettings
) -> None:
    paths.fallback.write_bytes(static_bootstrap(paths, port, "one", mode="fallback"))
    record = start(paths, settings, choose(paths))

    told = admin.server_info(paths.admin_socket)
    assert (told.pid, told.state, told.epoch, told.base_id) == (record.process.pid, "LIVE", 0, record.base_id)
    assert (told.node, told.mode) == ("sidecar~test", "fallback")
    assert "/1.40." in told.version
    assert admin.readiness(paths.admin_socket).live
    active = r"^listener_manager\.total_listeners_active$"
    assert admin.stats(paths.admin_socket, active) == {"listener_manager.total_listeners_active": 1}

    admin.drain_listeners(paths.admin_socket)
    waiting.until(lambda: not listens(port), what="the listeners' end")

    admin.quitquitquit(paths.admin_socket)
    assert wait_gone(record.process, timedelta(seconds=10))
    with pytest.raises(AdminError, match="no answer"):
        admin.readiness(paths.admin_socket)


@pytest.mark.envoy
def test_an_envoy_tells_its_endpoints_and_its_certificates(
    paths: ProxyPaths, port: int, settings: EnvoySettings
) -> None:
    paths.fallback.write_bytes(static_bootstrap(paths, port, free_port(), mode="fallback"))
    start(paths, settings, choose(paths))

    (found,) = admin.upstreams(paths.admin_socket, "^backend$")["backend"]
    assert (found.health, found.name) == ("healthy", "")
    assert found.address.startswith("127.0.0.1:")
    assert admin.upstreams(paths.admin_socket, "^nobody$") == {}
    assert admin.in_use(paths.admin_socket) == InUse(certificates=frozenset(), authorities=frozenset())

    admin.quitquitquit(paths.admin_socket)


CLUSTERS = {
    "cluster_statuses": [
        {
            "name": "a",
            "host_statuses": [
                {"address": {"pipe": {"path": "/run/a.sock"}}, "health_status": {"eds_health_status": "UNKNOWN"}},
                {
                    "address": {"socket_address": {"address": "fd00::1", "port_value": 80}},
                    "health_status": {"eds_health_status": "HEALTHY", "failed_outlier_check": True},
                    "hostname": "a.example:80",
                },
                {
                    "address": {"envoy_internal_address": {"server_listener_name": "tcp", "endpoint_id": "a"}},
                    "health_status": {"eds_health_status": "DRAINING"},
                },
            ],
        },
        {"name": "b"},
    ]
}


def test_endpoints_are_told_in_the_words_of_a_mesh(short_tmp: Path) -> None:
    with Answering(short_tmp, response(json.dumps(CLUSTERS))):
        told = admin.upstreams(short_tmp / "a.sock", "")

    assert told == {
        "a": (
            Upstream(address="/run/a.sock", health="healthy"),
            Upstream(address="[fd00::1]:80", health="ejected", name="a.example:80"),
            Upstream(address="tcp a", health="draining"),
        ),
        "b": (),
    }


def test_of_each_chain_and_each_file_of_authorities_the_first_serial_number_is_read(short_tmp: Path) -> None:
    leaf, middle, root = ({"serial_number": number} for number in ("0a", "0b", "0c"))
    told = {"certificates": [{"cert_chain": [leaf, middle], "ca_cert": [root, middle]}, {"ca_cert": [leaf]}, {}]}

    with Answering(short_tmp, response(json.dumps(told))):
        found = admin.in_use(short_tmp / "a.sock")

    assert found == InUse(certificates=frozenset({10}), authorities=frozenset({12, 10}))


@pytest.mark.parametrize("body", ["[]", "no JSON", '{"certificates": [{"ca_cert": [{}]}]}', '{"certificates": [1]}'])
def test_certificates_in_another_form_are_an_error(short_tmp: Path, body: str) -> None:
    with Answering(short_tmp, response(body)), pytest.raises(AdminError, match="a form we do not know"):
        admin.in_use(short_tmp / "a.sock")


def response(body: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True


def test_an_answer_of_another_form_is_an_error(short_tmp: Path) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

    with Answering(short_tmp, answer), pytest.raises(AdminError, match="a form we do not know"):
        admin.server_info(short_tmp / "a.sock")


def test_a_refusal_is_an_error_with_its_text(short_tmp: Path) -> None:
    answer = b"HTTP/1.1 400 Bad\r\nContent-Length: 6\r\n\r\nno way"

    with Answering(short_tmp, answer), pytest.raises(AdminError, match="400: no way"):
        admin.quitquitquit(short_tmp / "a.sock")


def test_who_does_not_answer_is_not_waited_for(short_tmp: Path) -> None:
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(short_tmp / "a.sock"))
        deaf.listen()

        with pytest.raises(AdminError, match="timed out"):
            admin.readiness(short_tmp / "a.sock", timedelta(milliseconds=20))


class Answering:
    """Something on the admin socket that is no Envoy: one answer to one request."""

    def __init__(self, directory: Path, answer: bytes) -> None:
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(directory / "a.sock"))
        self._server.listen()
        self._thread = threading.Thread(target=self._serve, args=(answer,))

    def _serve(self, answer: bytes) -> None:
        client, _ = self._server.accept()
        with client:
            client.recv(10_000)
            client.sendall(answer)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._thread.join()
        self._server.close()
