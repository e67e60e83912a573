"""What an operator and a fault do to meshd and to its proxy while requests go on: none of them fails."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.lab import meshes
from tests.lab.application import run_application
from tests.lab.load import no_request_fails
from tests.waiting import until

pytestmark = [pytest.mark.envoy, pytest.mark.slow, pytest.mark.lab]


@pytest.fixture(scope="module")
def running(fleet):
    git, (web,) = fleet("web")
    run_application(web.machine, "v1")
    revision = git.push(
        {
            "web.yaml": meshes.workload(web),
            "shop.yaml": meshes.service("shop", {"v1": web.machine.address}),
        }
    )
    web.configure(git, "  poll: 1s")
    web.machine.systemctl("enable", "--now", "meshd")
    web.await_revision(revision)
    web.until_ready()
    return git, web


def test_meshd_is_reloaded(running):
    _git, web = running

    with no_request_fails(web):
        web.machine.systemctl("reload", "meshd")

    web.until_ready()


def test_a_reload_with_errors_in_the_configuration_fails_and_says_where(running):
    _git, web = running
    good = web.machine.read("/etc/meshd/meshd.yaml")
    web.machine.write("/etc/meshd/meshd.yaml", good + "capture: all\n")

    with no_request_fails(web):
        done = web.machine.attempt("systemctl", "reload", "meshd")

    assert done.returncode != 0
    said = [entry["MESSAGE"] for entry in web.machine.journal("-u", "meshd", "-n", "20")]
    assert any("meshd.yaml:6:10" in line for line in said), said
    web.machine.write("/etc/meshd/meshd.yaml", good)
    web.machine.systemctl("reload", "meshd")


def test_meshd_is_restarted(running):
    _git, web = running
    envoy = web.machine.unit("meshd-envoy@sidecar").pid

    with no_request_fails(web):
        web.machine.systemctl("restart", "meshd")
        web.until_ready()

    assert web.machine.unit("meshd-envoy@sidecar").pid == envoy


def test_a_push_goes_on_while_meshd_is_restarted(running):
    git, web = running

    with no_request_fails(web):
        revision = git.push({"more.yaml": meshes.service("more", {"v1": web.machine.address})})
        web.machine.systemctl("restart", "meshd")
        web.await_revision(revision)

    assert web.get("http://more.example/") == (200, "v1")


def test_the_proxy_is_reloaded_into_a_new_process(running):
    _git, web = running
    envoy = web.machine.unit("meshd-envoy@sidecar").pid

    with no_request_fails(web):
        web.machine.systemctl("reload", "meshd-envoy@sidecar")

    unit = web.machine.unit("meshd-envoy@sidecar")
    assert unit.state == "active"
    assert unit.pid != envoy
    assert unit.restarts == 0


def test_a_new_bootstrap_is_a_new_process(running):
    """Where a workload stands is in the bootstrap: meshd asks systemd to reload the unit."""
    git, web = running
    envoy = web.machine.unit("meshd-envoy@sidecar").pid

    with no_request_fails(web):
        entry = meshes.workload(web).replace("address:", "locality: eu/eu-1/a, address:")
        web.await_revision(git.push({"web.yaml": entry}))
        until(lambda: web.machine.unit("meshd-envoy@sidecar").pid != envoy, what="a new process")
        web.machine.await_unit("meshd-envoy@sidecar", "active")

    until(lambda: web.status()["ready"], what="ready")
    assert web.machine.unit("meshd-envoy@sidecar").restarts == 0


def test_a_meshd_that_hangs_is_killed_and_started_again(running):
    _git, web = running
    web.machine.write("/etc/systemd/system/meshd.service.d/soon.conf", "[Service]\nWatchdogSec=2\n")
    web.machine.systemctl("daemon-reload")
    web.machine.systemctl("restart", "meshd")
    hung = web.machine.unit("meshd")

    with no_request_fails(web):
        web.machine.kill(hung.pid, signal.SIGSTOP)
        until(lambda: web.machine.unit("meshd").restarts > hung.restarts, seconds=60, what="systemd to start it again")
        web.machine.await_unit("meshd", "active")
        web.until_ready()

    said = [entry["MESSAGE"] for entry in web.machine.journal("-u", "meshd", "_PID=1")]
    assert any("Watchdog timeout" in line for line in said), said
    web.machine.run("rm", "/etc/systemd/system/meshd.service.d/soon.conf")
    web.machine.systemctl("daemon-reload")
    web.machine.systemctl("restart", "meshd")


@pytest.fixture
def too_little_memory():
    """A group of the host's kernel that has none left for who is put into it."""
    group = Path(f"/sys/fs/cgroup/memory/meshd-lab-{os.getpid()}-oom")
    if not (group.parent / "memory.limit_in_bytes").exists():
        group = Path(f"/sys/fs/cgroup/meshd-lab-{os.getpid()}-oom")
    group.mkdir()
    limit = "memory.limit_in_bytes" if (group / "memory.limit_in_bytes").exists() else "memory.max"
    (group / limit).write_text("1M")
    yield group
    until(lambda: not (group / "cgroup.procs").read_text(), what="nobody in it")
    group.rmdir()


def test_a_meshd_that_the_kernel_kills_for_its_memory_is_started_again(running, too_little_memory):
    _git, web = running
    web.until_ready()
    before = web.machine.unit("meshd")

    with no_request_fails(web):
        (too_little_memory / "cgroup.procs").write_text(str(web.machine.outer_pid(before.pid)))
        until(lambda: web.meshd("status") and web.machine.unit("meshd").restarts > before.restarts, what="its end")
        web.machine.await_unit("meshd", "active")
        web.until_ready()

    said = [entry["MESSAGE"] for entry in web.machine.journal("-u", "meshd", "_PID=1")]
    assert any("status=9/KILL" in line for line in said), said


def test_a_proxy_that_dies_is_started_again_and_gets_everything(running):
    _git, web = running
    envoy = web.machine.unit("meshd-envoy@sidecar")

    web.machine.kill(envoy.pid, signal.SIGKILL)

    until(lambda: web.machine.unit("meshd-envoy@sidecar").restarts > envoy.restarts, what="a restart")
    until(lambda: web.get("http://shop.example/") == (200, "v1"), what="an answer")
    web.until_ready()
