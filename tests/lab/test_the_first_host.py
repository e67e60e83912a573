"""A fresh machine, from the installation to the first revision, and through boots without git and DNS."""

from __future__ import annotations

import pytest

from tests.lab import meshes
from tests.lab.application import run_application
from tests.lab.git_server import git_server
from tests.lab.installation import Host, install
from tests.waiting import until

pytestmark = [pytest.mark.envoy, pytest.mark.slow, pytest.mark.lab]


@pytest.fixture(scope="module")
def first(lab, tree, built, tmp_path_factory):
    """A host that serves its first revision, four lines of configuration after its packages were installed."""
    server, fresh = lab.boot({"git": (tree,), "web": (tree,)})
    git, web = git_server(server, tmp_path_factory.mktemp("developer")), Host(fresh)
    install(fresh, built.meshd, built.envoy)
    run_application(web.machine, "v1")
    mesh = {"web.yaml": meshes.workload(web), "shop.yaml": meshes.service_by_name("shop", "web.lab")}
    revision = git.push(mesh)
    web.configure(git)
    web.machine.systemctl("enable", "--now", "meshd")
    return git, web, revision


@pytest.fixture
def alone(first, lab):
    """Neither the git server nor DNS answers, for as long as the test runs."""
    git, web, revision = first
    git.machine.cut()
    lab.dns.silent = True
    yield web, revision
    git.machine.join()
    lab.dns.silent = False


def serves(host, answer=(200, "v1")):
    return until(lambda: host.get("http://shop.example/") == answer, what=f"{answer} at {host.name}\n{host.log()}")


def test_four_lines_and_one_command_and_the_sidecar_serves_the_first_revision(first, record_property):
    _git, web, revision = first

    assert web.get("http://shop.example/") == (200, "v1")

    status = web.until_ready()
    assert status["revision"]["active"]["id"] == revision
    unit = web.machine.unit("meshd")
    took = int(unit["ActiveEnterTimestampMonotonic"]) - int(unit["InactiveExitTimestampMonotonic"])
    record_property("seconds from the unit's start to the first revision", took / 1e6)


def test_of_a_gateway_that_this_host_does_not_have_nothing_is_said(first):
    _git, web, _revision = first

    events = {entry.get("MESHD_EVENT") for entry in web.machine.journal("-u", "meshd")}

    assert "proxy.started" in events
    assert "proxy.stopped" not in events


def test_a_boot_without_git_and_dns_serves_what_was_last_known_to_be_good(alone):
    web, revision = alone

    web.machine.reboot()

    serves(web)
    status = web.until_ready()
    assert status["revision"]["active"]["id"] == revision
    assert web.await_condition("FetchFailed", "True")["reason"] == "RepositoryUnreachable"
    assert web.machine.unit("meshd").state == "active"


def test_a_power_failure_without_git_and_dns_is_a_boot_like_any_other(alone):
    web, revision = alone

    web.machine.lose_power()
    web.machine.start()
    web.machine.await_boot()

    serves(web)
    assert web.until_ready()["revision"]["active"]["id"] == revision


def test_a_boot_without_meshd_serves_what_was_last_known_to_be_good(alone):
    web, _revision = alone
    web.machine.systemctl("enable", "meshd-envoy@sidecar")
    web.machine.systemctl("mask", "meshd")

    web.machine.reboot()

    serves(web)
    assert web.machine.unit("meshd-envoy@sidecar")["StatusText"] == "LIVE (fallback)"
    web.machine.systemctl("unmask", "meshd")
    web.machine.systemctl("start", "meshd")
    web.until_ready()
    assert web.machine.unit("meshd-envoy@sidecar")["StatusText"] == "LIVE (xds), epoch 1"


def test_what_was_pushed_meanwhile_comes_when_git_is_back(first):
    git, web, _revision = first
    git.machine.cut(web.machine)
    revision = git.push({"new.yaml": meshes.service_by_name("new", "web.lab")})
    web.machine.reboot()
    web.until_ready()
    assert web.status()["revision"]["active"]["id"] != revision

    git.machine.join(web.machine)

    web.await_revision(revision)
    assert web.get("http://new.example/") == (200, "v1")
