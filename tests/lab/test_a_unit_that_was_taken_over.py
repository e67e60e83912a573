"""Each unit with an intruder in the place of its program, in the sandbox that systemd makes for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.lab import meshes
from tests.lab.application import run_application
from tests.waiting import until

pytestmark = [pytest.mark.envoy, pytest.mark.slow, pytest.mark.lab]

NONE, NET_ADMIN = f"{0:016x}", f"{1 << 12:016x}"
SECRETS = ("/etc/meshd/secrets", "/etc/meshd/identity")
"""What the operator gives to the group of the proxies."""
_TAKEN_OVER = """\
[Service]
Type=oneshot
RemainAfterExit=no
Restart=no
WatchdogSec=0
Environment=HERE={here}
ExecStart=
ExecStart=/usr/bin/python3 /opt/intruder.py
ExecReload=
ExecStop=
ExecStopPost=
StandardOutput=truncate:/opt/found.json
"""


@pytest.fixture(scope="module")
def host(fleet):
    """In use, with secrets of others on it."""
    git, (web,) = fleet("web")
    machine = web.machine
    run_application(machine, "v1")
    machine.run("useradd", "--create-home", "ada")
    for path in ("/home/ada/letter", "/srv/ada/letter", "/tmp/letter", "/etc/meshd/credentials/token"):
        machine.write(path, "private", mode=0o600, owner="ada:ada")
    for path in ("/home/ada/open", "/tmp/open"):
        machine.write(path, "for everybody")
    revision = git.push(
        {"web.yaml": meshes.workload(web), "shop.yaml": meshes.service("shop", {"v1": machine.address})}
    )
    web.configure(git, "capture: nftables")
    machine.systemctl("enable", "--now", "meshd")
    web.await_revision(revision)
    machine.systemctl("enable", "--now", "meshd-capture")
    machine.copy_in(Path(__file__).with_name("intruder.py"), "/opt/intruder.py")
    return web


def taken_over(host, unit, here):
    """What the intruder found. The unit is itself again after this.

    It is never stopped without being started at once: meshd would start its proxies again, as what they were.
    """
    machine = host.machine
    machine.run("rm", "-f", "/opt/found.json")
    machine.write(f"/etc/systemd/system/{unit}.service.d/intruder.conf", _TAKEN_OVER.format(here=here))
    machine.systemctl("daemon-reload")
    try:
        machine.systemctl("restart", unit)
        return until(lambda: finished(machine), what="the intruder to have looked around")
    finally:
        machine.run("rm", "-r", f"/etc/systemd/system/{unit}.service.d")
        machine.systemctl("daemon-reload")
        machine.systemctl("restart", unit)


def finished(machine):
    """None while it is at it; meshd may have it look around once more."""
    try:
        return json.loads(machine.attempt("cat", "/opt/found.json").stdout)
    except json.JSONDecodeError:
        return None


def outside(paths, *allowed):
    return [path for path in paths if not any(path == each or path.startswith(f"{each}/") for each in allowed)]


def capabilities(found):
    return {found["status"][kind] for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}


def succeeded(found):
    return {name for name, how in found["attempts"].items() if how == "done"}


def test_an_intruder_in_meshd_is_alone_with_what_is_meshds(host):
    found = taken_over(host, "meshd", "/var/lib/meshd")

    assert outside(found["written"], "/var/lib/meshd", "/run/meshd", "/tmp", "/var/tmp") == []
    own = ("/var/lib/meshd", "/run/meshd", "/etc/meshd/id_ed25519")
    proxies = ("/run/meshd-envoy", "/var/log/meshd-envoy", *SECRETS)
    assert outside(found["read"], *own, *proxies) == []
    assert capabilities(found) == {NONE}
    assert succeeded(found) == set()


def test_an_intruder_in_the_proxy_reads_what_it_starts_with_and_writes_nothing_of_meshd(host):
    found = taken_over(host, "meshd-envoy@sidecar", "/run/meshd-envoy/sidecar")

    own = ("/run/meshd-envoy/sidecar", "/var/log/meshd-envoy")
    assert outside(found["written"], *own, "/tmp", "/var/tmp", "/dev/shm") == []
    started_with = ("/var/lib/meshd/bootstrap", "/var/lib/meshd/generations", "/run/meshd/xds")
    assert outside(found["read"], *own, *started_with, *SECRETS) == []
    assert capabilities(found) == {NONE}
    assert succeeded(found) == set()
    assert found["attempts"]["the control socket"] == "EACCES"


def test_an_intruder_in_the_capture_has_its_one_capability(host):
    found = taken_over(host, "meshd-capture", "/var/lib/meshd-capture")

    assert outside(found["written"], "/var/lib/meshd-capture", "/tmp", "/var/tmp") == []
    assert outside(found["read"], "/var/lib/meshd-capture") == []
    assert capabilities(found) == {NET_ADMIN}
    assert succeeded(found) == set()


def test_links_that_an_intruder_leaves_give_it_no_directory_at_the_next_start(host):
    """What is done for meshd as root, before it starts, is done in directories that are its own."""
    machine = host.machine
    machine.run("install", "-d", "-m", "700", "/etc/ours")
    planted = ("/var/lib/meshd/bootstrap", "/var/lib/meshd/generations", "/run/meshd/xds")
    for path in planted:
        machine.run("mv", path, f"{path}.aside")
        assert machine.as_user("meshd", "ln", "-s", "/etc/ours", path).returncode == 0
    try:
        machine.attempt("systemctl", "restart", "meshd")

        assert machine.run("stat", "-c", "%U:%G %a", "/etc/ours") == "root:root 700\n"
    finally:
        for path in planted:
            machine.run("sh", "-c", f"rm -rf {path}; if [ -e {path}.aside ]; then mv {path}.aside {path}; fi")
        machine.systemctl("restart", "meshd")


@pytest.mark.parametrize("unit", ["meshd", "meshd-envoy@sidecar"])
def test_what_runs_is_confined_as_the_intruder_was(host, unit):
    lines = host.machine.read(f"/proc/{host.machine.unit(unit).pid}/status").splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)

    assert {status[kind] for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {NONE}
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
