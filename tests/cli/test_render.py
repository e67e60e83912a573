"""`meshd render`: the same bytes on any machine, and each of its forms."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
MESH = REPOSITORY / "examples" / "mesh"


def render(*arguments: str, cwd: Path | None = None, seed: str = "0") -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "PYTHONHASHSEED": seed, "HOSTNAME": f"machine-{seed}"}
    command = [sys.executable, "-m", "meshd", "render", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, check=False)


@pytest.fixture
def elsewhere(tmp_path):
    """The same mesh in another place, as a bare git repository."""
    work, bare = tmp_path / "work", tmp_path / "mesh.git"
    shutil.copytree(MESH, work)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(work)]
    subprocess.run([*git, "init", "-q", "-b", "main"], check=True)
    subprocess.run([*git, "add", "-A"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "the example"], check=True)
    subprocess.run(["git", "clone", "-q", "--bare", str(work), str(bare)], check=True)
    return bare


@pytest.mark.parametrize("output", ["yaml", "json", "plan", "fallback"])
def test_the_bytes_are_the_same_twice_and_on_another_machine(elsewhere, tmp_path, output):
    here = render("--repo", str(MESH), "--host", "web-1", "-o", output, seed="1")
    again = render("--repo", str(MESH), "--host", "web-1", "-o", output, seed="2")
    there = render("--repo", "mesh.git", "--host", "web-1", "-o", output, seed="3", cwd=tmp_path)

    assert here.returncode == again.returncode == there.returncode == 0, here.stderr + there.stderr
    assert here.stdout == again.stdout
    assert len(here.stdout) > 1000
    if output != "plan":  # the plan also says which file each line came from, as the user named the files
        assert here.stdout == there.stdout


def test_the_forms_are_what_they_say():
    as_yaml = yaml.load(render("--repo", str(MESH), "--host", "web-1").stdout, Loader=yaml.CSafeLoader)
    as_json = json.loads(render("--repo", str(MESH), "--host", "web-1", "-o", "json").stdout)

    assert as_yaml == as_json
    assert as_json["clusters"]


EDGE = """
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: edge-1}
spec: {address: 10.0.0.9, labels: {istio: ingressgateway}}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [shop.example]}]
"""
SECURED = """
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: web-1}
spec: {address: 10.0.0.1}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: api}
spec: {hosts: [api.example.com], resolution: DNS, ports: [{number: 443, name: http, protocol: HTTP}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: api}
spec:
  host: api.example.com
  trafficPolicy:
    tls: {mode: MUTUAL, clientCertificate: %(directory)s/tls.crt, privateKey: %(directory)s/tls.key}
"""


def test_secrets_are_shown_by_the_paths_of_their_files_and_nothing_of_these_is_read(tmp_path):
    (tmp_path / "tls.key").write_text("the key itself")
    (tmp_path / "mesh.yaml").write_text(SECURED % {"directory": tmp_path})

    shown = render("--repo", str(tmp_path), "--host", "web-1", "-o", "json")
    alone = render("--repo", str(tmp_path), "--host", "web-1", "-o", "fallback")

    certificate = next(each for each in json.loads(shown.stdout)["secrets"] if "tls_certificate" in each)
    assert certificate["tls_certificate"]["private_key"] == {"filename": f"{tmp_path}/tls.key"}
    assert f"{tmp_path}/tls.key".encode() in alone.stdout
    assert b"the key itself" not in shown.stdout + alone.stdout


@pytest.mark.envoy
def test_the_fallback_is_accepted_by_the_real_envoy(envoy_binary, tmp_path):
    (tmp_path / "fallback.pb").write_bytes(render("--repo", str(MESH), "--host", "web-1", "-o", "fallback").stdout)

    command = [envoy_binary, "--mode", "validate", "-c", tmp_path / "fallback.pb", "--log-level", "error"]
    verdict = subprocess.run(command, capture_output=True, text=True, check=False)

    assert verdict.returncode == 0, verdict.stderr


def test_a_host_that_nobody_names_is_told_with_what_is_near():
    done = render("--repo", str(MESH), "--host", "web-7")

    assert done.returncode == 1
    assert b"E-HOST-UNKNOWN" in done.stderr
    assert b"did you mean 'web-" in done.stderr


def test_only_the_proxy_asked_for_is_shown_and_one_that_the_host_does_not_run_is_told(tmp_path):
    (tmp_path / "mesh.yaml").write_text(EDGE)

    gateway = render("--repo", str(tmp_path), "--host", "edge-1", "--proxy", "gateway", "-o", "plan")
    sidecar = render("--repo", str(tmp_path), "--host", "edge-1", "--proxy", "sidecar", "-o", "plan")

    assert (gateway.returncode, gateway.stdout.splitlines()[0]) == (0, b"proxy: gateway")
    assert (sidecar.returncode, sidecar.stdout) == (1, b"")
    assert b"host 'edge-1' has no sidecar: it runs a gateway" in sidecar.stderr


def test_a_revision_that_is_not_there_is_told(elsewhere):
    done = render("--repo", str(elsewhere), "--rev", "nonsense", "--host", "web-1")

    assert done.returncode == 3
    assert b"nonsense" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_mesh_with_errors_is_not_rendered(tmp_path):
    (tmp_path / "bad.yaml").write_text("kind: VirtualService\n")

    done = render("--repo", str(tmp_path), "--host", "web-1")

    assert done.returncode == 1
    assert b"bad.yaml:1:" in done.stderr
    assert done.stdout == b""
