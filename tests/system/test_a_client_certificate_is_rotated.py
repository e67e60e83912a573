"""MUTUAL TLS that the sidecar opens, while its certificate is renewed, and while somebody renews it badly.

Envoy reads a renewed file whole and well formed, or goes on with what it has. Dates it does not look at.
"""

from __future__ import annotations

import shutil
import ssl
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.deliver.certificates import Pair
from tests.deliver.dated import Authority, authority
from tests.system import meshes
from tests.waiting import until

pytestmark = [pytest.mark.envoy, pytest.mark.spec("D-73", "D-75")]

DAY = timedelta(days=1)
NOW = datetime.now(UTC)

# Of a connection twenty requests, so that there are new ones all the time.
RULE = """\
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: shop}
spec:
  host: shop.example
  trafficPolicy:
    connectionPool: {http: {maxRequestsPerConnection: 20}}
    tls:
      mode: MUTUAL
      clientCertificate: %(client)s/tls.crt
      privateKey: %(client)s/tls.key
      caCertificates: %(ca)s
"""


class Server(ThreadingHTTPServer):
    """Takes only whom `clients` signed, and answers with the common name of the certificate."""

    daemon_threads = True

    def __init__(self, own: Pair, clients: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(clients))
        context.load_cert_chain(own.chain, own.key)
        context.verify_mode = ssl.CERT_REQUIRED
        # The handshake is made where the connection is served: one that is refused must not hold up the others.
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def handle_error(self, request: object, client_address: object) -> None:
        """Refused handshakes are what some of the tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        subject = dict(part[0] for part in self.connection.getpeercert()["subject"])
        body = subject["commonName"].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """The test's output is not the place."""


class Rotation:
    """A host that calls a server with the certificate in `folder`."""

    def __init__(self, host: Any, server: Server, ca: Authority) -> None:
        self.host = host
        self.ca = ca
        self.folder = host.directory / "client"
        self.folder.mkdir()
        self.put("one")
        service = meshes.service("shop", {"v1": server.server_address[1]})
        self.rule = RULE % {"client": self.folder, "ca": ca.own.chain}
        host.start()
        host.until_live(host.push({"web-1.yaml": meshes.workload(), "shop.yaml": service, "rule.yaml": self.rule}))
        self.until_shown("one")

    def signed(self, name: str, *, ended: bool = False) -> Pair:
        ends = NOW - DAY if ended else NOW + 300 * DAY
        return self.ca.signed(f"/CN={name}", NOW - 60 * DAY, ends, stem=name)

    def put(self, name: str, *, ended: bool = False) -> None:
        pair = self.signed(name, ended=ended)
        self.replace("tls.key", pair.key)
        self.replace("tls.crt", pair.chain)

    def replace(self, name: str, source: Path) -> None:
        fresh = self.folder / f"{name}.new"
        shutil.copyfile(source, fresh)
        fresh.rename(self.folder / name)

    def shown(self) -> tuple[int, str]:
        return self.host.get("http://shop.example/")[:2]

    def until_shown(self, name: str) -> None:
        until(lambda: self.shown() == (200, name), what=f"the certificate of {name}")

    def condition(self) -> tuple[str, str]:
        condition = self.host.condition("CertificatesValid")
        return condition["status"], condition["reason"]

    def until_condition(self, status: str, reason: str) -> str:
        until(lambda: self.condition() == (status, reason), what=f"{status}, {reason}")
        message: str = self.host.condition("CertificatesValid")["message"]
        return message

    def told(self, kind: str = "certificate") -> dict[str, Any]:
        return next(each for each in self.host.status()["certificates"] if each["kind"] == kind)


@pytest.fixture
def rotation(host):
    directory = host.directory / "pki"
    ca = authority(directory)
    own = ca.signed("/CN=shop.example", NOW - DAY, NOW + 300 * DAY, names="DNS:shop.example", stem="server")
    server = Server(own, ca.own.chain)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield Rotation(host, server, ca)
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_renewed_certificate_is_shown_by_new_connections_and_no_request_fails(rotation, load):
    before = rotation.host.status()

    with load(rotation.host.proxy_port, "shop.example") as requests:
        requests.until_requests(100)
        rotation.put("two")
        rotation.until_shown("two")
        requests.until_requests(200)

    assert requests.failed == 0, requests.summary()
    until(lambda: rotation.told()["subject"] == "CN=two" and rotation.told()["inUse"], what="it in status")
    after = rotation.host.status()
    assert [each["generation"] for each in after["proxies"]] == [each["generation"] for each in before["proxies"]]
    assert [each["pid"] for each in after["proxies"]] == [each["pid"] for each in before["proxies"]]
    assert rotation.told()["from"]["file"] == "rule.yaml"
    assert f"{rotation.folder}/tls.crt" in rotation.host.meshd("status").stdout


def test_a_bad_renewal_leaves_the_old_one_in_use_and_is_told_until_it_is_a_good_one(rotation, load, tmp_path):
    garbage = tmp_path / "garbage"
    garbage.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    two = rotation.signed("two")

    with load(rotation.host.proxy_port, "shop.example") as requests:
        rotation.replace("tls.crt", garbage)
        assert "proxies keep what they have read" in rotation.until_condition("False", "Invalid")
        assert rotation.shown() == (200, "one")

        (rotation.folder / "tls.crt").unlink()
        assert f"{rotation.folder}/tls.crt: it does not exist" in rotation.until_condition("False", "Missing")
        assert rotation.shown() == (200, "one")

        rotation.replace("tls.crt", two.chain)
        assert "does the key fit" in rotation.until_condition("False", "NotInUse")
        assert rotation.shown() == (200, "one")

        rotation.replace("tls.key", two.key)
        rotation.until_shown("two")
        rotation.until_condition("True", "Valid")

    assert requests.failed == 0, requests.summary()
    assert rotation.host.status()["ready"]


def test_an_expired_renewal_is_told_and_ends_with_the_next_good_one(rotation):
    """Envoy takes it, as measured: it reads no dates. The server refuses it."""
    rotation.put("late", ended=True)

    until(lambda: rotation.shown()[0] == 503, what="the server's refusal")
    message = rotation.until_condition("False", "Expired")
    assert "put a newer one in its place" in message
    assert rotation.host.meshd("status").stdout.count("expired") == 1

    rotation.put("two")

    rotation.until_shown("two")
    rotation.until_condition("True", "Valid")


@pytest.mark.spec("D-82")
def test_a_list_of_revocations_that_is_overdue_is_told_and_its_renewal_is_all_that_it_needs(rotation):
    """Envoy believes nobody of an authority whose list should have been followed by another."""
    crl = rotation.ca.revocations(NOW - 20 * DAY, NOW + 10 * DAY)
    listed = rotation.folder / "ca.crl"
    rotation.replace("ca.crl", crl)
    rotation.host.until_live(rotation.host.push({"rule.yaml": f"{rotation.rule}      caCrl: {listed}\n"}))
    rotation.until_shown("one")

    rotation.replace("ca.crl", rotation.ca.revocations(NOW - 20 * DAY, NOW - DAY))

    until(lambda: rotation.shown()[0] == 503, what="the end of all belief")
    rotation.until_condition("False", "Expired")
    assert (rotation.told("crl")["state"], rotation.told("crl")["inUse"]) == ("expired", None)
    rotation.replace("ca.crl", rotation.ca.revocations(NOW - DAY, NOW + 29 * DAY))
    rotation.until_shown("one")
    rotation.until_condition("True", "Valid")
