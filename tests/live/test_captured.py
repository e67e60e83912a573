"""What applications open on a host that captures: each connection ends where its address and its first bytes say."""

from __future__ import annotations

import http.client
import shutil
import socket
import ssl
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from meshd.capture.served import served_by, written
from meshd.compiler import Reach, compile_plan
from meshd.envoy import assignments, render
from meshd.envoy.bootstrap import BootstrapSettings
from meshd.envoy.fallback import fallback
from meshd.memo import Memo
from meshd.mesh.load import load
from meshd.names import BlobId, HostName
from meshd.problems import errors
from tests.capture.machines import socket_of
from tests.envoy.process import admin, logged, running
from tests.live.certificates import authority, server_context
from tests.live.namespace import Namespace, namespace
from tests.live.raw import accepting
from tests.waiting import until

pytestmark = pytest.mark.envoy

APP, OTHER_APP, APP_SIX = "10.9.0.2", "10.9.0.3", "fd09::2"
A, B, C = "10.9.1.1", "10.9.1.2", "10.9.1.3"
ROUTER, ROUTER_SIX = "10.9.0.1", "fd09::1"
AGENT, ENVOY, MONITORING = 64002, 64003, 64004
CONFIGURATION = """
repository: {{url: /mesh.git}}
capture: nftables
nftables:
  agentUser: {agent}
  proxyUser: {envoy}
  excludeOutboundIPRanges: [10.99.9.0/24, "fd99:9::/32"]
  excludeOutboundPorts: [22, 7100]
  excludeInboundPorts: [9302]
  excludeOutboundUsers: [{monitoring}]
stateDirectory: {state}
"""
MESH = f"""
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: here}}
spec:
  hosts: [here.example]
  addresses: [10.96.0.9, "fd96::9"]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{{number: 9300, name: tcp, protocol: TCP}}]
  endpoints: [{{address: {APP}}}]
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: vm-1}}
spec: {{address: {APP}}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: six, annotations: {{meshd.io/host: vm-1}}}}
spec: {{address: "{APP_SIX}"}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: a}}
spec:
  hosts: [a.example]
  addresses: [10.96.0.1, "fd96::1"]
  resolution: STATIC
  ports:
  - {{number: 7000, name: tcp, protocol: TCP}}
  - {{number: 3306, name: mysql, protocol: MYSQL}}
  endpoints: [{{address: {A}}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: b}}
spec:
  hosts: [b.example]
  addresses: [10.96.0.2]
  resolution: STATIC
  ports: [{{number: 7000, name: tcp, protocol: TCP}}]
  endpoints: [{{address: {B}}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: wide}}
spec:
  hosts: [wide.example]
  addresses: [10.97.0.0/16]
  resolution: STATIC
  ports: [{{number: 7001, name: tcp, protocol: TCP, targetPort: 7000}}]
  endpoints: [{{address: {C}}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: wide}}
spec:
  hosts: [wide.example]
  tcp:
  - match: [{{destinationSubnets: [10.97.0.0/17]}}]
    route: [{{destination: {{host: b.example}}}}]
  - match: [{{destinationSubnets: [10.97.1.0/24]}}]
    route: [{{destination: {{host: a.example, port: {{number: 7000}}}}}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: sources}}
spec:
  hosts: [sources.example]
  addresses: [10.96.0.3]
  resolution: STATIC
  ports: [{{number: 7002, name: tcp, protocol: TCP, targetPort: 7000}}]
  endpoints: [{{address: {C}}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: sources}}
spec:
  hosts: [sources.example]
  tcp:
  - match: [{{sourceSubnet: {OTHER_APP}}}]
    route: [{{destination: {{host: b.example}}}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: dialled}}
spec:
  hosts: [dialled.example]
  addresses: [10.98.0.0/16]
  resolution: NONE
  ports: [{{number: 7003, name: tcp, protocol: TCP}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: dialled-elsewhere}}
spec:
  hosts: [dialled-elsewhere.example]
  addresses: [10.98.0.0/16]
  resolution: NONE
  ports: [{{number: 7005, name: tcp, protocol: TCP, targetPort: 7003}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: passed}}
spec:
  hosts: [passed.example]
  addresses: [10.98.0.0/16]
  resolution: STATIC
  ports: [{{number: 7006, name: tcp, protocol: TCP}}, {{number: 7007, name: http, protocol: HTTP}}]
  endpoints: [{{address: {A}, ports: {{tcp: 7000, http: 9000}}}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: passed}}
spec: {{host: passed.example, trafficPolicy: {{loadBalancer: {{simple: PASSTHROUGH}}}}}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: weighted}}
spec:
  hosts: [weighted.example]
  addresses: [10.96.0.4]
  resolution: STATIC
  ports: [{{number: 7008, name: tcp, protocol: TCP, targetPort: 7000}}]
  endpoints: [{{address: {A}}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: weighted}}
spec:
  hosts: [weighted.example]
  tcp:
  - match: [{{destinationSubnets: [10.96.0.4]}}]
    route:
    - {{destination: {{host: b.example}}, weight: 1}}
    - {{destination: {{host: weighted.example}}, weight: 1}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: network-of-requests}}
spec:
  hosts: [10.97.0.0/17]
  http: [{{route: [{{destination: {{host: shared.example}}}}]}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: network-of-connections}}
spec:
  hosts: [10.97.192.0/18]
  tcp: [{{match: [{{port: 7009}}], route: [{{destination: {{host: b.example}}}}]}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: bound}}
spec:
  hosts: [bound.example, offered.example, not-offered.example]
  resolution: STATIC
  ports: [{{number: 7010, name: http, protocol: HTTP}}, {{number: 7011, name: alt, protocol: HTTP}}]
  endpoints: [{{address: {A}, ports: {{http: 9000, alt: 9000}}}}]
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{name: default}}
spec:
  egress:
  - {{port: {{number: 7010, protocol: HTTP, name: bound}}, captureMode: NONE, hosts: [./bound.example]}}
  - {{port: {{number: 7011, protocol: HTTP, name: some}}, captureMode: IPTABLES, hosts: [./offered.example]}}
  - {{hosts: ["*/*"]}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: shared}}
spec:
  hosts: [shared.example]
  resolution: STATIC
  ports: [{{number: 9000, name: http, protocol: HTTP}}]
  endpoints: [{{address: {A}}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: secure}}
spec:
  hosts: [secure.example]
  resolution: STATIC
  ports: [{{number: 9000, name: tls, protocol: TLS, targetPort: 8443}}]
  endpoints: [{{address: {B}}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: secure}}
spec:
  hosts: [secure.example, "*.secure.example"]
  tls:
  - match: [{{sniHosts: [www.secure.example]}}]
    route: [{{destination: {{host: other.example}}}}]
  - match: [{{sniHosts: [secure.example]}}]
    route: [{{destination: {{host: secure.example}}}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: other}}
spec:
  hosts: [other.example]
  resolution: STATIC
  ports: [{{number: 9001, name: tls, protocol: TLS, targetPort: 8443}}]
  endpoints: [{{address: {C}}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: raw}}
spec:
  hosts: [raw.example]
  resolution: STATIC
  ports: [{{number: 9000, name: tcp, protocol: TCP, targetPort: 7000}}]
  endpoints: [{{address: {C}}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: twice}}
spec:
  hosts: [twice.example]
  resolution: STATIC
  ports: [{{number: 7020, name: http, protocol: HTTP, targetPort: 8443}}]
  endpoints: [{{address: {B}}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: twice}}
spec:
  host: twice.example
  trafficPolicy: {{tls: {{mode: SIMPLE, insecureSkipVerify: true}}}}
---
apiVersion: meshd.io/v1
kind: MeshConfig
metadata: {{name: mesh}}
spec:
  outboundTrafficPolicy: {{mode: POLICY}}
"""
SERVERS = (
    *((address, 7000) for address in (A, B, C)),
    ("10.98.3.4", 7003),
    ("10.98.3.4", 7006),
    ("10.99.0.1", 7004),
    ("10.99.0.1", 7100),
    ("10.99.9.1", 7004),
)


