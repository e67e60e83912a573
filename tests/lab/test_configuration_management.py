"""examples/ansible and examples/cloud-init do what they say, on hosts that have the packages."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.lab import meshes

pytestmark = [pytest.mark.envoy, pytest.mark.slow, pytest.mark.lab]

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(scope="module")
def hosts(fleet):
    git, (one, other) = fleet("web", "api")
    mesh = {f"{host.name}.yaml": meshes.workload(host) for host in (one, other)}
    return git, one, other, git.push(mesh | {"shop.yaml": meshes.service("shop", {"v1": one.machine.address})})


@pytest.fixture
def play(hosts, tmp_path, short_tmp):
    """Runs the role as its page says, over ssh as root; returns how many changes there were, or all it said."""
    git, web, _other, _revision = hosts
    if shutil.which("ansible-playbook") is None:
        pytest.skip("NO ANSIBLE: apt-get install ansible-core")
    key = tmp_path / "operator"
    subprocess.run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key), check=True)
    web.machine.write("/root/.ssh/authorized_keys", key.with_suffix(".pub").read_text(), mode=0o600)
    web.machine.run("ssh-keygen", "-A")
    web.machine.systemctl("unmask", "ssh")
    web.machine.systemctl("start", "ssh")

    connection = short_tmp / "ssh"  # of all tasks: a socket's path has to be short
    environment = {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_PIPELINING": "1", "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}

    def run(*words, refused=False, **variables):
        playbook = tmp_path / "site.yaml"
        role = {"role": str(EXAMPLES / "ansible/roles/meshd"), "meshd_packages": [], **variables}
        role |= {"meshd_repository_url": git.url, "meshd_ssh_key": git.agent_key, "meshd_known_hosts": git.known_hosts}
        playbook.write_text(json.dumps([{"hosts": "all", "roles": [role]}]))
        (tmp_path / "inventory").write_text(
            f"web ansible_host={web.machine.address} ansible_user=root ansible_ssh_private_key_file={key} "
            "ansible_ssh_common_args='-F none -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null' "
            f"ansible_ssh_args='-o ControlMaster=auto -o ControlPersist=1m -o ControlPath={connection}' "
            "ansible_python_interpreter=/usr/bin/python3\n"
        )
        done = subprocess.run(
            web.machine.lab.command("ansible-playbook", *words, "-i", str(tmp_path / "inventory"), str(playbook)),
            env={**os.environ, **environment},
            cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        assert (done.returncode != 0) == refused, f"{done.stdout[-6000:]}{done.stderr}\n{web.log()}"
        return done.stdout if refused else int(re.findall(r"^web .* changed=(\d+) ", done.stdout, re.MULTILINE)[0])

    yield run
    subprocess.run(("ssh", "-F", "none", "-O", "exit", "-S", connection, "web"), check=True)


def test_the_role_makes_a_host_of_the_mesh_and_changes_nothing_the_second_time(hosts, play):
    _git, web, _other, revision = hosts
    foretold = play("--check")
    assert web.machine.attempt("test", "-e", "/etc/meshd/meshd.yaml").returncode != 0

    changed = play()

    assert changed >= foretold > 0
    web.await_revision(revision)
    web.until_ready()
    assert play() == 0
    assert play("--check") == 0


def test_a_configuration_with_errors_is_not_written_and_the_play_says_why(hosts, play):
    _git, web, _other, _revision = hosts
    before = web.machine.read("/etc/meshd/meshd.yaml"), web.machine.unit("meshd").pid

    said = play(meshd_configuration={"repository": {"pol": "5s"}}, refused=True)

    assert "did you mean 'poll'" in said
    assert (web.machine.read("/etc/meshd/meshd.yaml"), web.machine.unit("meshd").pid) == before


def test_the_role_switches_the_capture_on_and_off(hosts, play):
    """Off in the order in which no connection is redirected to where nobody listens any more."""
    _git, web, _other, _revision = hosts

    play(meshd_capture="nftables", meshd_configuration={"repository": {"poll": "7s"}, "log": {"level": "debug"}})
    assert web.machine.unit("meshd-capture").state == "active"
    assert "poll: 7s" in web.machine.read("/etc/meshd/meshd.yaml")
    web.await_condition("Captured", "True")

    play()
    assert web.machine.unit("meshd-capture").state == "inactive"
    assert "table inet meshd" not in web.machine.run("nft", "list", "tables")
    told = web.machine.run("journalctl", "--output=cat", "_PID=1")
    assert told.rindex("Stopped meshd-capture.service") < told.rindex("Reloading meshd.service")


def test_user_data_of_cloud_init_makes_a_host_of_the_mesh(hosts):
    """What cloud-init does with it, done by hand: files first, then commands."""
    git, _web, api, revision = hosts
    text = (EXAMPLES / "cloud-init/meshd.yaml").read_text()
    assert text.startswith("#cloud-config\n")
    asked = yaml.load(text, yaml.CSafeLoader)
    for file in asked["write_files"]:
        content = file["content"].replace("https://git.example.com/mesh.git", git.url)
        content = content.replace("username: reader", "knownHosts: /etc/meshd/known_hosts")
        content = content.replace("passwordFile:", "sshKey:").replace("the-token", git.agent_key)
        api.machine.write(file["path"], content, mode=int(file["permissions"], 8))
    api.machine.write("/etc/meshd/known_hosts", git.known_hosts)

    for command in asked["runcmd"]:
        api.machine.run(*command)

    api.await_revision(revision)
    assert set(asked["packages"]) == {"meshd", "meshd-envoy"}
