"""What is beyond the lab's machines, on the bridge: HTTP servers, with TLS or without, that say who asked them."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.lab.network import GATEWAY, Netns
from tests.live.forward_proxy import ForwardProxy
from tests.live.raw import accepting


class _Answer(BaseHTTPRequestHandler):
    """Its server's name, and that of the client's certificate. Each connection is for one request."""

    server: _Server

    def do_GET(self) -> None:
        body = " ".join([self.server.named, *self._client()]).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _client(self) -> list[str]:
        shown = self.connection.getpeercert() if isinstance(self.connection, ssl.SSLSocket) else None
        return [value for part in (shown or {}).get("subject", ()) for _, value in part]

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    named = ""
    tls: ssl.SSLContext | None = None

    def finish_request(self, request: object, client_address: object) -> None:
        """The handshake on the thread of the connection: one that fails holds up nobody."""
        assert isinstance(request, socket.socket)
        if self.tls is None:
            super().finish_request(request, client_address)
            return
        request.settimeout(10)
        with self.tls.wrap_socket(request, server_side=True) as secure:
            super().finish_request(secure, client_address)

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that do not trust it are part of the tests."""


class _ServerSix(_Server):
    address_family = socket.AF_INET6


@contextmanager
def answering(
    lab: Netns, named: str, port: int, tls: ssl.SSLContext | None = None, address: str = GATEWAY
) -> Iterator[None]:
    kind = _ServerSix if ":" in address else _Server
    server = lab.within(kind, (address, port), _Answer)
    server.named, server.tls = named, tls
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def proxying(lab: Netns, proxy: ForwardProxy, port: int) -> Iterator[None]:
    served = accepting(lab.within(socket.create_server, (GATEWAY, port)), proxy)
    lab.within(served.__enter__)  # where it leads to is of that network too
    try:
        yield
    finally:
        served.__exit__(None, None, None)
