"""The daemon as systemd and an operator meet it: notifications, signals, locks, logs."""

from __future__ import annotations

import signal
import socket

import pytest

from tests.system import meshes
from tests.system.host import ENVIRONMENT, Host
from tests.waiting import until

pytestmark = pytest.mark.envoy


@pytest.fixture
def notifications(short_tmp, monkeypatch):
    """What the daemon tells systemd, as a list that grows."""
    heard: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(short_tmp / "notify"))
        listener.setblocking(False)
        monkeypatch.setitem(ENVIRONMENT, "NOTIFY_SOCKET", str(short_tmp / "notify"))
        monkeypatch.setitem(ENVIRONMENT, "WATCHDOG_USEC", "200000")

        def listen() -> list[str]:
            while True:
                try:
                    heard.append(listener.recv(4096).decode())
                except BlockingIOError:
                    return heard

        yield listen


def test_systemd_is_told_ready_status_reloading_watchdog_and_stopping(host, backend, notifications):
    revision = host.push(
        {"web-1.yaml": meshes.workload(), "shop.yaml": meshes.service("shop", {"v1": backend("v1").port})}
    )
    host.start()
    host.until_live(revision)
    until(lambda: any(f"STATUS=revision {revision[:12]} active" in text for text in notifications()), what="STATUS")
    assert any("READY=1" in text for text in notifications())
    until(lambda: "WATCHDOG=1" in notifications(), what="WATCHDOG")

    before = len(notifications())
    host.daemon.send_signal(signal.SIGHUP)
    until(lambda: any("RELOADING=1" in text for text in notifications()), what="RELOADING")
    reloading = next(text for text in notifications() if "RELOADING=1" in text)
    assert int(reloading.split("MONOTONIC_USEC=")[1]) > 0
    until(lambda: any("READY=1" in text for text in notifications()[before + 1 :]), what="READY after the reload")

    assert host.terminate() == 0
    assert "STOPPING=1" in notifications()


def test_a_stop_leaves_no_process_and_no_socket(host, backend):
    revision = host.push(
        {"web-1.yaml": meshes.workload(), "shop.yaml": meshes.service("shop", {"v1": backend("v1").port})}
    )
    host.start()
    host.until_live(revision)

    assert host.terminate() == 0

    assert host.left() == []
    assert [path for path in host.directory.rglob("*") if path.is_socket()] == []


def test_a_second_meshd_in_the_same_directory_is_refused(host, backend):
    host.push({"web-1.yaml": meshes.workload()})
    host.start()

    done = host.meshd("run", "--config", str(host.config))

    assert done.returncode == 3
    assert f"another meshd (pid {host.daemon.pid})" in done.stderr


def test_a_configuration_with_errors_is_exit_code_2_with_all_of_them(host):
    host.config.write_text("repository: {ulr: /tmp/mesh.git}\ncapture: all\n")

    done = host.meshd("run", "--config", str(host.config))

    assert done.returncode == 2
    assert "did you mean 'url'?" in done.stderr
    assert f"{host.config}:2:10: capture:" in done.stderr


def test_a_configuration_that_is_not_there_is_told(host):
    done = host.meshd("run", "--config", str(host.directory / "none.yaml"))

    assert done.returncode == 2
    assert "none.yaml" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_envoy_that_is_not_there_is_told_with_what_to_do(host):
    host.configure(envoy="{binary: /nowhere/envoy, supervisor: child}")

    done = host.meshd("run", "--config", str(host.config))

    assert done.returncode == 3
    assert "/nowhere/envoy" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_directory_that_cannot_be_made_is_told(host):
    host.configure(stateDirectory="/proc/meshd")

    done = host.meshd("run", "--config", str(host.config))

    assert done.returncode == 3
    assert "/proc/meshd" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_envoy_refuses_is_found_before_it_is_pushed(host: Host, backend, monkeypatch):
    """A renderer's fault, put into the daemon by the test: the preflight names the resource and the line."""
    faults = host.directory / "faults"
    faults.mkdir()
    (faults / "sitecustomize.py").write_text(
        "import meshd.envoy.virtual_hosts as rendering\n"
        "whole = rendering._route\n"
        "def faulty(plan):\n"
        "    route = whole(plan)\n"
        "    if 'broken' in str(plan.action):\n"
        "        route.match.Clear()\n"
        "    return route\n"
        "rendering._route = faulty\n"
    )
    monkeypatch.setitem(ENVIRONMENT, "PYTHONPATH", str(faults))
    port = backend("v1").port
    first = host.push({"web-1.yaml": meshes.workload(), "shop.yaml": meshes.service("shop", {"v1": port})})
    host.start()
    status = host.until_live(first)

    bad = host.push(
        {
            "broken.yaml": meshes.service("broken", {"v1": port}),
            "fine.yaml": meshes.service("fine", {"v1": port}),
        }
    )
    until(lambda: (host.status()["revision"]["rejected"] or {}).get("id") == bad, what="the rejection")

    after = host.status()
    problem = next(problem for problem in after["problems"] if problem["code"] == "E-ENVOY-REFUSED")
    assert "broken.example" in problem["message"]
    assert problem["file"] == "broken.yaml"
    assert after["proxies"][0]["sent"] == status["proxies"][0]["sent"]
    assert host.get("http://shop.example/")[:2] == (200, "v1")


def test_a_fault_of_meshd_itself_is_told_and_costs_no_traffic(host: Host, backend, monkeypatch):
    faults = host.directory / "faults"
    faults.mkdir()
    (faults / "sitecustomize.py").write_text(
        "import meshd.envoy.virtual_hosts as rendering\n"
        "whole = rendering._route\n"
        "def faulty(plan):\n"
        "    if 'broken' in str(plan.action):\n"
        "        raise RuntimeError('a fault in meshd')\n"
        "    return whole(plan)\n"
        "rendering._route = faulty\n"
    )
    monkeypatch.setitem(ENVIRONMENT, "PYTHONPATH", str(faults))
    port = backend("v1").port
    first = host.push({"web-1.yaml": meshes.workload(), "shop.yaml": meshes.service("shop", {"v1": port})})
    host.start()
    host.until_live(first)

    host.push({"broken.yaml": meshes.service("broken", {"v1": port})})

    until(lambda: host.condition("Stalled")["reason"] == "InternalError", what="the condition")
    assert "a fault in meshd" in host.condition("Stalled")["message"]
    assert host.get("http://shop.example/")[:2] == (200, "v1")
    good = host.push({"broken.yaml": None})
    host.until_active(good)
    assert host.condition("Stalled")["status"] == "False"


def test_logs_are_events_with_fields(host):
    host.configure(log="{format: json}")
    host.push({"web-1.yaml": meshes.workload()})
    host.start()

    until(lambda: '"event": "generation.delivered"' in host.log.read_text(), what="the event")
