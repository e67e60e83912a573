"""The mesh of one host that makes use of all that touches its system, and the applications that this takes."""

from __future__ import annotations

from typing import Final

from tests.lab.application import run_application
from tests.lab.machine import Machine
from tests.lab.network import GATEWAY

SOCKET: Final = "/run/app/app.sock"
HEALTHY: Final = "/srv/healthy"
"""There while the probe by command is to succeed."""
PORTS: Final = {"plain": 80, "bank": 8443, "house": 8445, "public": 8444, "proxy": 3128, "grpc": 50051}

WORKLOADS: Final = """\
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: web, annotations: {meshd.io/host: web}}
spec: {address: ADDRESS, labels: {app: web}, serviceAccount: web}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: web-edge, annotations: {meshd.io/host: web}}
spec: {address: ADDRESS, labels: {istio: ingressgateway}}
"""

_PROBED: Final = """\
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: KIND}
spec:
  template: {}
  probe: {periodSeconds: 1, timeoutSeconds: 10, failureThreshold: 1, PROBE}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata:
  name: web-KIND
  annotations: {istio.io/autoRegistrationGroup: KIND, meshd.io/host: web}
spec: {address: ADDRESS, labels: {app: probed}}
"""
PROBES: Final = {
    "exec": f"exec: {{command: [test, -e, {HEALTHY}]}}",
    "grpc": f"grpc: {{port: {PORTS['grpc']}}}",
    "http": "httpGet: {path: /, port: 8080}",
    "tcp": "tcpSocket: {port: 8080}",
}

MESH_CONFIG: Final = f"""\
apiVersion: meshd.io/v1
kind: MeshConfig
metadata: {{name: mesh}}
spec:
  accessLogFile: LOG
  outboundProxies:
  - host: {GATEWAY}
    port: {PORTS["proxy"]}
    credentialName: corporate
    noProxy: [bank.example, house.example, public.example, "*.wild.example"]
"""

_EXTERNAL: Final = """\
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: NAME}
spec:
  hosts: [NAME.example]
  resolution: DNS
  ports: [{number: 80, name: http, protocol: HTTP, targetPort: PORT}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: NAME}
spec:
  host: NAME.example
  workloadSelector: {matchLabels: {app: web}}
  trafficPolicy: {tls: {sni: NAME.example, subjectAltNames: [NAME.example], TLS}}
"""
TLS: Final = {
    "bank": "mode: MUTUAL, credentialName: bank",
    "house": "mode: SIMPLE, caCertificates: /etc/meshd/house.pem",
    "public": "mode: SIMPLE",
}

SERVICES: Final = f"""\
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: socket}}
spec:
  hosts: [socket.example]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  endpoints: [{{address: "unix://{SOCKET}"}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: own}}
spec:
  hosts: [own.example]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{{number: 80, name: http, protocol: HTTP, targetPort: 9080}}]
  workloadSelector: {{labels: {{app: web}}}}
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{name: web}}
spec:
  workloadSelector: {{labels: {{app: web}}}}
  ingress: [{{port: {{number: 9080, protocol: HTTP, name: http}}, defaultEndpoint: "unix://{SOCKET}"}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: world}}
spec:
  hosts: [world.example]
  resolution: DNS
  ports: [{{number: 80, name: http, protocol: HTTP}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: wild}}
spec:
  hosts: ["*.wild.example"]
  resolution: DYNAMIC_DNS
  ports: [{{number: 80, name: http, protocol: HTTP}}]
"""

EDGE: Final = """\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 443, name: https, protocol: HTTPS}
    hosts: [edge.example]
    tls: {mode: SIMPLE, credentialName: edge}
  - port: {number: 0, name: http, protocol: HTTP}
    hosts: [edge.example]
    bind: unix:///run/edge/edge.sock
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: edge}
spec:
  hosts: [edge.example]
  gateways: [edge]
  http: [{route: [{destination: {host: socket.example}}]}]
"""


def mesh(address: str, log: str) -> dict[str, str]:
    """`address` of the host; `log`: where its requests are written down."""
    probed = [_PROBED.replace("KIND", kind).replace("PROBE", probe) for kind, probe in PROBES.items()]
    external = [
        _EXTERNAL.replace("NAME", name).replace("PORT", str(PORTS[name])).replace("TLS", tls)
        for name, tls in TLS.items()
    ]
    texts = {
        "config.yaml": MESH_CONFIG.replace("LOG", log),
        "edge.yaml": EDGE,
        "services.yaml": "---\n".join([SERVICES, *external]),
        "workloads.yaml": "---\n".join([WORKLOADS, *probed]),
    }
    return {name: text.replace("ADDRESS", address) for name, text in texts.items()}


# --- applications -------------------------------------------------------------------------------------------------

_ON_A_SOCKET: Final = """\
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = f"socket {self.headers.get('x-forwarded-client-cert', '')}".strip().encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self):
        return "a socket"

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__("", Handler, bind_and_activate=False)
        self.socket = socket.socket(fileno=3)


Server().serve_forever()
"""
_SOCKET_UNIT: Final = f"""\
[Socket]
ListenStream={SOCKET}
SocketUser=www-data
SocketGroup=meshd-envoy
SocketMode=0660
"""
_ON_A_SOCKET_UNIT: Final = "[Service]\nExecStart=/usr/bin/python3 /opt/on_a_socket.py\nUser=www-data\n"

_OF_GRPC: Final = f"""\
from concurrent.futures import ThreadPoolExecutor

import grpc

check = grpc.unary_unary_rpc_method_handler(lambda request, context: b"\\x08\\x01")
server = grpc.server(ThreadPoolExecutor(1))
service = grpc.method_handlers_generic_handler("grpc.health.v1.Health", {{"Check": check}})
server.add_generic_rpc_handlers((service,))
server.add_insecure_port("0.0.0.0:{PORTS["grpc"]}")
server.start()
server.wait_for_termination()
"""
_OF_GRPC_UNIT: Final = "[Service]\nExecStart=/usr/lib/meshd/bin/python /opt/of_grpc.py\nDynamicUser=yes\n"


def run_applications(machine: Machine) -> None:
    """One on a port, one on a socket of systemd's, and one that answers by gRPC that it is well."""
    units = {
        "/opt/on_a_socket.py": _ON_A_SOCKET,
        "/opt/of_grpc.py": _OF_GRPC,
        "/etc/systemd/system/on-a-socket.socket": _SOCKET_UNIT,
        "/etc/systemd/system/on-a-socket.service": _ON_A_SOCKET_UNIT,
        "/etc/systemd/system/of-grpc.service": _OF_GRPC_UNIT,
    }
    for path, text in units.items():
        machine.write(path, text)
    run_application(machine, "v1")
    machine.write(HEALTHY, "")
    machine.systemctl("start", "on-a-socket.socket", "of-grpc")
