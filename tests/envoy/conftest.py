"""The real binary as judge, a backend that tells what it received, certificates and sockets."""

from __future__ import annotations

import json
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from meshd.envoy.bootstrap import BootstrapSettings
from meshd.names import HostName
from meshd.plan import ProxyPlan
from tests.envoy.plans import Certificates, every_field


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    directory = tmp_path_factory.mktemp("certificates")
    certificate, key = directory / "tls.crt", directory / "tls.key"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    return Certificates(str(certificate), str(key))


@pytest.fixture
def everything(certificates: Certificates) -> ProxyPlan:
    return every_field(certificates)


@pytest.fixture
def settings(short_tmp: Path) -> BootstrapSettings:
    return BootstrapSettings(
        proxy="sidecar",
        host=HostName("web-1"),
        xds_socket=str(short_tmp / "xds.sock"),
        admin_socket=str(short_tmp / "admin.sock"),
    )


Judge = Callable[[bytes], str]


@pytest.fixture
def judge(envoy_binary: Path, short_tmp: Path) -> Judge:
    """What the real binary has against a bootstrap, deprecated fields too; empty when it is content."""

    def complaint(bootstrap: bytes) -> str:
        path = short_tmp / "judged.pb"
        path.write_bytes(bootstrap)
        command = [envoy_binary, "-c", path, "--mode", "validate", "-l", "warning"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        said = done.stdout + done.stderr
        return "" if done.returncode == 0 and "eprecated" not in said else said

    return complaint


class _Mirror(BaseHTTPRequestHandler):
    """Answers with what it was asked, on `/slow` only once its server is told to go on."""

    def do_GET(self) -> None:
        if self.path.startswith("/slow"):
            self.server.released.wait(20)  # type: ignore[attr-defined]
        headers = {name.lower(): ",".join(self.headers.get_all(name, ())) for name in self.headers}
        body = json.dumps({"path": self.path, "headers": headers}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.send_header("x-backend", "yes")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Mirror)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    server.released = threading.Event()  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server.server_address[1]
    server.released.set()  # type: ignore[attr-defined]
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def backend() -> Iterator[int]:
    """The port of a backend on loopback."""
    with serving() as port:
        yield port


@pytest.fixture
def tls_backend(certificates: Certificates) -> Iterator[int]:
    """The same behind TLS; it takes nobody without a certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=certificates.certificate)
    context.load_cert_chain(certificates.certificate, certificates.key)
    context.verify_mode = ssl.CERT_REQUIRED
    with serving(context) as port:
        yield port
