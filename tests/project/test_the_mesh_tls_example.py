"""The example of docs/mesh-tls.md as it stands there: its commands are run, its mesh is run by two real Envoys."""

from __future__ import annotations

import http.client
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from meshd.compiler import Reach, compile_plan
from meshd.deliver.secret_files import present
from meshd.envoy import assignments, render
from meshd.envoy.bootstrap import BootstrapSettings
from meshd.envoy.fallback import fallback
from meshd.envoy.secrets import secrets
from meshd.memo import Memo
from meshd.mesh.load import load
from meshd.names import BlobId, HostName
from meshd.plan import ProxyPlan
from tests.envoy.process import running
from tests.ports import free_port
from tests.project.pages import TOP, blocks, section

PAGE = "docs/mesh-tls.md"
WEB, API = "127.0.0.11", "127.0.0.12"


@pytest.fixture
def issued(short_tmp: Path) -> Path:
    """Where the page's own commands have put the identities of both hosts."""
    (script,) = blocks((TOP / PAGE).read_text(), "sh")
    subprocess.run(["sh", "-eu", "-c", script], cwd=short_tmp, check=True, capture_output=True)
    return short_tmp


@pytest.mark.parametrize("host", ["web-1", "api-1"])
def test_the_commands_issue_what_a_member_needs(issued, host):
    certificate = issued / host / "cert-chain.pem"
    names = ["openssl", "x509", "-in", certificate, "-noout", "-ext", "subjectAltName"]

    subprocess.run(["openssl", "verify", "-CAfile", issued / host / "root-cert.pem", certificate], check=True)
    said = subprocess.run(names, check=True, capture_output=True, text=True).stdout

    assert f"URI:spiffe://cluster.local/ns/shop/sa/{host.removesuffix('-1')}" in said
    assert (issued / host / "key.pem").stat().st_mode & 0o077 == 0


@pytest.mark.envoy
@pytest.mark.spec("D-74", "W-7")
def test_the_api_learns_who_called(envoy_binary, issued):
    with application() as port, ExitStack() as stack:
        ports = {"9080": free_port(), "8080": port}
        proxy = free_port()
        for host in ("web-1", "api-1"):
            start(stack, envoy_binary, issued / host, a_plan(host, ports, proxy))

        client = http.client.HTTPConnection("127.0.0.1", proxy, timeout=10)
        client.request("GET", "http://api.shop.example/")
        answer = client.getresponse()
        said = answer.read().decode()
        client.close()

    assert answer.status == 200
    assert said.startswith("By=spiffe://cluster.local/ns/shop/sa/api;")
    assert said.endswith("URI=spiffe://cluster.local/ns/shop/sa/web")


@contextmanager
def application() -> Iterator[int]:
    """Answers with the header that says who called."""

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.headers.get("x-forwarded-client-cert", "nobody").encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield server.server_port
        server.shutdown()
        serving.join()


def a_plan(host: str, ports: Mapping[str, int], proxy: int) -> ProxyPlan:
    """Of the page's mesh, at addresses and ports that this machine has."""
    (text,) = section(PAGE, "An example").resources
    for written, here in {"10.0.0.1": WEB, "10.0.0.2": API, **ports}.items():
        text = text.replace(written, str(here))
    memo = Memo()
    loaded = load({"mesh.yaml": BlobId("mesh")}, {BlobId("mesh"): text.encode()}.__getitem__, memo)
    assert loaded.mesh is not None
    reach = Reach(http_proxy_port=proxy if host == "web-1" else 0)
    (plan,) = compile_plan(loaded.mesh, HostName(host), reach, memo).plans
    return plan


def start(stack: ExitStack, binary: Path, identity: Path, plan: ProxyPlan) -> None:
    """With the host's own files, where the page has them in /etc/meshd/identity."""
    settings = BootstrapSettings(
        proxy=plan.proxy,
        host=plan.host,
        xds_socket=str(identity / "xds.sock"),
        admin_socket=str(identity / "admin.sock"),
    )
    here = tuple(
        replace(each, certificate_chain=str(identity / "cert-chain.pem"), private_key=str(identity / "key.pem"))
        if each.name == "default"
        else replace(each, ca_certificates=(str(identity / "root-cert.pem"),))
        for each in plan.secrets
    )
    memo = Memo()
    rendered = replace(render(plan, memo), secrets=secrets(here, present(here), memo))
    bootstrap = fallback(rendered, assignments(plan, {}, memo), settings)
    stack.enter_context(running(binary, bootstrap, settings))
