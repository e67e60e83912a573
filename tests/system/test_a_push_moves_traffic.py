"""A git push changes what a real Envoy does (the issue's "what must be seen", 2, 3, 5)."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

import pytest

from tests.ports import free_port
from tests.system import meshes
from tests.system.host import ENVIRONMENT
from tests.waiting import until

pytestmark = pytest.mark.envoy

URL = "http://shop.example/"


@pytest.fixture
def shop(host, backend):
    """A host whose `shop` has two versions and sends everything to v1."""
    ports = {version: backend(version).port for version in ("v1", "v2")}
    host.first = host.push(
        {
            "web-1.yaml": meshes.workload(),
            "shop.yaml": meshes.service("shop", ports),
            "shop-subsets.yaml": meshes.subsets("shop", "v1", "v2"),
            "shop-routes.yaml": meshes.weights("shop", {"v1": 100}),
        }
    )
    host.start()
    host.until_live(host.first)
    return host


def test_a_push_moves_live_traffic(shop):
    assert shop.get(URL)[:2] == (200, "v1")

    revision = shop.push({"shop-routes.yaml": meshes.weights("shop", {"v2": 100})})
    shop.until_active(revision)

    assert {shop.get(URL)[1] for _ in range(20)} == {"v2"}


def test_a_name_that_is_not_in_the_registry_is_refused_with_the_reason(shop):
    status, _, headers = shop.get("http://nobody.example/")

    assert status == 502
    assert any("registry" in value for value in headers.values())


def test_three_faults_in_two_files_are_all_reported_and_nothing_changes(shop):
    before = shop.status()

    bad = shop.push(
        {
            "shop-routes.yaml": meshes.weights("shop", {"v3": 100}).replace("http:", "htp:"),
            "shop-subsets.yaml": meshes.subsets("shop", "v1", "v2").replace("name: v2,", "nam: v2,")
            + "  trafficPolicy: {connectionPool: {tcp: {maxConnections: many}}}\n",
        }
    )
    status = until(lambda: _rejecting(shop, bad), what="the rejection")

    places = {(problem["file"], problem["line"]) for problem in status["problems"] if problem["severity"] == "error"}
    assert {("shop-routes.yaml", 6), ("shop-subsets.yaml", 8), ("shop-subsets.yaml", 9)} <= places
    assert status["revision"]["active"] == before["revision"]["active"]
    assert status["proxies"][0]["generation"] == before["proxies"][0]["generation"]
    assert shop.get(URL)[1] == "v1"
    assert shop.meshd("wait", bad).returncode == 1

    good = shop.push(
        {
            "shop-routes.yaml": meshes.weights("shop", {"v2": 100}),
            "shop-subsets.yaml": meshes.subsets("shop", "v1", "v2"),
        }
    )
    shop.until_active(good)
    assert shop.get(URL)[1] == "v2"
    assert shop.status()["revision"]["rejected"] is None


def _rejecting(host, revision):
    status = host.status()
    return status if (status["revision"]["rejected"] or {}).get("id") == revision else None


def test_a_listener_on_a_taken_port_is_reported_with_its_line_and_rolled_back(shop):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        bad = shop.push(
            {
                "sidecar.yaml": "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: default}\n"
                f"spec:\n  egress:\n  - port: {{number: {port}, protocol: HTTP_PROXY, name: proxy}}\n"
                '    hosts: ["*/*"]\n'
                '  - hosts: ["*/*"]\n'.replace('  - hosts: ["*/*"]\n', ""),
                "shop-routes.yaml": meshes.weights("shop", {"v2": 100}),
            }
        )
        status = until(lambda: _rejecting(shop, bad), what="the rejection")

    problem = next(problem for problem in status["problems"] if problem["code"] == "E-ENVOY-REJECTED")
    assert "Address already in use" in problem["message"]
    assert (problem["file"], problem["line"]) == ("sidecar.yaml", 6)
    assert status["revision"]["active"]["id"] == shop.first
    assert shop.get(URL)[:2] == (200, "v1")

    assert shop.meshd("sync").returncode == 0
    assert shop.get(URL)[1] == "v2"


def test_an_envoy_that_is_killed_is_started_again_and_gets_everything(shop):
    before = shop.envoy_pid()

    os.kill(before, signal.SIGKILL)
    until(lambda: shop.status()["proxies"][0]["pid"] not in {None, before}, what="a new Envoy")
    until(lambda: shop.status()["proxies"][0]["acknowledged"], what="its acknowledgement")

    assert shop.get(URL)[:2] == (200, "v1")


def test_without_meshd_a_restarted_envoy_serves_the_fallback_and_is_handed_back(shop, load):
    envoy = shop.envoy_pid()
    shop.kill()
    os.kill(envoy, signal.SIGKILL)
    until(lambda: not shop.left(), what="no process left")

    launched = subprocess.Popen(
        [sys.executable, "-m", "meshd", "envoy", "run", "sidecar", "--config", str(shop.config)],
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    until(lambda: _answers(shop), what="traffic by the fallback")

    with load(shop.proxy_port, "shop.example") as running:
        shop.start()
        status = until(lambda: _handed_over(shop), seconds=40, what="the handover to xDS")
        until(lambda: launched.poll() is not None, seconds=60, what="the end of the old Envoy")
        running.until_requests(500)
    assert running.failed == 0, running.summary()
    assert status["proxies"][0]["acknowledged"]
    assert shop.get(URL)[:2] == (200, "v1")


def _answers(host):
    try:
        return host.get(URL)[0] == 200
    except OSError:
        return False


def _handed_over(host):
    status = host.status()
    proxy = status["proxies"][0]
    return status if proxy["mode"] == "xds" and proxy["acknowledged"] else None


def test_a_proxy_port_can_be_moved_by_a_reload(shop):
    shop.proxy_port = free_port()
    shop.configure(httpProxyPort=str(shop.proxy_port))

    assert shop.meshd("reload").returncode == 0

    assert shop.get(URL)[:2] == (200, "v1")


def test_a_configuration_with_an_error_changes_nothing(shop):
    shop.configure(htpProxyPort="1")

    done = shop.meshd("reload")

    assert done.returncode == 1
    assert "did you mean 'httpProxyPort'?" in done.stderr
    assert shop.get(URL)[:2] == (200, "v1")
