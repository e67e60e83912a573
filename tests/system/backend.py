"""A small HTTP backend on loopback that says which version it is, and remembers what it was asked."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A load that ends closes its connections in the middle of an answer; that is not the backend's fault."""


class Backend:
    """`port` is free when chosen by the kernel; `seen` holds (method, path, headers) of each request."""

    def __init__(self, version: str, address: str = "127.0.0.1", port: int = 0) -> None:
        self.version = version
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self._server = _Server((address, port), self._handler())
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        backend = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                if len(backend.seen) < 10_000:
                    backend.seen.append((self.command, self.path, dict(self.headers)))
                body = backend.version.encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815

            def log_message(self, *_: object) -> None:
                """The test's output is not the place."""

        return Handler
