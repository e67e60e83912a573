"""Where the agent may read the mesh from, who may ask it, and whose connections are captured, under the units."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from tests.lab import meshes
from tests.lab.application import run_application
from tests.lab.installation import Host
from tests.lab.local_repository import as_owner, local_repository
from tests.lab.network import GATEWAY
from tests.lab.outside import answering
from tests.lab.packages import installed
from tests.live.certificates import authority, server_context
from tests.source.http_backend import http_server
from tests.source.repositories import a_repository

pytestmark = [pytest.mark.envoy, pytest.mark.slow, pytest.mark.lab]

SIX = "fd77::11"
GATEWAY_SIX, SPARED_SIX = "fd77::1", "fd77::2"
SPARED = "10.77.0.2"
TOKEN = """\
[Service]
LoadCredential=token:/etc/meshd/credentials/token
"""


@pytest.fixture(scope="module")
def host(lab, tree, built):
    """Its configuration is the tests' own; `ada` is a user of no importance, `grace` one of the operators."""
    (machine,) = lab.boot({"web": installed(tree, built)})
    run_application(machine, "v1")
    for user in ("ada", "grace"):
        machine.run("useradd", "--create-home", user)
    machine.run("usermod", "--append", "--groups", "meshd", "grace")
    return Host(machine)


@pytest.fixture(scope="module")
def repository(host):
    return local_repository(host.machine)


def mesh(host: Host) -> dict[str, str]:
    six = meshes.workload(host).replace(host.machine.address, SIX).replace(f"name: {host.name}", "name: six")
    return {
        "web.yaml": meshes.workload(host),
        "six.yaml": six.replace("metadata: {", f"metadata: {{annotations: {{meshd.io/host: {host.name}}}, "),
        "shop.yaml": meshes.service("shop", {"v1": host.machine.address}),
    }


def configured(host: Host, *lines: str, drop_in: str = "") -> None:
    """And meshd started with it."""
    machine = host.machine
    machine.write("/etc/meshd/meshd.yaml", "".join(f"{line}\n" for line in ("repository:", *lines)))
    machine.write("/etc/systemd/system/meshd.service.d/test.conf", drop_in)
    machine.systemctl("daemon-reload")
    machine.systemctl("restart", "meshd")


def refused(host: Host) -> str:
    return str(host.await_condition("FetchFailed", "True")["message"])


# --- sources ------------------------------------------------------------------------------------------------------


def test_a_repository_of_another_user_is_read_and_watched_once_the_system_trusts_it(host, repository):
    machine = host.machine
    first = repository.push(mesh(host))
    configured(host, f"  url: {repository.path}")
    assert f"safe.directory {repository.path}" in refused(host).replace("PATH", repository.path)

    machine.run("git", "-C", "/", "config", "--system", "--add", "safe.directory", repository.path)
    assert host.meshd("sync").returncode == 0

    host.await_revision(first)
    host.await_revision(repository.push({}))


def test_a_repository_below_home_takes_the_documented_drop_in(host, repository):
    machine, home = host.machine, "/home/deploy/mesh.git"
    as_owner(machine, "git", "-C", "/", "clone", "--quiet", "--bare", repository.path, home)
    machine.run("git", "-C", "/", "config", "--system", "--add", "safe.directory", home)
    configured(host, f"  url: file://{home}")
    assert "ProtectHome=read-only" in refused(host)

    machine.run("chmod", "o+x", "/home/deploy")
    configured(host, f"  url: file://{home}", drop_in="[Service]\nProtectHome=read-only\n")

    host.await_condition("FetchFailed", "False")


def test_https_with_an_authority_of_the_house_and_a_token_of_systemd(host, lab, tmp_path):
    remote = a_repository(tmp_path)
    revision = remote.push(mesh(host))
    house = authority(tmp_path, "house CA")
    served = http_server(tmp_path, "fleet:s3cret", server_context(house.signed("git", f"IP:{GATEWAY}")), GATEWAY)
    lines = ("  username: fleet", "  passwordFile: /run/credentials/meshd.service/token")
    host.machine.write("/etc/meshd/credentials/token", "s3cret\n", mode=0o600)
    host.machine.copy_in(house.file, "/etc/meshd/house.pem")
    with ExitStack() as stack:
        url = f"  url: https://{lab.network.within(served.__enter__)}/mesh.git"
        stack.push(served)
        configured(host, url, *lines, drop_in=TOKEN)
        assert "repository.caFile" in refused(host)

        configured(host, url, *lines, "  caFile: /etc/meshd/house.pem", drop_in=TOKEN)

        host.await_revision(revision)


