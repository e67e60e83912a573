"""The packages on a host that carries traffic: an upgrade loses no request, and a removal leaves nothing behind."""

from __future__ import annotations

import pytest

from tests.lab import meshes
from tests.lab.application import run_application
from tests.lab.git_server import git_server
from tests.lab.installation import Host, install
from tests.lab.test_no_request_is_lost import no_request_fails
from tests.waiting import until

pytestmark = [pytest.mark.envoy, pytest.mark.slow, pytest.mark.lab]

_EVERYTHING = r"find /etc /home /opt /root /run /srv /tmp /usr /var -xdev -printf '%y %p\n'"
_OTHERS = (
    *(
        "/var/lib/dpkg",
        "/var/log",
        "/var/cache",
        "/var/lib/systemd",
        "/var/tmp/systemd-",
        "/tmp/systemd-",
        "/run/systemd",
    ),
    *("/run/user", "/run/udev", "/run/lock", "/run/log", "/run/dbus", "/run/nscd", "/var/lib/polkit", "/root/.cache"),
)
"""What the rest of a machine writes while it runs, and dpkg about what it did."""
_ACCOUNTS = {"/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-", "/etc/.pwd.lock"}
"""Backups of the lists that have the users, which stay."""


@pytest.fixture(scope="module")
def serving(lab, tree, built, tmp_path_factory):
    """A host with the packages, whose application calls itself through the sidecar; and what was there before them."""
    server, fresh = lab.boot({"git": (tree,), "web": (tree,)})
    git, web = git_server(server, tmp_path_factory.mktemp("developer")), Host(fresh)
    run_application(web.machine, "v1")
    run_application(server, "a-stranger")
    before = files_of(web)
    install(web.machine, built.meshd, built.envoy)
    mesh = {"web.yaml": meshes.workload(web), "shop.yaml": meshes.service("shop", {"v1": web.machine.address})}
    revision = git.push(mesh)
    return git, web, revision, before


def files_of(host):
    found = host.machine.run("sh", "-c", _EVERYTHING).splitlines()
    return {line for line in found if not line.partition(" ")[2].startswith(_OTHERS)}


def processes(host):
    return host.machine.run("ps", "-eo", "user:20,args")


def test_a_fresh_package_starts_nothing_and_fails_nothing(serving):
    _git, web, _revision, _before = serving

    assert web.machine.unit("meshd").state == "inactive"
    assert web.machine.unit("meshd")["UnitFileState"] == "disabled"
    assert web.machine.run("systemctl", "list-units", "--failed", "--plain", "--no-legend", "meshd*") == ""
    assert web.machine.run("stat", "-c", "%a %U:%G", "/etc/meshd/secrets", "/etc/meshd/credentials").split("\n")[
        :2
    ] == [
        "750 root:meshd-envoy",
        "700 root:root",
    ]


def test_units_of_another_installation_are_refused_beside_those_of_the_package(serving):
    _git, web, _revision, _before = serving

    done = web.meshd("install-units")

    assert done.returncode == 1
    assert "a package has its units here already" in done.stderr


def test_without_a_configuration_a_start_fails_at_once_and_says_what_is_missing(serving):
    _git, web, _revision, _before = serving

    done = web.machine.attempt("systemctl", "start", "meshd")

    assert done.returncode != 0
    assert web.machine.unit("meshd").state == "failed"
    assert any("/etc/meshd/meshd.yaml" in entry["MESSAGE"] for entry in web.machine.journal("-u", "meshd"))
    web.machine.systemctl("reset-failed", "meshd")


def test_the_example_drop_in_hands_the_key_over(serving):
    git, web, revision, _before = serving
    web.configure(git, "  poll: 1s")
    text = web.machine.read("/etc/meshd/meshd.yaml")
    web.machine.run("install", "-m", "600", "/etc/meshd/id_ed25519", "/etc/meshd/credentials/ssh-key")
    web.machine.run("rm", "/etc/meshd/id_ed25519")
    web.machine.write(
        "/etc/meshd/meshd.yaml", text.replace("/etc/meshd/id_ed25519", "/run/credentials/meshd.service/ssh-key")
    )
    web.machine.run("cp", "-rT", "/usr/share/doc/meshd/examples/systemd", "/etc/systemd/system")
    web.machine.run("rm", "/etc/systemd/system/meshd.service.d/notify-reload.conf")  # this systemd is older
    web.machine.systemctl("daemon-reload")

    web.machine.systemctl("enable", "--now", "meshd")

    web.await_revision(revision)
    assert web.until_ready()["ready"]
    assert web.get("http://shop.example/") == (200, "v1")


