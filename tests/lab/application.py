"""An application of a machine: a unit that answers each request with its version, also after a reboot."""

from __future__ import annotations

from tests.lab.machine import Machine

_PROGRAM = """\
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = sys.argv[2].encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


Server(("", int(sys.argv[1])), Handler).serve_forever()
"""
_UNIT = """\
[Service]
ExecStart=/usr/bin/python3 /opt/application.py %i {version}
DynamicUser=yes
Restart=always

[Install]
WantedBy=multi-user.target
"""


def run_application(machine: Machine, version: str, port: int = 8080) -> None:
    machine.write("/opt/application.py", _PROGRAM)
    machine.write("/etc/systemd/system/application@.service", _UNIT.format(version=version))
    machine.systemctl("daemon-reload")
    machine.systemctl("enable", "--now", f"application@{port}")
