"""Loading and removing by the real nft: what happens to the tables of others, and what is said when it cannot be."""

from __future__ import annotations

import errno
import socket
import stat

import pytest

from meshd.capture.error import CaptureError, NotServedError
from meshd.capture.knock import loaded
from meshd.capture.listening import listeners, require_sidecar
from meshd.capture.nft import load, remove
from meshd.capture.table import REMOVAL, table
from tests.capture.machines import ENVOY, redirections, ruleset, socket_of
from tests.live.namespace import namespace

FOREIGN = """
table inet filter {
  set friends { type ipv4_addr; flags interval; elements = { 10.0.0.0/8, 192.168.1.5 }; }
  chain input { type filter hook input priority 0; policy accept; ip saddr @friends counter accept; }
  chain output { type nat hook output priority -100; tcp dport 81 redirect to :82; }
}
table ip nat { chain POSTROUTING { type nat hook postrouting priority 100; oifname "eth9" masquerade; }; }
table ip6 meshd { chain mine { tcp dport 1 accept; }; }
table inet meshd2 { }
"""
USUAL, ANOTHER = table(redirections()), table(redirections(outbound_port=16001))


@pytest.fixture
def room():
    with namespace() as room:
        yield room


def test_tables_of_others_are_untouched_byte_for_byte(room):
    room.run("nft", "-f", "-", given=FOREIGN)
    before = ruleset(room)

    def others() -> str:
        head, found, own = ruleset(room).partition("table inet meshd {")
        return head + own.partition("\n}\n")[2] if found else head

    room.within(load, USUAL)
    assert others() == before
    once = ruleset(room)
    room.within(load, USUAL)
    assert ruleset(room) == once
    room.within(load, ANOTHER)
    assert others() == before
    room.within(remove)
    assert ruleset(room) == before


def test_removing_twice_is_no_failure(room):
    room.within(remove)
    room.within(remove)

    assert ruleset(room) == ""


def test_a_table_of_that_name_that_somebody_else_loaded_is_replaced(room):
    room.run("nft", "-f", "-", given="table inet meshd { chain stray { type filter hook input priority 0; drop; }; }")

    room.within(load, USUAL)

    assert "stray" not in ruleset(room)


def test_a_table_that_the_kernel_refuses_leaves_the_one_before_it(room):
    room.within(load, USUAL)
    before = ruleset(room)
    bad = table(redirections(interfaces_left_alone=("x" * 15 + '" drop; "',)))

    with pytest.raises(CaptureError, match="nft"):
        room.within(load, bad)

    assert ruleset(room) == before


@pytest.mark.parametrize(("now", "answer"), [(None, "none"), (USUAL, "same"), (ANOTHER, "other")])
def test_the_kernel_tells_everybody_which_table_is_loaded(room, now, answer):
    if now is not None:
        room.within(load, now)

    assert room.within(loaded, USUAL) == answer
    assert room.within(loaded, None) == ("none" if now is None else "other")


def test_also_that_somebody_flushed_all_of_them(room):
    room.within(load, USUAL)
    room.run("nft", "flush", "ruleset")

    assert room.within(loaded, USUAL) == "none"


def test_a_host_that_cannot_ask_says_so(room, monkeypatch):
    def exhausted(*_arguments):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(socket.socket, "sendto", exhausted)

    with pytest.raises(CaptureError, match="cannot ask which table is loaded: Too many open files"):
        room.within(loaded, USUAL)


def test_a_table_that_connections_do_not_pass_through_is_told(room):
    """Without tracking there is no redirection, and nft has nothing to say against it."""
    room.run(
        *("nft", "-f", "-"),
        given="table ip raw { chain out { type filter hook output priority -300; udp dport 15006 notrack; }; }",
    )

    with pytest.raises(CaptureError, match="connections do not pass through it") as failure:
        room.within(load, USUAL)

    assert "notrack" in failure.value.hint


def test_a_host_without_nft_is_told_what_to_install():
    with pytest.raises(CaptureError, match="no nft on this host") as failure:
        remove(places=("/nowhere/nft",))

    assert "install nftables" in failure.value.hint


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 'Error: Could not process rule: No such file or directory' >&2; exit 1", "nft_chain_nat"),
        ("echo 'Error: Could not process rule: Operation not permitted' >&2; exit 1", "systemctl start meshd-capture"),
        ("exit 1", "please report this"),
    ],
)
def test_what_nft_says_becomes_what_to_do(tmp_path, script, said):
    nft = tmp_path / "nft"
    nft.write_text(f"#!/bin/sh\n{script}\n")
    nft.chmod(stat.S_IRWXU)

    with pytest.raises(CaptureError) as failure:
        remove(places=(str(nft),))

    assert said in failure.value.hint


def test_nft_gets_nothing_of_the_environment(tmp_path, monkeypatch):
    nft, told = tmp_path / "nft", tmp_path / "told"
    nft.write_text(f"#!/bin/sh\nenv > {told}\ncat >> {told}\n")
    nft.chmod(stat.S_IRWXU)
    monkeypatch.setenv("LD_PRELOAD_OR_WORSE", "x")

    remove(places=(str(nft),))

    text = told.read_text()
    assert text.endswith(REMOVAL)
    assert {line.split("=")[0] for line in text.removesuffix(REMOVAL).splitlines()} <= {
        "PATH",
        "LC_ALL",
        "PWD",
        "_",
        "SHLVL",
    }


class TestWhoListens:
    def test_nobody_is_told_by_port(self, room):
        with pytest.raises(NotServedError, match="nobody listens on port 15001"):
            room.within(require_sidecar, redirections())

    def test_the_proxy_is_accepted_in_whatever_family(self, room):
        with listening(room, ENVOY, 15001, socket.AF_INET), listening(room, ENVOY, 15006, socket.AF_INET6):
            room.within(require_sidecar, redirections())

    def test_one_of_the_two_ports_is_not_enough(self, room):
        with listening(room, ENVOY, 15001, socket.AF_INET), pytest.raises(NotServedError, match="port 15006"):
            room.within(require_sidecar, redirections())

    def test_a_stranger_on_the_port_gets_no_connection(self, room):
        with (
            listening(room, 64099, 15001, socket.AF_INET),
            pytest.raises(CaptureError, match="on port 15001 user 64099 listens") as failure,
        ):
            room.within(require_sidecar, redirections())

        assert not isinstance(failure.value, NotServedError), "waiting would not help"

    def test_a_connection_of_that_port_is_no_listener(self, room):
        with (
            listening(room, ENVOY, 15001, socket.AF_INET) as server,
            room.within(socket.create_connection, ("127.0.0.1", 15001)),
            server.accept()[0],
        ):
            server.close()
            assert room.within(listeners, 15001) == frozenset()


def listening(room, user, port, family):
    def listen():
        made = socket_of(user, family)
        made.bind(("127.0.0.1" if family == socket.AF_INET else "::1", port))
        made.listen()
        return made

    return room.within(listen)
