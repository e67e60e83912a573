"""Messages to systemd, on the sockets that it offers."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from meshd.sd_notify import notify


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_told_in_one_message(short_tmp: Path, monkeypatch: pytest.MonkeyPatch, abstract: bool) -> None:
    address = f"@meshd-test-{os.getpid()}" if abstract else str(short_tmp / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind("\0" + address[1:] if abstract else address)
        monkeypatch.setenv("NOTIFY_SOCKET", address)

        assert notify("READY=1", "STATUS=fine")

        assert receiver.recv(100) == b"READY=1\nSTATUS=fine"


def test_without_systemd_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)

    assert not notify("READY=1")


def test_a_manager_that_is_gone_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/no/such/socket")

    assert not notify("READY=1")


def test_what_is_quoted_is_never_a_line_of_its_own(short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(short_tmp / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(short_tmp / "notify"))

        assert notify("READY=1", "STATUS=rejected: no subset 'x\nMAINPID=1'" + "y" * 1_000_000)

        assert receiver.recv(5000).startswith(b"READY=1\nSTATUS=rejected: no subset 'x MAINPID=1'y")


def test_a_manager_that_does_not_read_holds_up_nobody(short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(short_tmp / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(short_tmp / "notify"))

        while notify("WATCHDOG=1"):
            pass
