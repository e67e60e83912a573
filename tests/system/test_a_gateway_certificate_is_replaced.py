"""A certificate of the file store is renewed under a running gateway: no revision, no restart, no connection lost."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.deliver.certificates import Pair, made, renewed, trusting
from tests.ports import free_port
from tests.system import meshes
from tests.waiting import until

pytestmark = [pytest.mark.envoy, pytest.mark.spec("G-4.6")]

EDGE = """\
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: web-1}
spec: {address: 127.0.0.1, labels: {istio: ingressgateway}}
---
apiVersion: meshd.io/v1
kind: MeshConfig
metadata: {name: mesh}
spec: {secretRoot: %(store)s}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: %(port)s, name: https, protocol: HTTPS}
    hosts: [shop.example]
    tls: {mode: SIMPLE, credentialName: shop}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: edge}
spec:
  hosts: [shop.example]
  gateways: [edge]
  http: [{route: [{destination: {host: shop.example}}]}]
"""


def by_files(folder: Path) -> Callable[[], Pair]:
    """As certbot's hooks do it: each new file is renamed over the old one."""
    old = made(folder, "shop.example")

    def renew() -> Pair:
        new = made(folder.parent / "new", "shop.example")
        renewed(old, new)
        return old

    return renew


def by_link(folder: Path) -> Callable[[], Pair]:
    """As kubelet does it: a link to the folder of all files is exchanged."""
    made(folder / "..1", "shop.example")
    (folder / "..data").symlink_to("..1")
    pair = Pair(chain=folder / "tls.crt", key=folder / "tls.key")
    for file in (pair.chain, pair.key):
        file.symlink_to(f"..data/{file.name}")

    def renew() -> Pair:
        made(folder / "..2", "shop.example")
        (folder / "..next").symlink_to("..2")
        (folder / "..next").rename(folder / "..data")
        return pair

    return renew


@pytest.mark.parametrize("kept", [by_files, by_link])
def test_new_connections_get_the_new_certificate_and_the_old_one_lives_on(
    host, backend, kept: Callable[[Path], Callable[[], Pair]]
):
    folder = host.directory / "secrets" / "shop"
    renew = kept(folder)
    first, port = shown_by(folder / "tls.crt"), free_port()
    edge = EDGE % {"store": folder.parent, "port": port}
    revision = host.push({"edge.yaml": edge, "shop.yaml": meshes.service("shop", {"v1": backend("v1").port})})
    host.start()
    before = host.until_live(revision)
    client = _Client(port, trusting(folder / "tls.crt"))
    assert (client.shown, client.ask()) == (first, "v1")

    pair = renew()

    second = shown_by(pair.chain)
    assert second != first
    until(lambda: shown_at(port) == second, what="the new certificate")
    assert (client.shown, client.ask()) == (first, "v1")
    after = host.status()
    assert (after["revision"]["active"]["id"], after["problems"]) == (revision, [])
    assert [each["pid"] for each in after["proxies"]] == [each["pid"] for each in before["proxies"]]
    client.close()


class _Client(http.client.HTTPConnection):
    """Asks for `shop.example` of this machine, always on the one connection."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        super().__init__("shop.example", port, timeout=10)
        plain = socket.create_connection(("127.0.0.1", port), 10)
        self.sock: ssl.SSLSocket = context.wrap_socket(plain, server_hostname="shop.example")
        self.auto_open = 0

    @property
    def shown(self) -> bytes | None:
        return self.sock.getpeercert(binary_form=True)

    def ask(self) -> str:
        self.request("GET", "/")
        return self.getresponse().read().decode()


def shown_at(port: int) -> bytes | None:
    """To a client that takes any certificate."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    client = _Client(port, context)
    try:
        return client.shown
    finally:
        client.close()


def shown_by(file: Path) -> bytes:
    return ssl.PEM_cert_to_DER_cert(file.read_text())