def test_an_upgrade_restarts_the_agent_alone_and_loses_no_request(serving, built):
    _git, web, _revision, _before = serving
    agent, proxy = (web.machine.unit(name).pid for name in ("meshd", "meshd-envoy@sidecar"))

    with no_request_fails(web):
        install(web.machine, built.next)
        web.until_ready()

    assert web.machine.unit("meshd").pid != agent
    assert web.machine.unit("meshd-envoy@sidecar").pid == proxy
    assert web.machine.run("dpkg-query", "-f", "${Version}", "-W", "meshd").startswith("0.1.0-2")


def test_another_envoy_takes_over_from_the_running_one_and_loses_no_request(serving, built):
    """The same version, installed again: the file is another one all the same."""
    _git, web, _revision, _before = serving
    proxy = web.machine.unit("meshd-envoy@sidecar").pid

    with no_request_fails(web):
        install(web.machine, built.envoy)
        until(lambda: web.machine.unit("meshd-envoy@sidecar").pid != proxy, what="another process")

    unit = web.machine.unit("meshd-envoy@sidecar")
    assert unit.restarts == 0
    assert web.machine.run("readlink", f"/proc/{unit.pid}/exe").strip() == "/usr/lib/meshd-envoy/envoy"


def test_stopping_the_target_stops_all_and_the_table_first(serving):
    _git, web, _revision, _before = serving
    captured(web)

    web.machine.systemctl("stop", "meshd.target")

    assert {name: web.machine.unit(name).state for name in ("meshd", "meshd-capture", "meshd-envoy@sidecar")} == {
        "meshd": "inactive",
        "meshd-capture": "inactive",
        "meshd-envoy@sidecar": "inactive",
    }
    told = web.machine.run("journalctl", "--output=cat", "_PID=1")
    assert told.rindex("Stopped meshd-capture.service") < told.rindex("Stopped meshd-envoy@sidecar.service")
    assert goes_directly(web)
    web.machine.systemctl("start", "meshd")
    web.until_ready()


def captured(web):
    text = web.machine.read("/etc/meshd/meshd.yaml").replace("capture: nftables\n", "")
    web.machine.write("/etc/meshd/meshd.yaml", f"{text}capture: nftables\n")
    web.machine.systemctl("reload", "meshd")
    web.machine.systemctl("enable", "--now", "meshd-capture")
    assert not goes_directly(web)


def goes_directly(web):
    """A call to where the mesh knows nobody: the sidecar would refuse it (502), and the kernel redirects nothing."""
    done = web.machine.as_user("nobody", "curl", "-s", "-m", "5", "http://git.lab:8080/")
    return done.stdout == "a-stranger" and "meshd" not in web.machine.run("nft", "list", "tables")


def test_a_removal_ends_everything_and_captured_connections_go_directly_again(serving):
    _git, web, _revision, _before = serving
    captured(web)

    web.machine.run("dpkg", "--remove", "meshd", "meshd-envoy", seconds=180)

    assert goes_directly(web)
    assert [line for line in processes(web).splitlines() if line.startswith("meshd") or "envoy" in line] == []
    assert (
        web.machine.run(
            "systemctl", "list-units", "--state=active,activating,failed", "--plain", "--no-legend", "meshd*"
        )
        == ""
    )
    assert web.machine.attempt("test", "-e", "/etc/meshd/meshd.yaml").returncode == 0  # for who installs it again


def test_a_purge_leaves_nothing_but_the_users(serving):
    _git, web, _revision, before = serving
    web.machine.run("rm", "-r", "/etc/systemd/system/meshd.service.d")  # the operator's own
    web.machine.run("sh", "-c", "rm -f /opt/*.deb")

    web.machine.run("dpkg", "--purge", "meshd", "meshd-envoy")

    left = {line.partition(" ")[2] for line in files_of(web) - before} - _ACCOUNTS
    assert left == set()
    assert "meshd-envoy" in web.machine.read("/etc/passwd")
