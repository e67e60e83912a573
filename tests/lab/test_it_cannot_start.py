"""A meshd that cannot start ends as a failed unit whose status says why, and traffic goes on without it.

A proxy that cannot is told by meshd, in words that make do without the journal.
"""

from __future__ import annotations

import pytest

from tests.lab import meshes
from tests.lab.application import run_application
from tests.waiting import until

pytestmark = [pytest.mark.envoy, pytest.mark.slow, pytest.mark.lab]


@pytest.fixture(scope="module")
def running(fleet):
    git, (web,) = fleet("web")
    run_application(web.machine, "v1")
    git.push({"web.yaml": meshes.workload(web), "shop.yaml": meshes.service("shop", {"v1": web.machine.address})})
    web.configure(git)
    web.machine.systemctl("enable", "--now", "meshd")
    web.until_ready()
    return web


@pytest.fixture
def web(running):
    """As it was, after the test."""
    good = running.machine.read("/etc/meshd/meshd.yaml")
    yield running
    running.machine.write("/etc/meshd/meshd.yaml", good)
    running.machine.run("rm", "-rf", "/etc/systemd/system/meshd.service.d")
    running.machine.systemctl("daemon-reload")
    running.machine.systemctl("reset-failed", "meshd")
    running.machine.systemctl("restart", "meshd")
    running.until_ready()


def test_a_configuration_with_errors_fails_the_unit_at_once_and_its_status_has_the_line(web):
    good = web.machine.read("/etc/meshd/meshd.yaml")
    web.machine.write("/etc/meshd/meshd.yaml", f"{good}captur: nftables\n")

    assert web.machine.attempt("systemctl", "restart", "meshd").returncode != 0

    unit = web.machine.unit("meshd")
    assert (unit.state, unit["Result"], unit.restarts) == ("failed", "exit-code", 0)
    assert "/etc/meshd/meshd.yaml:5:1: " in unit["StatusText"]
    assert "did you mean 'capture'?" in unit["StatusText"]
    assert unit["StatusText"] in web.machine.attempt("systemctl", "status", "meshd").stdout
    assert web.get("http://shop.example/") == (200, "v1")


def test_a_crash_loop_ends_in_a_failed_unit_whose_status_says_why(web):
    """The number of tries is made small, so that the test is short; that there is one is a matter of the unit."""
    assert int(web.machine.unit("meshd")["StartLimitBurst"]) > 0
    assert int(web.machine.unit("meshd")["StartLimitIntervalUSec"].removesuffix("min")) > 0
    soon = "[Unit]\nStartLimitBurst=3\n[Service]\nRestartSec=10ms\n"
    web.machine.write("/etc/systemd/system/meshd.service.d/soon.conf", soon)
    web.machine.systemctl("daemon-reload")
    good = web.machine.read("/etc/meshd/meshd.yaml")
    web.machine.write("/etc/meshd/meshd.yaml", f"{good}stateDirectory: /proc/meshd\n")

    web.machine.attempt("systemctl", "restart", "meshd")

    until(lambda: web.machine.unit("meshd")["SubState"] == "failed", seconds=60, what="meshd to be given up")
    unit = web.machine.unit("meshd")
    assert unit.restarts == 3
    assert "cannot use /proc/meshd" in unit["StatusText"]
    assert "choose stateDirectory" in unit["StatusText"]
    said = [entry["MESSAGE"] for entry in web.machine.journal("-u", "meshd", "_PID=1")]
    assert any("Start request repeated too quickly" in line for line in said), said
    assert web.get("http://shop.example/") == (200, "v1")


RULE = "/usr/share/polkit-1/rules.d/50-meshd.rules"
FAULTS = {
    "masked": (
        ("systemctl", "mask", "meshd-envoy@sidecar"),
        ("systemctl", "unmask", "meshd-envoy@sidecar"),
        ("is masked", "systemctl unmask"),
    ),
    "not allowed": (
        ("mv", RULE, f"{RULE}.away"),
        ("mv", f"{RULE}.away", RULE),
        ("authentication required", "install the rule for polkit"),
    ),
    "without an Envoy": (
        ("mv", "/usr/lib/meshd-envoy", "/usr/lib/away"),
        ("mv", "/usr/lib/away", "/usr/lib/meshd-envoy"),
        ("its process ended with status 3: no Envoy", "journalctl -u meshd-envoy@sidecar"),
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_proxy_that_cannot_start_is_told_with_the_reason_and_what_to_do(running, fault):
    """By systemd itself over D-Bus, which says nothing of it in any language."""
    harm, repair, words = FAULTS[fault]
    running.machine.run(*harm)
    try:
        running.machine.systemctl("stop", "meshd-envoy@sidecar")
        running.meshd("sync")
        until(lambda: told(running, words), seconds=40, what=f"{words}: {running.status()['conditions']}")
    finally:
        running.machine.run(*repair)
    running.meshd("sync")
    running.until_ready()
    assert running.get("http://shop.example/") == (200, "v1")


def told(host, words):
    message = host.await_condition("ProxiesHealthy", "False")["message"]
    return all(each in message for each in words)


def test_a_system_bus_that_was_started_anew_is_found_again(running):
    running.machine.systemctl("restart", "dbus")

    running.machine.systemctl("stop", "meshd-envoy@sidecar")
    running.meshd("sync")

    running.until_ready()
    assert running.get("http://shop.example/") == (200, "v1")
