"""A host with containers, and the rules that Docker makes for them: what becomes of these, and who is captured.

The rules are those of Docker 27 for one bridge and one published port, in the form in which nft lists them.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest

from meshd.capture.nft import load, remove
from meshd.capture.table import table
from tests.capture.machines import (
    APPLICATION,
    ELSEWHERE,
    HOST,
    INBOUND,
    OUTBOUND,
    PEER,
    SERVICE,
    SSH,
    Machines,
    redirections,
    ruleset,
    running_machines,
    saying,
    socket_of,
)
from tests.live.namespace import Namespace, namespace

BRIDGE, CONTAINER, PUBLISHED = "172.17.0.1", "172.17.0.2", 8080
DOCKER = f"""
table ip nat {{
  chain DOCKER {{
    iifname "docker0" counter return
    iifname != "docker0" tcp dport {PUBLISHED} counter dnat to {CONTAINER}:{SERVICE}
  }}
  chain PREROUTING {{
    type nat hook prerouting priority dstnat; policy accept;
    fib daddr type local counter jump DOCKER
  }}
  chain OUTPUT {{
    type nat hook output priority -100; policy accept;
    ip daddr != 127.0.0.0/8 fib daddr type local counter jump DOCKER
  }}
  chain POSTROUTING {{
    type nat hook postrouting priority srcnat; policy accept;
    oifname != "docker0" ip saddr 172.17.0.0/16 counter masquerade
  }}
}}
table ip filter {{
  chain DOCKER {{ iifname != "docker0" oifname "docker0" ip daddr {CONTAINER} tcp dport {SERVICE} counter accept; }}
  chain FORWARD {{
    type filter hook forward priority filter; policy drop;
    oifname "docker0" ct state established,related counter accept
    oifname "docker0" counter jump DOCKER
    iifname "docker0" oifname != "docker0" counter accept
  }}
}}
"""
INSIDE = "the container"
ANOTHER = redirections(own_ports_left_alone=frozenset({SSH, PUBLISHED}))


@dataclass(frozen=True, kw_only=True)
class Dock:
    machines: Machines
    container: Namespace

    def container_hears(self, to: tuple[str, int]) -> str:
        return self.container.within(_hear, to)


def _hear(to: tuple[str, int]) -> str:
    with socket_of(0, socket.AF_INET) as connection:
        connection.settimeout(10)
        connection.connect(to)
        return connection.recv(64).decode()


@contextmanager
def docked() -> Iterator[Dock]:
    with running_machines() as machines, namespace() as container, ExitStack() as stack:
        host = machines.host
        host.run("ip", "link", "add", "docker0", "type", "veth", "peer", "name", "eth0", "netns", container.name)
        for room, device, address in ((host, "docker0", BRIDGE), (container, "eth0", CONTAINER)):
            room.run("ip", "address", "add", f"{address}/16", "dev", device)
            room.run("ip", "link", "set", device, "up")
        container.run("ip", "route", "add", "default", "via", BRIDGE)
        host.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        host.run("nft", "-f", "-", given=DOCKER)
        stack.enter_context(saying(container, SERVICE, INSIDE))
        yield Dock(machines=machines, container=container)


@pytest.fixture(scope="module")
def dock() -> Iterator[Dock]:
    with docked() as running:
        yield running


def dockers(room: Namespace) -> str:
    return "".join(room.run("nft", "list", "table", "ip", name) for name in ("nat", "filter"))


def test_dockers_tables_stay_byte_for_byte_while_ours_comes_changes_and_goes():
    with docked() as fresh:
        room = fresh.machines.host
        before, all_before = dockers(room), ruleset(room)
        for wanted in (redirections(), ANOTHER, ANOTHER):
            room.within(load, table(wanted))
            assert dockers(room) == before
        room.within(remove)

        assert ruleset(room) == all_before


def test_what_a_container_opens_to_elsewhere_is_not_captured(dock: Dock):
    dock.machines.load(redirections())

    assert dock.container_hears((PEER, SERVICE)) == ELSEWHERE


def test_a_container_calls_its_host_like_any_other_machine(dock: Dock):
    dock.machines.load(redirections())
    assert dock.container_hears((HOST, SERVICE)) == str(INBOUND)
    assert dock.container_hears((BRIDGE, SERVICE)) == str(INBOUND)
    assert dock.container_hears((HOST, SSH)) == str(SSH)

    dock.machines.load(redirections(interfaces_left_alone=("docker0",)))
    assert dock.container_hears((HOST, SERVICE)) == str(SERVICE)


def test_who_calls_a_container_by_its_own_address_is_captured_unless_its_interface_is_excluded(dock: Dock):
    dock.machines.load(redirections())
    assert dock.machines.hears(APPLICATION, (CONTAINER, SERVICE)) == str(OUTBOUND)

    dock.machines.load(redirections(interfaces_left_alone=("docker0",)))
    assert dock.machines.hears(APPLICATION, (CONTAINER, SERVICE)) == INSIDE


@pytest.mark.parametrize("docker_starts_again", [False, True])
def test_a_published_port_leads_to_its_container_whoever_was_loaded_last(dock: Dock, docker_starts_again: bool):
    dock.machines.load(redirections())
    if docker_starts_again:
        dock.machines.host.run("nft", "-f", "-", given=f"delete table ip nat\ndelete table ip filter\n{DOCKER}")

    assert dock.machines.hears_outside((HOST, PUBLISHED)) == INSIDE
    assert dock.machines.hears(APPLICATION, (HOST, PUBLISHED)) == INSIDE


def test_neither_containers_nor_published_ports_lose_a_connection_while_the_table_is_replaced(dock: Dock):
    over = threading.Event()
    heard: list[str] = []

    def call() -> None:
        while not over.is_set():
            heard.append(dock.container_hears((PEER, SERVICE)))

    dock.machines.load(redirections())
    calling = threading.Thread(target=call)
    calling.start()
    for _ in range(20):
        dock.machines.load(redirections())
        assert dock.machines.hears_outside((HOST, PUBLISHED)) == INSIDE
    over.set()
    calling.join()

    assert set(heard) == {ELSEWHERE}
