"""Bad clients, impatient operators, full disks and signals at the wrong moment."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.system import meshes
from tests.system.host import ENVIRONMENT, Host
from tests.waiting import until

pytestmark = pytest.mark.envoy


@pytest.fixture
def shop(host: Host, backend):
    host.mesh = {"web-1.yaml": meshes.workload(), "shop.yaml": meshes.service("shop", {"v1": backend("v1").port})}
    host.first = host.push(host.mesh)
    host.start()
    host.until_live(host.first)
    return host


def say(host: Host, line: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(str(host.runtime / "control.sock"))
        connection.sendall(line)
        return connection.makefile("rb").readline()


def test_no_client_harms_the_daemon(shop: Host):
    for line in (
        b"[]\n",
        b'{"verb": "wait"}\n',
        b'{"verb": "wait", "revision": "", "seconds": NaN}\n',
        b"[" * 60_000 + b"\n",
    ):
        assert json.loads(say(shop, line))["body"]["failure"]

    assert shop.status()["ready"]
    assert "Traceback" not in shop.log.read_text()


def test_a_reload_while_git_is_away_keeps_what_runs_and_says_so(shop: Host):
    shop.bare.rename(shop.bare.with_name("away.git"))

    done = shop.meshd("reload")

    assert done.returncode == 3
    assert shop.status()["ready"]
    assert shop.status()["revision"]["active"]["id"] == shop.first
    assert shop.get("http://shop.example/")[:2] == (200, "v1")


def test_a_reload_after_a_bad_push_is_a_yes(shop: Host):
    bad = shop.push({"bad.yaml": "nonsense: true\n"})
    until(lambda: (shop.status()["revision"]["rejected"] or {}).get("id") == bad, what="the rejection")

    done = shop.meshd("reload")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "the configuration is in force" in done.stdout


def test_a_reload_to_a_host_that_the_mesh_does_not_know_is_a_no(shop: Host):
    shop.configure(host="web-9")

    done = shop.meshd("reload")

    assert done.returncode == 1
    assert "E-HOST-UNKNOWN" in done.stderr
    assert shop.get("http://shop.example/")[:2] == (200, "v1")


def test_a_reload_that_changes_what_it_cannot_is_refused_whole(shop: Host):
    shop.configure(stateDirectory=str(shop.directory / "elsewhere"))

    done = shop.meshd("reload", "-o", "json")

    assert done.returncode == 1
    assert "a reload cannot change this" in json.loads(done.stdout)["problems"][0]["text"]


def test_a_reload_moves_the_proxy_port_and_changes_the_log(shop: Host):
    shop.configure(httpProxyPort=str(shop.proxy_port + 1), log="{format: json}")

    done = shop.meshd("reload")

    assert done.returncode == 0, done.stderr
    shop.proxy_port += 1
    assert until(lambda: shop.get("http://shop.example/")[:2] == (200, "v1"))
    assert '"event": "reload.done"' in shop.log.read_text()


def test_many_reloads_at_once_are_all_answered(shop: Host):
    environment = {**ENVIRONMENT, "MESHD_SOCKET": str(shop.runtime / "control.sock")}
    command = [sys.executable, "-m", "meshd", "reload"]
    reloads = [subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) for _ in range(3)]

    assert [each.wait(60) for each in reloads] == [0, 0, 0]


def test_a_hangup_while_it_starts_does_not_kill_it(host: Host):
    host.push({"web-1.yaml": meshes.workload()})
    host.configure()
    command = [sys.executable, "-c", _HANGUP_AT_IMPORT, "run", "--config", str(host.config)]
    with host.log.open("wb") as log:
        host.daemon = subprocess.Popen(command, env=ENVIRONMENT, stderr=log)

    until(lambda: host.answers() or host.daemon.poll() is not None, what="the daemon")

    assert host.daemon.poll() is None, host.log.read_text()
    until(lambda: "reload.done" in host.log.read_text(), what="the reload that was asked for")


_HANGUP_AT_IMPORT = """
import importlib.abc, os, signal, sys
class Hangup(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "meshd.daemon.rooms":
            os.kill(os.getpid(), signal.SIGHUP)
sys.meta_path.insert(0, Hangup())
from meshd.cli import main
main()
"""


def test_impatience_does_not_leave_an_envoy_behind(shop: Host):
    for _ in range(5):
        shop.daemon.send_signal(signal.SIGINT)

    assert shop.daemon.wait(30) == 0
    assert shop.left() == []


def test_a_stop_in_the_middle_of_the_start_leaves_nothing(host: Host, backend):
    host.push({"web-1.yaml": meshes.workload(), "shop.yaml": meshes.service("shop", {"v1": backend("v1").port})})
    host.start()

    assert host.terminate() == 0

    assert host.left() == [], host.log.read_text()
    assert "Traceback" not in host.log.read_text()


def test_sync_tries_again_what_envoy_refused(shop: Host, backend):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        shop.configure(httpProxyPort=str(port))
        refused = shop.meshd("reload")
        assert refused.returncode == 1, refused.stdout + refused.stderr
        again = shop.meshd("sync")
        assert again.returncode == 1, again.stdout + again.stderr
        assert shop.get("http://shop.example/")[:2] == (200, "v1")

    done = shop.meshd("sync")

    assert done.returncode == 0, done.stdout + done.stderr
    shop.proxy_port = port
    assert until(lambda: shop.get("http://shop.example/")[:2] == (200, "v1"))


def test_a_state_of_another_format_is_built_anew(shop: Host):
    shop.terminate()
    manifest = next((shop.state / "active").glob("manifest.json"))
    manifest.write_text('{"format": 999}')

    shop.start()

    assert shop.until_live(shop.first)["ready"]


@pytest.fixture
def small_disk(host: Host):
    """The state stands on a file system of 4 MB, in a mount namespace of its own. Gives it as seen from here."""
    host.state.mkdir()
    mount = f"mount -t tmpfs -o size=4m tmpfs {host.state} && echo mounted && exec sleep infinity"
    holder = subprocess.Popen(["unshare", "-m", "sh", "-c", mount], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    with holder.stdout:
        assert holder.stdout.readline() == b"mounted\n"
    host.prefix = ("nsenter", "-t", str(holder.pid), "-m", "--")
    yield Path(f"/proc/{holder.pid}/root{host.state}")
    host.close()
    holder.kill()
    holder.wait()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_full_disk_is_told_and_costs_no_traffic(host: Host, backend, small_disk: Path):
    """It is full when a change comes, and still when meshd is started again."""
    port = backend("v1").port
    host.push({"web-1.yaml": meshes.workload(), "shop.yaml": meshes.service("shop", {"v1": port})})
    host.start()
    host.until_live(host.git("rev-parse", "HEAD"))
    _fill(small_disk / "ballast")

    host.push({"other.yaml": meshes.service("other", {"v1": port})})

    until(lambda: host.condition("Reconciling")["reason"] == "ProgressingWithRetry", what="the condition")
    assert host.meshd("sync").returncode == 3
    assert host.get("http://shop.example/")[:2] == (200, "v1")
    host.kill()
    host.start()
    until(lambda: host.status()["ready"], what="what was good last, from a full disk")
    assert "Traceback" not in host.log.read_text()
    (small_disk / "ballast").unlink()
    assert until(lambda: host.meshd("sync").returncode == 0, what="the change, with room again")


def _fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return


def test_status_answers_while_a_pass_is_busy(shop: Host):
    waiting = threading.Thread(target=shop.meshd, args=("sync",))
    waiting.start()
    assert shop.meshd("status").returncode == 0
    waiting.join()


def test_what_a_stalled_envoy_did_not_take_in_time_comes_by_itself_once_it_goes_on(shop: Host, backend):
    envoy = shop.envoy_pid()
    os.kill(envoy, signal.SIGSTOP)
    try:
        second = shop.push({"shop.yaml": meshes.service("shop", {"v2": backend("v2").port})})
        until(lambda: "revision.rejected" in shop.log.read_text(), seconds=60, what="the end of its patience")
        assert shop.condition("Stalled")["reason"] == "RevisionTimedOut"
    finally:
        os.kill(envoy, signal.SIGCONT)

    shop.until_live(second)

    assert shop.get("http://shop.example/")[:2] == (200, "v2")
    assert shop.envoy_pid() == envoy
    assert "tried-again" in shop.log.read_text()