@dataclass(frozen=True, kw_only=True)
class Machine:
    """`room` has the applications and their sidecar, `outside` all others, and the way to them."""

    room: Namespace
    outside: Namespace
    settings: BootstrapSettings

    def connect(self, address: str, port: int, app: str = APP, user: int = 0) -> socket.socket:
        return self.room.within(_connected, (address, port), app, user)

    def told(self, address: str, port: int, app: str = APP, user: int = 0) -> str:
        """Who answers a few bytes that are no request; nobody when the connection is closed."""
        with self.connect(address, port, app, user) as connection, suppress(ConnectionResetError):
            connection.sendall(b"hello\n")
            return connection.recv(100).decode()
        return ""

    def told_outside(self, address: str, port: int) -> str:
        """The same, for who connects from another machine."""
        source = ROUTER_SIX if ":" in address else ROUTER
        with self.outside.within(_connected, (address, port), source, 0) as connection, suppress(ConnectionResetError):
            connection.sendall(b"hello\n")
            return connection.recv(100).decode()
        return ""

    def log_of(self, **words: str) -> dict[str, Any]:
        """The first line of the access log that says all this."""
        return until(lambda: next((line for line in logged(self.settings) if words.items() <= line.items()), {}))

    def told_by_tls(self, address: str, port: int, name: str) -> str:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        try:
            with context.wrap_socket(self.connect(address, port), server_hostname=name) as connection:
                return connection.recv(100).decode()
        except OSError:
            return ""

    def get(self, address: str, port: int, host: str, app: str = APP) -> tuple[int, str]:
        """The status and who answered, or why nobody did."""
        client = http.client.HTTPConnection(address, port)
        client.sock = self.connect(address, port, app)
        try:
            client.request("GET", "/", headers={"Host": host})
            answer = client.getresponse()
            return answer.status, answer.read().decode() or answer.headers.get("x-meshd-reason", "")
        finally:
            client.close()


