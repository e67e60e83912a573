"""The table on the real kernel: who is redirected where, and who is left alone."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from meshd.capture.table import PASSED_ON
from meshd.compiler.inbound.chains import SOURCES
from tests.capture.machines import (
    APPLICATION,
    ELSEWHERE,
    ENVOY,
    GROUP,
    HOST,
    HOST6,
    HOST_OUTSIDE6,
    INBOUND,
    MESHD,
    OTHER_PEER,
    OTHER_SERVICE,
    OUTBOUND,
    PEER,
    PEER6,
    SERVICE,
    SSH,
    Machines,
    redirections,
    running_machines,
    socket_of,
)


def test_what_is_passed_on_comes_from_where_the_table_expects_it():
    assert PASSED_ON == SOURCES


@pytest.fixture
def usual(machines):
    """The defaults."""
    machines.load(redirections())
    return machines


@pytest.mark.parametrize(
    ("user", "to", "source", "heard"),
    [
        pytest.param(APPLICATION, (PEER, SERVICE), "", OUTBOUND, id="an application calls elsewhere"),
        pytest.param(APPLICATION, (PEER6, SERVICE), "", OUTBOUND, id="by IPv6"),
        pytest.param(APPLICATION, (HOST, SERVICE), "", INBOUND, id="and its own host"),
        pytest.param(APPLICATION, (HOST6, SERVICE), "", INBOUND, id="by the other family too"),
        pytest.param(APPLICATION, ("127.0.0.1", SERVICE), "", SERVICE, id="but not by loopback"),
        pytest.param(APPLICATION, ("::1", SERVICE), "", SERVICE, id="of either family"),
        pytest.param(APPLICATION, (PEER, SSH), "", ELSEWHERE, id="ssh is left alone"),
        pytest.param(APPLICATION, (HOST, SSH), "", SSH, id="to this host too"),
        pytest.param(0, (PEER, SERVICE), "", OUTBOUND, id="root is nothing special"),
        pytest.param(ENVOY, (PEER, SERVICE), "", ELSEWHERE, id="a proxy calls elsewhere"),
        pytest.param(ENVOY, (PEER6, SERVICE), "", ELSEWHERE, id="by IPv6 too"),
        pytest.param(ENVOY, (HOST, SERVICE), "", INBOUND, id="a proxy calls its own host"),
        pytest.param(ENVOY, (HOST, SERVICE), "127.0.0.6", SERVICE, id="a proxy passes on what came in"),
        pytest.param(ENVOY, (HOST6, SERVICE), "::1", SERVICE, id="by the other family"),
        pytest.param(MESHD, (HOST, SERVICE), "", SERVICE, id="meshd asks a workload"),
        pytest.param(MESHD, (PEER, SERVICE), "", ELSEWHERE, id="and the repository"),
    ],
)
def test_what_is_opened_on_the_host_is_taken_by_the_one_who_should(usual, user, to, source, heard):
    assert usual.hears(user, to, source) == str(heard)


@pytest.mark.parametrize("address", [HOST, HOST_OUTSIDE6])
@pytest.mark.parametrize(("port", "heard"), [(SERVICE, INBOUND), (SSH, SSH)])
def test_what_comes_from_another_machine_goes_to_the_proxy_but_for_ssh(usual, address, port, heard):
    assert usual.hears_outside((address, port)) == str(heard)


def test_datagrams_are_left_alone(usual):
    with usual.peer.within(socket.socket, socket.AF_INET, socket.SOCK_DGRAM) as there:
        there.bind((PEER, SERVICE))
        there.settimeout(10)
        with usual.host.within(socket.socket, socket.AF_INET, socket.SOCK_DGRAM) as here:
            here.sendto(b"hello", (PEER, SERVICE))
        assert there.recv(10) == b"hello"


@pytest.mark.parametrize(
    ("changes", "calls"),
    [
        pytest.param(
            {"networks": ("10.8.0.0/24", "10.8.0.0/16", "10.8.9.2", "10.8.0.0/25")},
            {(PEER, SERVICE): OUTBOUND, (OTHER_PEER, SERVICE): OUTBOUND, (PEER6, SERVICE): ELSEWHERE},
            id="networks that overlap are included, and of IPv6 none",
        ),
        pytest.param(
            {"networks": ("fd18::/16",)},
            {(PEER, SERVICE): ELSEWHERE, (PEER6, SERVICE): OUTBOUND},
            id="a network of IPv6 is included",
        ),
        pytest.param(
            {"networks": ("0.0.0.0/0",)},
            {(PEER, SERVICE): OUTBOUND, (PEER6, SERVICE): ELSEWHERE},
            id="all of IPv4 is included",
        ),
        pytest.param(
            {"networks_left_alone": ("10.8.9.0/24", "::/0")},
            {(PEER, SERVICE): OUTBOUND, (OTHER_PEER, SERVICE): ELSEWHERE, (PEER6, SERVICE): ELSEWHERE},
            id="networks are excluded, of all the rest",
        ),
        pytest.param(
            {"networks": ("10.8.0.0/16",), "networks_left_alone": ("10.8.9.2/32",)},
            {(PEER, SERVICE): OUTBOUND, (OTHER_PEER, SERVICE): ELSEWHERE},
            id="what is excluded wins",
        ),
        pytest.param(
            {"networks": (), "ports": frozenset({OTHER_SERVICE})},
            {(PEER, SERVICE): ELSEWHERE, (PEER, OTHER_SERVICE): OUTBOUND, (PEER6, OTHER_SERVICE): OUTBOUND},
            id="a port is included wherever it leads",
        ),
        pytest.param(
            {"networks": ()}, {(PEER, SERVICE): ELSEWHERE, (HOST, SERVICE): INBOUND}, id="nothing of elsewhere"
        ),
        pytest.param(
            {"ports_left_alone": frozenset({SERVICE})},
            {(PEER, SERVICE): ELSEWHERE, (PEER, SSH): OUTBOUND, (HOST, SERVICE): INBOUND},
            id="a port is excluded, elsewhere only",
        ),
        pytest.param(
            {"own_ports_left_alone": frozenset({SERVICE})},
            {(HOST, SERVICE): SERVICE, (HOST, OTHER_SERVICE): INBOUND, (PEER, SERVICE): OUTBOUND},
            id="a port of this host is excluded",
        ),
        pytest.param(
            {"own_ports": frozenset({SERVICE})},
            {(HOST, SERVICE): INBOUND, (HOST, OTHER_SERVICE): OTHER_SERVICE},
            id="a port of this host is included",
        ),
        pytest.param({"own_ports": frozenset()}, {(HOST, SERVICE): SERVICE}, id="no port of this host is"),
        pytest.param(
            {"interfaces_left_alone": ("et*",)},
            {(PEER, SERVICE): ELSEWHERE, (HOST, SERVICE): INBOUND},
            id="an interface is excluded",
        ),
        pytest.param(
            {"left_alone": frozenset({MESHD, APPLICATION})},
            {(PEER, SERVICE): ELSEWHERE, (HOST, SERVICE): SERVICE},
            id="a user is excluded, wherever he goes",
        ),
        pytest.param({"groups_left_alone": frozenset({GROUP})}, {(PEER, SERVICE): ELSEWHERE}, id="a group is excluded"),
        pytest.param({"left_alone": frozenset()}, {(PEER, SERVICE): OUTBOUND}, id="nobody is excluded"),
    ],
)
def test_what_is_included_and_excluded(machines, changes, calls):
    machines.load(redirections(**changes))

    assert {to: machines.hears(APPLICATION, to, group=GROUP) for to in calls} == {
        to: str(heard) for to, heard in calls.items()
    }


def test_what_comes_by_an_interface_that_is_excluded_is_left_alone(machines):
    machines.load(redirections(interfaces_left_alone=("eth0",)))

    assert machines.hears_outside((HOST, SERVICE)) == str(SERVICE)


def test_a_port_of_this_host_is_included_or_excluded_for_others_as_well(machines):
    machines.load(
        redirections(own_ports=frozenset({SERVICE, OTHER_SERVICE}), own_ports_left_alone=frozenset({SERVICE}))
    )

    assert machines.hears_outside((HOST, SERVICE)) == str(SERVICE)
    assert machines.hears_outside((HOST, OTHER_SERVICE)) == str(INBOUND)


@pytest.mark.parametrize("outward", [True, False], ids=["opened here", "that came in"])
def test_a_connection_that_is_older_than_the_table_goes_on(outward):
    """Nobody tracked it until the table came, so that its next packet is the first that the kernel knows of it."""
    with running_machines() as machines:
        there, room, address = (machines.peer, machines.host, PEER) if outward else (machines.host, machines.peer, HOST)
        with there.within(socket.create_server, (address, 7)) as server:
            client = room.within(socket.create_connection, (address, 7), 10)
            connection, _ = server.accept()
        with client, connection:
            connection.settimeout(10)
            machines.load(redirections())
            for sender, receiver in ((client, connection), (connection, client), (client, connection)):
                sender.sendall(b"still here")
                assert receiver.recv(100) == b"still here"


def test_no_connection_gets_past_while_the_table_is_replaced(machines):
    tables = [redirections(own_ports_left_alone=frozenset({SSH, port})) for port in (1, 2)]
    machines.load(tables[0])
    over = threading.Event()
    heard: list[str] = []

    def call(hears: Callable[[], str]) -> None:
        while not over.is_set():
            heard.append(hears())

    calls = (lambda: machines.hears(APPLICATION, (PEER, SERVICE)), lambda: machines.hears_outside((HOST, SERVICE)))
    callers = [threading.Thread(target=call, args=(each,)) for each in calls]
    for caller in callers:
        caller.start()
    for number in range(60):
        machines.load(tables[number % 2])
    over.set()
    for caller in callers:
        caller.join()

    assert set(heard) == {str(OUTBOUND), str(INBOUND)}
    assert len(heard) > 100


def test_a_captured_connection_outlives_the_replacement(machines):
    with captured(machines) as (client, connection):
        machines.load(redirections(own_ports_left_alone=frozenset({SSH, 3})))

        client.sendall(b"still here")

        assert connection.recv(100) == b"still here"


@contextmanager
def captured(machines: Machines) -> Iterator[tuple[socket.socket, socket.socket]]:
    """One that an application opened to nowhere, and the sidecar took."""
    with machines.host.within(socket.create_server, ("127.0.0.1", 15011)) as server:
        machines.load(redirections(outbound_port=15011))
        with (
            machines.host.within(socket_of, APPLICATION, socket.AF_INET) as client,
            server,
        ):
            client.settimeout(10)
            client.connect((PEER, 4242))
            connection, _ = server.accept()
            with connection:
                connection.settimeout(10)
                yield client, connection
