"""Five machines of one mesh: a push over ssh moves the traffic of all of them, and who is cut off keeps his."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager

import pytest

from tests.lab import meshes
from tests.lab.application import run_application
from tests.system.wrk import Wrk
from tests.waiting import until

pytestmark = [pytest.mark.envoy, pytest.mark.slow, pytest.mark.lab]


@pytest.fixture(scope="module")
def five(fleet):
    """git, web, two of api with a version each, and a gateway at the edge. All serve v1."""
    git, hosts = fleet("web", "api-1", "api-2", "edge")
    web, first, second, edge = hosts
    for host, version in ((first, "v1"), (second, "v2")):
        run_application(host.machine, version)
    endpoints = {"v1": first.machine.address, "v2": second.machine.address}
    revision = git.push(
        {
            "hosts/web.yaml": meshes.workload(web),
            "hosts/api-1.yaml": meshes.workload(first, app="api", version="v1"),
            "hosts/api-2.yaml": meshes.workload(second, app="api", version="v2"),
            "hosts/edge.yaml": meshes.workload(edge, istio="ingressgateway"),
            "api.yaml": meshes.service("api", endpoints),
            "edge.yaml": meshes.gateway("edge", istio="ingressgateway"),
            "route.yaml": meshes.all_to("api", "v1", "edge"),
        }
    )
    for host in hosts:
        host.configure(git, "  poll: 1s", "  timeout: 5s")
        host.machine.systemctl("enable", "--now", "--no-block", "meshd")
    for host in hosts:
        until(lambda host=host: host.machine.unit("meshd").state == "active", seconds=60, what=f"meshd of {host.name}")
        host.await_revision(revision)
        host.until_ready()
    return git, web, first, second, edge


def inside(host):
    return host.get("http://api.example/")


def from_outside(five):
    """A caller who is in no mesh, at the gateway's port 80."""
    git, *_, edge = five
    command = ("curl", "-s", "-m", "10", "-w", "\n%{http_code}", "-H", "Host: api.example")
    body, _, code = git.machine.run(*command, f"http://{edge.machine.address}/").rpartition("\n")
    return int(code), body


def move(five, version):
    git, *hosts = five
    revision = git.push({"route.yaml": meshes.all_to("api", version, "edge")}, f"all to {version}")
    for host in hosts:
        host.await_revision(revision)
    return revision


@contextmanager
def load_everywhere(five):
    """On the calling host and through the gateway; no request of either may fail."""
    git, web, *_, edge = five
    with ExitStack() as stack:
        inner = stack.enter_context(Wrk(15080, "api.example", within=web.machine.network.command()))
        outer = Wrk(80, "api.example", address=edge.machine.address, within=git.machine.network.command())
        stack.enter_context(outer)
        yield
        counts = inner.stop(), outer.stop()
    for count in counts:
        assert count.requests > 0
        assert count.failed == 0, count.text


def test_a_push_over_ssh_moves_the_traffic_of_all_hosts(five):
    _git, web, first, second, _edge = five
    move(five, "v1")
    assert [inside(host) for host in (web, first, second)] == [(200, "v1")] * 3
    assert from_outside(five) == (200, "v1")

    with load_everywhere(five):
        move(five, "v2")

        assert [inside(host) for host in (web, first, second)] == [(200, "v2")] * 3
        assert from_outside(five) == (200, "v2")


def test_who_is_cut_off_from_git_keeps_what_it_has_and_catches_up(five):
    git, web, first, *_ = five
    move(five, "v1")
    web.machine.cut(git.machine)
    web.await_condition("FetchFailed", "True")

    missed = git.push({"route.yaml": meshes.all_to("api", "v2", "edge")})
    first.await_revision(missed)

    assert inside(first) == (200, "v2")
    assert inside(web) == (200, "v1")
    assert web.status()["ready"] is True
    web.machine.join(git.machine)
    web.await_revision(missed)
    assert inside(web) == (200, "v2")


def test_a_revision_with_an_error_is_refused_by_all_and_costs_no_traffic(five):
    git, *hosts = five
    good = move(five, "v1")

    with load_everywhere(five):
        bad = git.push({"route.yaml": meshes.all_to("api", "v9", "edge")})
        for host in hosts:
            assert host.meshd("wait", bad, "--timeout", "30").returncode == 1

    for host in hosts:
        status = host.status()
        assert status["revision"]["active"]["id"] == good
        assert status["revision"]["rejected"]["id"] == bad
    assert from_outside(five) == (200, "v1")


def test_the_gateway_serves_a_low_port_as_a_user_without_any_other_right(five):
    *_, edge = five
    pid = edge.machine.unit("meshd-envoy@gateway").pid
    status = dict(
        line.split(":\t", 1) for line in edge.machine.read(f"/proc/{pid}/status").splitlines() if ":\t" in line
    )

    assert status["CapBnd"] == status["CapEff"] == f"{1 << 10:016x}"
    assert status["NoNewPrivs"] == "1"