@pytest.fixture(scope="module")
def strict(envoy_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with _machine(envoy_binary, tmp_path_factory, "REGISTRY_ONLY") as machine:
        yield machine


@pytest.fixture(scope="module")
def open_minded(envoy_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with _machine(envoy_binary, tmp_path_factory, "ALLOW_ANY") as machine:
        yield machine


@contextmanager
def _machine(binary: Path, factory: pytest.TempPathFactory, policy: str) -> Iterator[Machine]:
    """Whole networks are local to the machine beside it, so that any address in them can be dialled."""
    networks = ("10.96.0.1/16", "10.97.0.1/16", "10.98.0.1/16", "10.99.0.1/16", "fd96::1/128", "fd99:9::1/128")
    pair = authority(factory.mktemp("certificates")).signed("any", "DNS:any.example")
    outward = (*(f"{each}/32" for each in (A, B, C)), *networks)
    with namespace() as room, namespace(*outward) as outside, ExitStack() as stack:
        room.link(outside, f"{APP}/24", f"{ROUTER}/24", f"{APP_SIX}/64", f"{ROUTER_SIX}/64")
        room.run("ip", "address", "add", f"{OTHER_APP}/24", "dev", "eth0")
        room.run("ip", "route", "add", "default", "via", ROUTER)
        room.run("ip", "route", "add", "default", "via", ROUTER_SIX)
        for address, port in SERVERS:
            stack.enter_context(_serving(outside, address, port, _answer(address)))
        for address, port in ((A, 9000), ("10.99.0.1", 9000), ("10.98.3.4", 7007)):
            stack.enter_context(_serving(outside, address, port, _http(address)))
        for address in (B, C):
            stack.enter_context(_serving(outside, address, 8443, _tls(address, server_context(pair))))
        stack.enter_context(_serving(outside, A, 3306, _greet))
        for port in (9300, 9301, 9302):
            stack.enter_context(accepting(room.within(_on_all_addresses, port), _tell_the_client))
        settings = stack.enter_context(_envoy(binary, room, policy))
        _apply(room, Path(settings.admin_socket).parent)
        yield Machine(room=room, outside=outside, settings=settings)


def _apply(room: Namespace, directory: Path) -> None:
    """As the unit does it."""
    file = directory / "meshd.yaml"
    users = {"agent": AGENT, "envoy": ENVOY, "monitoring": MONITORING}
    file.write_text(CONFIGURATION.format(state=directory, **users))
    room.run(sys.executable, "-m", "meshd", "capture", "apply", "--wait", "20", "--config", str(file))


@contextmanager
def _envoy(binary: Path, room: Namespace, policy: str) -> Iterator[BootstrapSettings]:
    directory = Path(tempfile.mkdtemp(prefix="m", dir="/tmp"))
    directory.chmod(0o777)
    within = directory / "envoy"
    as_envoy = ("setpriv", f"--reuid={ENVOY}", f"--regid={ENVOY}", "--clear-groups", binary)
    within.write_text(f'#!/bin/sh\nexec {" ".join(room.command(*as_envoy))} "$@"\n')
    within.chmod(0o755)
    settings = BootstrapSettings(
        proxy="sidecar",
        host=HostName("vm-1"),
        xds_socket=str(directory / "xds.sock"),
        admin_socket=str(directory / "admin.sock"),
    )
    try:
        with running(within, _configuration(policy, settings), settings):
            yield settings
    finally:
        shutil.rmtree(directory)


def _configuration(policy: str, settings: BootstrapSettings) -> bytes:
    memo = Memo()
    loaded = load({"mesh.yaml": BlobId("mesh")}, lambda _: MESH.replace("POLICY", policy).encode(), memo)
    assert loaded.mesh, [str(problem) for problem in loaded.problems]
    compiled = compile_plan(loaded.mesh, HostName("vm-1"), Reach(capture="nftables", http_proxy_port=0), memo)
    assert not errors(compiled.problems), compiled.problems
    (plan,) = compiled.plans
    Path(settings.admin_socket).with_name("capture.json").write_bytes(written(served_by([plan])))
    return fallback(render(plan, memo), assignments(plan, {}, memo), settings)


# --- who answers ----------------------------------------------------------------------------------------------

Talk = Callable[[socket.socket], None]


def _answer(name: str) -> Talk:
    def talk(connection: socket.socket) -> None:
        connection.recv(100)
        connection.sendall(name.encode())

    return talk


def _http(name: str) -> Talk:
    def talk(connection: socket.socket) -> None:
        connection.recv(10_000)
        connection.sendall(f"HTTP/1.1 200 OK\r\ncontent-length: {len(name)}\r\n\r\n{name}".encode())

    return talk


def _tls(name: str, context: ssl.SSLContext) -> Talk:
    def talk(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            secure.sendall(name.encode())

    return talk


def _tell_the_client(connection: socket.socket) -> None:
    connection.recv(100)
    connection.sendall(connection.getpeername()[0].removeprefix("::ffff:").encode())


def _on_all_addresses(port: int) -> socket.socket:
    return socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)


def _connected(to: tuple[str, int], source: str, user: int) -> socket.socket:
    connection = socket_of(user, socket.AF_INET6 if ":" in source else socket.AF_INET)
    connection.settimeout(10)
    try:
        connection.bind((source, 0))
        connection.connect(to)
    except OSError:
        connection.close()
        raise
    return connection


def _greet(connection: socket.socket) -> None:
    connection.sendall(b"5.7.0-shop\n")


def _serving(room: Namespace, address: str, port: int, talk: Talk) -> AbstractContextManager[int]:
    return accepting(room.within(socket.create_server, (address, port)), talk)


# --- by what is redirected ------------------------------------------------------------------------------------

PASSED_ON, PASSED_ON_SIX = "127.0.0.6", "::1"
"""Whom an application sees when a sidecar stands between it and its client."""


@pytest.mark.parametrize("port", [9300, 9301], ids=["of a service", "of none"])
@pytest.mark.parametrize(("address", "client"), [(APP, PASSED_ON), (APP_SIX, PASSED_ON_SIX)])
def test_what_comes_in_comes_by_the_sidecar(strict, address, port, client):
    assert strict.told_outside(address, port) == client


def test_but_not_to_ports_that_are_excluded(strict):
    assert strict.told_outside(APP, 9302) == ROUTER
    assert strict.told_outside(APP_SIX, 9302) == ROUTER_SIX


def test_a_host_that_calls_itself_meets_its_own_sidecar(strict):
    assert strict.told(APP, 9300) == PASSED_ON
    assert strict.told(APP_SIX, 9300, APP_SIX) == PASSED_ON_SIX
    assert strict.told(APP, 9302) == APP


def test_so_it_does_by_the_name_of_its_service(strict):
    """Out by the sidecar and in by it: the proxy's own connections to this host are redirected too."""
    assert strict.told("10.96.0.9", 9300) == PASSED_ON
    assert strict.told("fd96::9", 9300, APP_SIX) == PASSED_ON


def test_but_not_over_loopback(strict):
    assert strict.told("127.0.0.1", 9300, "127.0.0.1") == "127.0.0.1"


def test_ways_that_are_excluded_pass_the_sidecar_by(strict):
    """It refuses what is not in the registry."""
    assert strict.told("10.99.0.1", 7004) == ""
    assert strict.told("10.99.9.1", 7004) == "10.99.9.1"
    assert strict.told("10.99.0.1", 7100) == "10.99.0.1"


def test_so_do_users_that_are(strict):
    assert strict.told("10.99.0.1", 7004, user=MONITORING) == "10.99.0.1"
    assert strict.told(APP, 9300, user=MONITORING) == APP
    assert strict.told("10.99.0.1", 7004, user=AGENT) == "10.99.0.1"


# --- by address -----------------------------------------------------------------------------------------------


@pytest.mark.spec("S-2")
def test_an_address_of_its_own_leads_to_the_service(strict):
    assert strict.told("10.96.0.1", 7000) == A
    assert strict.told("10.96.0.2", 7000) == B


@pytest.mark.spec("S-2")
def test_so_does_one_of_the_other_family(strict):
    assert strict.told("fd96::1", 7000, APP_SIX) == A


def test_a_server_that_speaks_first_is_heard_at_an_address_of_its_own(strict):
    with strict.connect("10.96.0.1", 3306) as connection:
        assert connection.recv(100) == b"5.7.0-shop\n"


@pytest.mark.spec("V-110", "V-114")
def test_rules_hold_in_the_order_in_which_they_are_written(strict):
    """Envoy alone would prefer the narrower network of the second."""
    assert strict.told("10.97.1.9", 7001) == B
    assert strict.told("10.97.9.9", 7001) == B
    assert strict.told("10.97.200.9", 7001) == C


@pytest.mark.spec("V-112")
def test_a_rule_may_look_at_who_connects(strict):
    assert strict.told("10.96.0.3", 7002, OTHER_APP) == B
    assert strict.told("10.96.0.3", 7002, APP) == C


@pytest.mark.spec("S-8")
def test_a_service_without_endpoints_is_called_where_it_was_dialled(strict):
    assert strict.told("10.98.3.4", 7003) == "10.98.3.4"


@pytest.mark.spec("S-6", "S-8")
def test_but_on_another_port_where_it_says_so(strict):
    assert strict.told("10.98.3.4", 7005) == "10.98.3.4"


@pytest.mark.spec("D-11")
def test_endpoints_are_passed_over_where_the_policy_says_so(strict):
    assert strict.told("10.98.3.4", 7006) == "10.98.3.4"
    assert strict.get("10.98.3.4", 7007, "passed.example") == (200, "10.98.3.4")


@pytest.mark.spec("V-114")
def test_connections_are_shared(strict):
    assert {strict.told("10.96.0.4", 7008) for _ in range(40)} == {A, B}


@pytest.mark.spec("V-1")
def test_a_network_may_be_the_host_of_rules(strict):
    assert strict.get("10.97.5.5", 80, "whatever.example") == (200, A)
    assert strict.told("10.97.200.5", 80) == ""
    assert strict.told("10.97.200.5", 7009) == B
    assert strict.told("10.97.5.5", 7009) == ""


@pytest.mark.spec("SC-10", "SC-12")
def test_an_entry_of_a_sidecar_is_bound_or_captured(strict):
    """What is bound is reached without capture, too; what one entry has, the later ones leave alone."""
    assert strict.get("127.0.0.1", 7010, "bound.example", "127.0.0.1") == (200, A)
    assert strict.get("127.0.0.1", 7010, "offered.example", "127.0.0.1")[0] == 502
    assert strict.get("10.99.0.9", 7011, "offered.example") == (200, A)
    assert strict.get("10.99.0.9", 7011, "not-offered.example")[0] == 502
    with pytest.raises(ConnectionRefusedError):
        strict.connect("127.0.0.1", 7011, "127.0.0.1")


# --- by the first bytes ---------------------------------------------------------------------------------------


@pytest.mark.spec("V-101", "V-104")
def test_http_tls_and_other_bytes_share_a_port(strict):
    assert strict.get("10.99.0.9", 9000, "shared.example") == (200, A)
    assert strict.told_by_tls("10.99.0.9", 9000, "secure.example") == B
    assert strict.told_by_tls("10.99.0.9", 9000, "www.secure.example") == C
    assert strict.told("10.99.0.9", 9000) == C


# --- what is unknown ------------------------------------------------------------------------------------------


@pytest.mark.spec("SC-14")
def test_what_is_unknown_is_refused(strict):
    assert strict.told("10.99.0.1", 7004) == ""
    assert strict.get("10.99.0.1", 9000, "unknown.example") == (502, "host unknown.example is not in the registry")
    assert strict.told("10.97.1.9", 7009) == ""


@pytest.mark.spec("SC-14")
def test_the_log_names_the_host_that_was_asked_for(strict):
    strict.get("10.99.0.1", 9000, "unnamed.example")

    line = strict.log_of(authority="unnamed.example")
    assert (line["response_code"], line["route_name"]) == (502, "block_all")
    assert line["reason"] == "host unnamed.example is not in the registry"
    assert line["downstream_local_address"] == "10.99.0.1:9000"


@pytest.mark.spec("SC-14")
def test_the_log_names_the_server_name_of_tls_that_is_not_in_the_registry(strict):
    strict.told_by_tls("10.99.0.9", 443, "unnamed.example")

    line = strict.log_of(requested_server_name="unnamed.example")
    assert (line["upstream_cluster"], line["response_flags"]) == ("BlackHoleCluster", "UH")
    assert line["downstream_local_address"] == "10.99.0.9:443"


@pytest.mark.spec("SC-14")
def test_the_log_names_the_address_of_bytes_that_nobody_takes(strict):
    strict.told("10.99.0.77", 7004)

    line = strict.log_of(downstream_local_address="10.99.0.77:7004")
    assert (line["upstream_cluster"], line["response_flags"]) == ("BlackHoleCluster", "UH")
    counted = admin(strict.settings, "/stats?filter=^tcp.BlackHoleCluster.downstream_cx_total$")
    assert int(counted.rpartition(":")[2]) > 0


def test_the_log_tells_of_tls_where_the_proxy_would_open_it_itself(strict):
    """An application that speaks https to a port that is plain HTTP here, whose TLS the mesh opens."""
    assert strict.told_by_tls("10.96.0.9", 7020, "twice.example") == ""

    line = strict.log_of(requested_server_name="twice.example")
    assert (line["response_code_details"], line["response_flags"]) == ("http1.codec_error", "DPE")
    assert line["downstream_local_address"] == "10.96.0.9:7020"


def test_the_log_is_silent_about_what_went_well(strict):
    assert strict.get("10.99.0.9", 9000, "shared.example") == (200, A)
    assert strict.told_by_tls("10.99.0.9", 9000, "secure.example") == B
    assert strict.told("10.96.0.1", 7000) == A
    strict.told("10.99.0.79", 7004)

    assert strict.log_of(downstream_local_address="10.99.0.79:7004")
    told = logged(strict.settings)
    assert [line for line in told if line["response_flags"] == "-" and line["response_code"] < 500] == []


@pytest.mark.spec("SC-14")
def test_or_passed_on_to_where_it_was_going(open_minded):
    assert open_minded.told("10.99.0.1", 7004) == "10.99.0.1"
    assert open_minded.get("10.99.0.1", 9000, "unknown.example") == (200, "10.99.0.1")


@pytest.mark.parametrize("policy", ["strict", "open_minded"])
def test_the_port_of_the_capture_itself_leads_nowhere(policy, request):
    assert request.getfixturevalue(policy).told("10.99.0.1", 15001) == ""