# --- callers ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def serving(host, repository):
    configured(host, f"  url: {repository.path}")
    host.await_revision(repository.push({}))
    host.until_ready()
    return host


@pytest.mark.parametrize("words", ["status", "sync", "reload", "endpoints", "wait abcd"])
def test_who_may_not_ask_the_daemon_is_told_who_may(serving, words):
    done = serving.machine.as_user("ada", "meshd", *words.split())

    assert done.returncode == 3
    assert "be root or a member of group meshd" in done.stderr


@pytest.mark.parametrize("user", ["root", "grace"])
@pytest.mark.parametrize("words", ["status", "sync", "reload", "endpoints"])
def test_root_and_the_group_may(serving, user, words):
    done = serving.machine.as_user(user, "meshd", *words.split())

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("validate /tmp/shop.yaml --isolated", 0, "valid"),
        ("render --repo /srv/mesh.git --host web -o plan", 0, "proxy: sidecar"),
        ("capture show", 0, "capture: none"),
        ("envoy path", 0, "/usr/lib/meshd-envoy/envoy"),
        ("capture apply", 3, "run as root, or by the unit"),
        ("capture remove", 3, "CAP_NET_ADMIN"),
        ("envoy reload sidecar", 3, "no permission to act in /run/meshd-envoy/sidecar; as root: `systemctl"),
        ("envoy stop sidecar", 3, "no permission to act in /run/meshd-envoy/sidecar; as root: `systemctl"),
        ("run", 3, "run as the user of the unit"),
    ],
)
def test_what_needs_no_daemon_does_what_the_user_may(serving, words, code, said):
    serving.machine.write("/tmp/shop.yaml", meshes.service("shop", {"v1": "10.0.0.1"}))

    done = serving.machine.as_user("ada", "meshd", *words.split())

    assert done.returncode == code, done.stdout + done.stderr
    assert said in done.stdout + done.stderr


# --- capture ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def captured(host, lab, repository):
    """All but what a user and two addresses are spared. Who is not captured reaches a server that says so."""
    machine = host.machine
    for address in (f"{SPARED}/24", f"{GATEWAY_SIX}/64", f"{SPARED_SIX}/64"):
        lab.network.run("ip", "address", "add", address, "dev", "lab", *(["nodad"] if ":" in address else []))
    machine.run("ip", "address", "add", f"{SIX}/64", "dev", "eth0", "nodad")
    lists = f"  excludeOutboundUsers: [grace]\n  excludeOutboundIPRanges: [{SPARED}, '{SPARED_SIX}']"
    with answering(lab.network, "direct", 80, address="::"):
        configured(host, f"  url: {repository.path}", "capture: nftables", "nftables:", lists)
        host.await_revision(repository.push({}))
        host.until_ready()
        machine.systemctl("start", "meshd-capture")
        host.await_condition("Captured", "True")
        yield host
        machine.systemctl("stop", "meshd-capture")


@pytest.mark.parametrize("address", [GATEWAY, f"[{GATEWAY_SIX}]"])
def test_connections_of_both_families_are_captured(captured, address):
    asked = ("curl", "-s", "-m", "5", "-H", "Host: shop.example", f"http://{address}/")

    assert captured.machine.as_user("ada", *asked).stdout == "v1"


@pytest.mark.parametrize(
    ("user", "address"),
    [("grace", GATEWAY), ("grace", f"[{GATEWAY_SIX}]"), ("ada", SPARED), ("ada", f"[{SPARED_SIX}]")],
)
def test_users_and_addresses_that_are_excluded_go_past_the_sidecar(captured, user, address):
    asked = ("curl", "-s", "-m", "5", "-H", "Host: shop.example", f"http://{address}/")

    assert captured.machine.as_user(user, *asked).stdout == "direct"
