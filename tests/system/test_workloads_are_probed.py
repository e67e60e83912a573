"""The workloads of the host are probed by the daemon; who is unhealthy leaves the rotation, and comes back."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest

from tests.ports import free_port
from tests.system import meshes
from tests.waiting import until

pytestmark = [pytest.mark.envoy, pytest.mark.spec("W-17")]

URL = "http://shop.example/"
# Everybody is called in plain text: these hosts have no certificates.
MESH = """\
apiVersion: meshd.io/v1
kind: MeshConfig
metadata: {name: mesh}
spec: {autoMtls: false}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: shop}
spec:
  hosts: [shop.example]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  workloadSelector: {labels: {app: shop}}
"""
GROUP = """\
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: shop}
spec:
  template: {}
  probe:
    periodSeconds: 1
    failureThreshold: 1
    %s
"""


def member(name: str, port: int, group: str = "shop", address: str = "127.0.0.1") -> str:
    return f"""\
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata:
  name: {name}
  annotations: {{istio.io/autoRegistrationGroup: {group}, meshd.io/host: web-1}}
spec: {{address: {address}, ports: {{http: {port}}}, labels: {{app: shop}}}}
"""


def steady(name: str, port: int) -> str:
    """One that nobody probes."""
    return member(name, port).replace("istio.io/autoRegistrationGroup: shop, ", "")


def tcp(port: int) -> str:
    return GROUP % f"tcpSocket: {{host: 127.0.0.1, port: {port}}}"


def answers(host) -> set[str]:
    return {host.get(URL)[1] for _ in range(12)}


def workload(host) -> dict:
    return host.status()["workloads"][0]


@pytest.fixture
def shop(host, backend):
    """Two endpoints on this host, one of them probed. `sick` is what it takes to make it unhealthy."""
    probed, other = backend("probed"), backend("other")
    files = {
        "web-1.yaml": meshes.workload(),
        "mesh.yaml": MESH,
        "group.yaml": GROUP % "httpGet: {path: /healthz, port: %d}" % probed.port,
        "probed.yaml": member("probed", probed.port),
        "other.yaml": steady("other", other.port),
    }
    host.start()
    host.until_live(host.push(files))
    return host, probed


def test_an_unhealthy_workload_leaves_the_rotation_and_comes_back(shop, backend):
    host, probed = shop
    until(lambda: answers(host) == {"probed", "other"}, what="both in rotation")
    before = host.status()["proxies"][0]["generation"]

    probed.stop()
    until(lambda: not workload(host)["healthy"], what="the failure in status")
    shown = host.status()
    assert host.condition("WorkloadsHealthy")["status"] == "False"
    assert "default/probed" in host.condition("WorkloadsHealthy")["message"]
    assert shown["ready"]
    assert answers(host) == {"other"}
    again = backend("probed", port=probed.port)

    until(lambda: answers(host) == {"probed", "other"}, what="both in rotation again")
    assert workload(host)["healthy"]
    assert host.condition("WorkloadsHealthy") == {**host.condition("WorkloadsHealthy"), "status": "True"}
    assert host.status()["proxies"][0]["generation"] == before, "a change of health makes no generation"
    assert {"workload.unhealthy", "workload.healthy"} <= events(host)
    assert any(path == "/healthz" for _, path, _ in again.seen)


def events(host) -> set[str]:
    text = host.log.read_text()
    return {name for name in ("workload.unhealthy", "workload.healthy") if name in text}


def test_what_is_known_survives_a_restart_and_a_new_revision(shop):
    host, probed = shop
    probed.stop()
    until(lambda: not workload(host)["healthy"], what="the failure in status")
    since = workload(host)["since"]

    host.kill()
    host.start()
    host.until_live(host.push({"else.yaml": meshes.service("else", {"v1": free_port()})}))

    assert answers(host) == {"other"}
    assert workload(host) == {**workload(host), "healthy": False, "since": since}


def test_a_workload_that_is_not_probed_any_more_is_not_held_to_be_unhealthy(shop, backend):
    host, probed = shop
    probed.stop()
    until(lambda: not workload(host)["healthy"], what="the failure in status")
    host.until_live(host.push({"group.yaml": tcp(free_port())}))
    backend("probed", port=probed.port)
    assert answers(host) == {"other"}
    host.until_live(host.push({"probed.yaml": steady("probed", probed.port)}))

    until(lambda: answers(host) == {"probed", "other"}, what="both in rotation")
    assert host.status()["workloads"] == []


def test_what_comes_in_is_refused_while_the_workload_is_unhealthy(host, backend):
    port, app = free_port(), backend("app")
    ingress = f"""\
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{name: default}}
spec:
  ingress:
  - port: {{number: {port}, protocol: HTTP, name: http}}
    bind: 127.0.0.1
    defaultEndpoint: 127.0.0.1:{app.port}
"""
    host.start()
    host.until_live(
        host.push(
            {"mesh.yaml": MESH, "group.yaml": tcp(app.port), "web.yaml": member("web-1", port), "in.yaml": ingress}
        )
    )
    inbound = f"http://127.0.0.1:{port}/"
    until(lambda: direct(inbound)[0] == 200, what="the application through its listener")

    app.stop()

    until(lambda: direct(inbound) == (503, "no healthy upstream"), what="a refusal by the proxy itself")
    backend("app", port=app.port)
    until(lambda: direct(inbound) == (200, "app"), what="the application again")


def direct(url: str) -> tuple[int, str]:
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.mark.spec("W-15", "E-WG-EXEC")
def test_commands_are_run_only_where_the_agent_allows_it_and_the_revision_is_served_all_the_same(host, backend):
    mark = host.directory / "ran"
    files = {
        "mesh.yaml": MESH,
        "group.yaml": GROUP % f"exec: {{command: [/bin/sh, -c, 'touch {mark}; exit 3']}}",
        "web.yaml": member("web-1", backend("app").port),
    }
    host.start()
    host.until_live(host.push(files))
    assert [problem["code"] for problem in host.status()["problems"]] == ["E-WG-EXEC"]
    assert host.condition("WorkloadsHealthy")["reason"] == "ProbeNotAllowed"
    assert host.get(URL)[:2] == (200, "app")

    host.configure(execProbes="true")
    assert host.meshd("reload").returncode == 0
    until(lambda: host.status()["workloads"] and not workload(host)["healthy"], what="the command's verdict")
    assert workload(host)["reason"] == "exit status 3"
    host.configure(execProbes="false")
    assert host.meshd("reload").returncode == 0

    until(lambda: host.status()["workloads"] == [], what="nobody probed")
    mark.unlink()
    host.until_live(host.push({"else.yaml": meshes.service("else", {"v1": free_port()})}))
    assert not mark.exists()
    assert host.get(URL)[:2] == (200, "app")
