"""The daemon and `meshd capture` on one host, a network namespace: what is told, what is redirected, who follows."""

from __future__ import annotations

import http.client
import socket
import sys

import pytest

from tests.capture.machines import APPLICATION, socket_of
from tests.live.namespace import namespace
from tests.live.raw import accepting
from tests.system import meshes
from tests.waiting import until

pytestmark = pytest.mark.envoy

PORTS = """\
apiVersion: meshd.io/v1
kind: MeshConfig
metadata: {name: mesh}
spec: {proxyListenPort: 16001, proxyInboundPort: 16006}
"""


@pytest.fixture
def room():
    with namespace("10.5.0.1/32") as room:
        room.run("ip", "route", "add", "default", "dev", "lo")
        yield room


@pytest.fixture
def captured(host, room):
    """It runs as root, and so does its Envoy."""
    host.prefix = room.command()
    host.configure(capture="nftables", nftables="{agentUser: 0}")
    with accepting(room.within(socket.create_server, ("127.0.0.1", 0)), _answer) as port:
        mesh = {"web-1.yaml": meshes.workload(address="10.5.0.1"), "shop.yaml": meshes.service("shop", {"v1": port})}
        revision = host.push(mesh)
        host.start()
        host.until_live(revision)
        yield host


def _answer(connection: socket.socket) -> None:
    connection.recv(10_000)
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nv1")


def told(host):
    found = [each for each in host.status()["conditions"] if each["type"] == "Captured"]
    return found and (found[0]["status"], found[0]["reason"])


def until_told(host, *what):
    until(lambda: told(host) == what, what=str(what))


def apply(host, room):
    return room.run(sys.executable, "-m", "meshd", "capture", "apply", "--wait", "10", "--config", str(host.config))


def asked(room) -> tuple[int, str]:
    """What an application hears that was told of no proxy; the address is nobody's."""
    client = http.client.HTTPConnection("10.96.0.1", 80)
    client.sock = room.within(_connected, ("10.96.0.1", 80))
    try:
        client.request("GET", "/", headers={"Host": "shop.example"})
        answer = client.getresponse()
        return answer.status, answer.read().decode()
    finally:
        client.close()


def _connected(to: tuple[str, int]) -> socket.socket:
    connection = socket_of(APPLICATION, socket.AF_INET)
    connection.settimeout(10)
    connection.connect(to)
    return connection


def test_connections_come_to_the_sidecar_once_the_table_is_loaded_and_status_says_so(captured, room):
    until_told(captured, "False", "NotLoaded")
    assert captured.status()["ready"], "a sidecar has to be ready before anything is redirected to it"

    apply(captured, room)

    until_told(captured, "True", "Redirected")
    assert asked(room) == (200, "v1")
    assert "● Captured" in captured.meshd("status").stdout

    room.run("nft", "flush", "ruleset")
    until_told(captured, "False", "NotLoaded")


def test_the_table_follows_the_ports_of_the_mesh(captured, room):
    apply(captured, room)

    captured.until_live(captured.push({"mesh.yaml": PORTS}))
    until_told(captured, "False", "Outdated")

    assert "to 16001 what is opened here, to 16006 what comes in" in apply(captured, room)
    until_told(captured, "True", "Redirected")
    assert asked(room) == (200, "v1")


def test_whoever_captures_no_more_is_told_of_a_table_that_is_left(captured, room):
    apply(captured, room)
    captured.configure(capture="none")

    assert captured.meshd("reload").returncode == 0
    until_told(captured, "False", "Unwanted")
    assert "no table inet meshd: the configuration says capture: none" in apply(captured, room)

    until(lambda: not told(captured), what="nothing said of the capture")
