"""The table of the kernel: there after each boot, gone with its unit, and never in the way of the host itself."""

from __future__ import annotations

import signal

import pytest

from tests.lab import meshes
from tests.lab.application import run_application
from tests.waiting import until

pytestmark = [pytest.mark.envoy, pytest.mark.slow, pytest.mark.lab]

NOWHERE = "10.99.0.1"
"""What DNS says of the service: nobody has that address, so that only a captured connection is answered."""


@pytest.fixture(scope="module")
def captured(lab, fleet):
    git, (web, api) = fleet("web", "api")
    run_application(api.machine, "v1")
    lab.dns.set("shop.example", NOWHERE, ttl=1)
    revision = git.push(
        {"web.yaml": meshes.workload(web), "shop.yaml": meshes.service("shop", {"v1": api.machine.address})}
    )
    web.configure(git, "  poll: 1s", "capture: nftables")
    web.machine.systemctl("enable", "--now", "meshd")
    web.await_revision(revision)
    web.until_ready()
    web.machine.systemctl("enable", "--now", "meshd-capture")
    return web


def asked_by_an_application(host):
    """By a user of no importance, who knows of no proxy."""
    done = host.machine.as_user("nobody", "curl", "-s", "-m", "5", "http://shop.example/")
    return done.stdout


def tables(host):
    return host.machine.run("nft", "list", "tables").split("\n")


def test_an_application_that_knows_of_nothing_goes_through_the_sidecar(captured):
    assert asked_by_an_application(captured) == "v1"
    assert captured.await_condition("Captured", "True")


def test_at_boot_the_table_is_there_again(captured):
    captured.machine.reboot()

    until(lambda: asked_by_an_application(captured) == "v1", what="a captured answer")
    assert captured.machine.unit("meshd-capture").state == "active"
    captured.until_ready()
    captured.await_condition("Captured", "True")


def test_a_proxy_that_dies_leaves_the_table(captured):
    envoy = captured.machine.unit("meshd-envoy@sidecar")

    captured.machine.kill(envoy.pid, signal.SIGKILL)
    assert "table inet meshd" in tables(captured)

    until(lambda: asked_by_an_application(captured) == "v1", what="a captured answer")
    assert captured.machine.unit("meshd-capture").state == "active"


def test_stopping_the_unit_removes_the_table_and_starting_it_loads_it(captured):
    captured.machine.systemctl("stop", "meshd-capture")

    assert "table inet meshd" not in tables(captured)
    assert asked_by_an_application(captured) == ""
    captured.await_condition("Captured", "False")

    captured.machine.systemctl("start", "meshd-capture")
    assert asked_by_an_application(captured) == "v1"
    captured.await_condition("Captured", "True")


def test_a_table_that_somebody_flushed_is_asked_for_by_the_daemon_and_loaded_by_the_unit(captured):
    """meshd may not touch the kernel's tables: it asks systemd, whom polkit tells that it may."""
    captured.machine.run("nft", "flush", "ruleset")

    until(lambda: "table inet meshd" in tables(captured), seconds=40, what="the table")
    assert asked_by_an_application(captured) == "v1"


def test_a_table_of_the_operator_is_left_as_it_is(captured):
    rules = "table inet mine { chain input { type filter hook input priority 0; tcp dport 9 drop; }; }"
    captured.machine.run("nft", "-f", "-", given=rules)
    before = captured.machine.run("nft", "list", "table", "inet", "mine")

    captured.machine.systemctl("restart", "meshd-capture")
    captured.machine.systemctl("stop", "meshd-capture")
    captured.machine.systemctl("start", "meshd-capture")

    assert captured.machine.run("nft", "list", "table", "inet", "mine") == before
