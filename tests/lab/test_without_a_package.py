"""`meshd install-units`: the same service for who installed meshd otherwise, and its end."""

from __future__ import annotations

import pytest

from tests.lab import meshes
from tests.lab.application import run_application
from tests.lab.git_server import git_server
from tests.lab.installation import Host

pytestmark = [pytest.mark.envoy, pytest.mark.slow, pytest.mark.lab]

MESHD = "/opt/meshd/bin/meshd"


@pytest.fixture(scope="module")
def host(lab, tree, built, tmp_path_factory):
    """A meshd of /opt, as `pipx install --global` or an image of one's own has it: a bundle, an Envoy, and no unit."""
    server, fresh = lab.boot({"git": (tree,), "web": (tree,)})
    for package in (built.meshd, built.envoy):
        fresh.copy_in(package, f"/opt/{package.name}")
        fresh.run("dpkg-deb", "--extract", f"/opt/{package.name}", "/opt/unpacked")
    fresh.run("mv", "/opt/unpacked/usr/lib/meshd", "/opt/meshd")
    fresh.run("sed", "-i", "1s,/usr/lib/meshd,/opt/meshd,", MESHD)
    fresh.run("mv", "/opt/unpacked/usr/lib/meshd-envoy", "/usr/lib/meshd-envoy")
    return git_server(server, tmp_path_factory.mktemp("developer")), Host(fresh)


def test_units_are_written_and_the_mesh_is_served(host):
    git, web = host
    run_application(web.machine, "v1")
    mesh = {"web.yaml": meshes.workload(web), "shop.yaml": meshes.service("shop", {"v1": web.machine.address})}
    revision = git.push(mesh)

    said = web.machine.run(MESHD, "install-units")
    web.configure(git)
    web.machine.systemctl("enable", "--now", "meshd")

    assert "systemctl enable --now meshd" in said
    web.machine.run(MESHD, "wait", revision, "--timeout", "40")
    assert web.get("http://shop.example/") == (200, "v1")
    assert f"path={MESHD}" in web.machine.unit("meshd")["ExecStart"]


def test_twice_is_once(host):
    _git, web = host

    said = web.machine.run(MESHD, "install-units")

    assert {line.split()[0] for line in said.splitlines() if "/lib/" in line} == {"same"}
    assert "systemctl restart meshd" in said


def test_units_go_with_all_that_they_started(host):
    """With a proxy that was to start at each boot, too: its link would lead nowhere."""
    _git, web = host
    web.machine.systemctl("enable", "meshd-envoy@sidecar")

    web.machine.run(MESHD, "install-units", "--uninstall", seconds=120)

    assert web.get("http://shop.example/") == (0, "")
    assert [line for line in web.machine.run("ps", "-eo", "user:20").split() if line.startswith("meshd")] == []
    assert web.machine.attempt("systemctl", "list-unit-files", "--plain", "--no-legend", "meshd*").stdout == ""
    assert web.machine.run("sh", "-c", "find /usr/local /etc/systemd /etc/polkit-1 -name '*meshd*'") == ""
    assert web.machine.run("find", "/etc/systemd/system", "-name", "meshd*") == ""
