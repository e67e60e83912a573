"""Faults of connections on a real Envoy: by the capture, at bound ports, outside the mesh and at gateways (A.11)."""

from __future__ import annotations

import socket
import ssl
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from meshd.compiler import Reach
from tests.live.backends import Backends
from tests.live.certificates import Authority, server_context
from tests.live.forward_proxy import ForwardProxy
from tests.live.hosts import Hosts, running_hosts
from tests.live.namespace import Namespace, namespace
from tests.live.raw import Talk, accepting, answering, answering_in_tls, greeting, serving, showing
from tests.live.requests import Keys
from tests.waiting import until

pytestmark = pytest.mark.envoy

MANY = 200
RARELY = 0.05 * MANY
"""Where a client speaks just when it is reset, Envoy lets it have an end of file."""
APP, APP_SIX, BATCH, EDGE = "10.7.0.2", "fd07::2", "10.7.0.3", "10.7.0.4"
CUT, LATE, SOME, BOTH, SLOW, HEADED, SECURE, TUNNEL = (f"10.7.1.{number}" for number in range(1, 9))
LATE_SIX = "fd07:1::5"
ECHO, SECOND, IN_TLS, FIRST, PROXY = (f"10.7.2.{number}" for number in range(1, 6))
BLOCK, NEAR, FAR = "10.7.9.0/24", "10.7.9.5", "10.7.9.6"
LOCAL = "127.0.0.1"
CAPTURE = f"""
table inet meshd {{
  chain outbound {{
    type nat hook output priority -100;
    ip saddr {APP} tcp dport != 15001 redirect to :15001
    ip6 saddr {APP_SIX} tcp dport != 15001 redirect to :15001
  }}
}}
"""

AT_ONCE = '{"terminate": {}}'
SOON = '{"terminate": {"terminateAfterPeriod": "300ms"}}'
SOME_AT_ONCE = '{"terminate": {"percent": 40}}'
HALF_SLOW = '{"throttle": {"percent": 50, "downstreamLimitBps": 1000000000}}'
BOTH_HALF = '{"throttle": {"percent": 50, "upstreamLimitBps": 1000000000}, "terminate": {"percent": 50}}'
BOTH_ALL = f"{HALF_SLOW[:-1].replace('50', '100')}, {SOON[1:]}"
LIMITED = '{"throttle": {"downstreamLimitBps": 819200, "upstreamLimitBps": 8192000}}'


def service(name: str, address: str, *endpoints: str, protocol: str = "TCP") -> str:
    listed = ", ".join(
        f"{{address: {each}, ports: {{port: 9001}}, labels: {{version: v{number}}}}}"
        for number, each in enumerate(endpoints or (ECHO,), 1)
    )
    return f"""
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}}}
spec:
  hosts: [{name}.example]
  addresses: ["{address}"]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{{number: 7000, name: port, protocol: {protocol}}}]
  endpoints: [{listed}]
---"""


def rule(name: str, destination: str, fault: str, *shares: int) -> str:
    split = ", ".join(f"{{labels: {{version: v{number}}}, weight: {each}}}" for number, each in enumerate(shares, 1))
    route = f"route: [{split}]," if shares else ""
    return f"""
kind: RouteRule
metadata: {{name: {name}}}
spec: {{destination: {{service: "{destination}"}}, match: {{tcp: {{}}}}, {route} l4Fault: {fault}}}
---"""


def by_extras(name: str, fault: str, policy: str, address: str, *endpoints: str) -> str:
    """In the words of today, and of the extras."""
    extras = f'{{"tcp": {{"0": {{"l4Fault": {fault}}}}}}}'
    return f"""
{service(name, address, *endpoints)}
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}, annotations: {{meshd.io/extras: '{extras}'}}}}
spec: {{hosts: [{name}.example], tcp: [{{route: [{{destination: {{host: {name}.example}}}}]}}]}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: {name}}}
spec: {{host: {name}.example, trafficPolicy: {policy}}}
---"""


WILD = f"""
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: wild}}
spec:
  hosts: ["*.wild.localhost"]
  location: MESH_EXTERNAL
  resolution: DYNAMIC_DNS
  ports: [{{number: 9001, name: tls, protocol: TLS}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: wild, annotations: {{meshd.io/extras: '{{"tls": {{"0": {{"l4Fault": {HALF_SLOW}}}}}}}'}}}}
spec:
  hosts: ["*.wild.localhost"]
  tls: [{{match: [{{sniHosts: ["*.wild.localhost"]}}], route: [{{destination: {{host: "*.wild.localhost"}}}}]}}]
---"""
HOSTS = f"""
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: web-1}}
spec: {{address: {APP}, labels: {{app: web}}}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: six, annotations: {{meshd.io/host: web-1}}}}
spec: {{address: "{APP_SIX}"}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: web-2}}
spec: {{address: {BATCH}, labels: {{app: batch}}}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: edge}}
spec: {{address: {EDGE}, labels: {{app: ingress}}}}
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{name: batch}}
spec:
  workloadSelector: {{labels: {{app: batch}}}}
  egress:
  - {{port: {{number: 7000, protocol: TCP, name: port}}, bind: {LOCAL}, hosts: [./split.example]}}
  - {{port: {{number: 0, protocol: TCP, name: socket}}, bind: "unix://$socket", hosts: [./late.example]}}
---
apiVersion: meshd.io/v1
kind: MeshConfig
metadata: {{name: mesh}}
spec:
  ingressGateway: {{selector: {{app: ingress}}}}
  outboundTrafficPolicy: {{mode: REGISTRY_ONLY}}
---"""
MESH = f"""
{HOSTS}
{service("cut", CUT, FIRST)}{rule("cut", "cut.example", AT_ONCE)}
{service("late", LATE)}{rule("late", "late.example", SOON)}
{service("six", LATE_SIX)}{rule("six", "six.example", SOON)}
{service("some", SOME, ECHO, SECOND)}{rule("some", "some.example", SOME_AT_ONCE, 50, 50)}
{service("both", BOTH)}{rule("both", "both.example", BOTH_HALF)}
{service("slow", SLOW)}{rule("slow", "slow.example", LIMITED)}
{service("split", "10.7.1.99", ECHO, SECOND)}{rule("split", "split.example", BOTH_ALL, 50, 50)}
{service("secure", SECURE, IN_TLS, protocol="TLS")}{rule("secure", "secure.example", HALF_SLOW)}
{by_extras("headed", HALF_SLOW, "{proxyProtocol: {version: V1}}", HEADED)}
{by_extras("tunnel", HALF_SLOW, f"{{tunnel: {{targetHost: {ECHO}, targetPort: 9001}}}}", TUNNEL, PROXY)}
{WILD}
kind: EgressRule
metadata: {{name: block}}
spec: {{destination: {{service: {BLOCK}}}, ports: [{{port: 9000, protocol: tcp}}]}}
---
{rule("block", BLOCK, HALF_SLOW)}
kind: IngressRule
metadata: {{name: bytes}}
spec: {{port: 7100, destination: {{service: both.example}}, destinationPort: 7000}}
"""


@pytest.fixture(scope="module")
def proxy() -> Iterator[ForwardProxy]:
    with serving(showing) as port:
        yield ForwardProxy(leads={f"{ECHO}:9001": port})


@pytest.fixture(scope="module")
def room(ca: Authority, proxy: ForwardProxy) -> Iterator[Namespace]:
    """With everybody who answers in it."""
    context = server_context(ca.signed("faulty", "DNS:secure.example"))
    answers: tuple[tuple[str, int, Talk], ...] = (
        (ECHO, 9001, showing),
        (SECOND, 9001, answering("second")),
        (IN_TLS, 9001, answering_in_tls("in TLS", context)),
        (FIRST, 9001, greeting(b"the server speaks first")),
        (PROXY, 9001, proxy),
        (LOCAL, 9001, answering_in_tls("wild", context)),
        (NEAR, 9000, answering("near")),
        (FAR, 9000, answering("far!")),
    )
    own = [f"{each}/32" for each in (APP, BATCH, EDGE, *(each for each, _, _ in answers if each != LOCAL))]
    with namespace(*own, f"{APP_SIX}/128") as made, ExitStack() as stack:
        made.run("nft", "-f", "-", given=CAPTURE)
        made.run("ip", "route", "add", "local", "10.7.1.0/24", "dev", "lo")
        made.run("ip", "-6", "route", "add", "local", "fd07:1::/64", "dev", "lo")
        for address, port, talk in answers:
            stack.enter_context(accepting(made.within(socket.create_server, (address, port)), talk))
        yield made


@pytest.fixture(scope="module")
def unix() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="m", dir="/tmp") as directory:
        yield Path(directory) / "late"


@pytest.fixture(scope="module")
def hosts(envoy_binary: Path, room: Namespace, backends: Backends, keys: Keys, unix: Path) -> Iterator[Hosts]:
    text = MESH.replace("$socket", str(unix))
    reach = {"web-1": Reach(capture="nftables"), "web-2": Reach(), "edge": Reach()}
    with running_hosts(envoy_binary, room, backends, keys, text, reach, {}) as running:
        yield running


def dialled(hosts: Hosts, address: str, port: int = 7000) -> socket.socket:
    source = APP_SIX if ":" in address else APP
    return hosts.room.within(socket.create_connection, (address, port), 10, (source, 0))


def end(connect: Callable[[], socket.socket], says: bytes = b"") -> tuple[bytes, str]:
    """What comes, and how it ends: `RST`, `FIN`, or ``, which is that it goes on after as much as was said.

    One that is reset at once may be so before its client has noticed that it is there.
    """
    heard = b""
    try:
        with connect() as connection:
            if says:
                connection.sendall(says)
            while not says or len(heard) < len(says):
                chunk = connection.recv(65536)
                if not chunk:
                    return heard, "FIN"
                heard += chunk
    except (ConnectionResetError, BrokenPipeError):
        return heard, "RST"
    return heard, ""


def ends(count: int, connect: Callable[[], socket.socket], says: bytes = b"hello\n") -> Counter[str]:
    return Counter(end(connect, says)[1] for _ in range(count))


def went(hosts: Hosts, host: str, name: str) -> int:
    """How many connections a listener inside has taken."""
    return hosts.count(host, rf"^tcp\.{name}\.downstream_cx_total$")


# --- cut off --------------------------------------------------------------------------------------------------


@pytest.mark.spec("L4F-01", "L4F-07", "TRM-01", "TRM-02", "TRM-03")
def test_connections_are_reset_at_once_whoever_would_speak_first(hosts: Hosts):
    assert end(lambda: dialled(hosts, CUT)) == (b"", "RST")
    assert end(lambda: dialled(hosts, CUT), says=b"hello") == (b"", "RST")
    assert hosts.connections("web-1", r"outbound\|7000\|\|cut.example") == 0


@pytest.mark.spec("TRM-01", "TRM-03")
@pytest.mark.parametrize("address", [LATE, LATE_SIX])
def test_connections_work_until_their_time_is_over(hosts: Hosts, address: str):
    with dialled(hosts, address) as connection:
        connection.sendall(b"hello")
        assert connection.recv(100) == b"hello"
        with pytest.raises(ConnectionResetError):
            connection.recv(100)
    assert end(lambda: dialled(hosts, address)) == (b"", "RST")


@pytest.mark.spec("TRM-02", "L4F-01", "RR-08")
def test_a_share_of_connections_is_reset_and_the_others_go_by_weight(hosts: Hosts):
    heard = Counter(end(lambda: dialled(hosts, SOME), says=b"123456") for _ in range(MANY))

    assert heard.pop((b"", "FIN"), 0) < RARELY
    assert set(heard) == {(b"", "RST"), (b"123456", ""), (b"second", "")}
    assert 0.2 * MANY < heard[b"", "RST"] < 0.6 * MANY
    assert min(heard.values()) > 0.1 * MANY


@pytest.mark.spec("L4F-01")
def test_at_a_unix_socket_too(hosts: Hosts, unix: Path):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(unix))
        connection.sendall(b"hello")
        assert connection.recv(100) == b"hello"
        assert connection.recv(100) == b""


# --- throttled ------------------------------------------------------------------------------------------------


@pytest.mark.spec("L4F-06", "THR-01", "THR-03", "THR-04", "W-THR-SHARED")
def test_bytes_pass_as_the_limits_let_them(hosts: Hosts):
    """819200 bits are 100 KiB, of which a burst has as many as a second: what is more has to wait."""
    payload = b"x" * 160 * 1024
    filtered = r"^l4_fault\.slow-example\..*\.tcp_bandwidth_limit\."

    heard, how = end(lambda: dialled(hosts, SLOW), says=payload)

    assert (heard, how) == (payload, "")
    until(lambda: hosts.count("web-1", f"{filtered}write_total_bytes$") == len(payload), what="all that was passed")
    assert hosts.count("web-1", f"{filtered}read_total_bytes$") == len(payload)
    assert hosts.count("web-1", f"{filtered}write_throttled$") > 0
    assert hosts.count("web-1", f"{filtered}read_throttled$") == 0


@pytest.mark.spec("L4F-05", "TRM-02", "THR-02")
def test_each_fault_chooses_for_itself(hosts: Hosts):
    heard = ends(MANY, lambda: dialled(hosts, BOTH))

    throttled, cut = (went(hosts, "web-1", f"l4Fault_{fault}_both-example.*") for fault in ("throttle", "terminate"))
    both = hosts.count("web-1", r"^tcp\.both-example\..*\.downstream_cx_total$")
    assert heard["RST"] + heard["FIN"] == cut
    assert heard.pop("FIN", 0) < RARELY
    assert set(heard) == {"RST", ""}
    assert both == MANY
    assert 0.3 * MANY < throttled < 0.7 * MANY
    assert 0.3 * MANY < cut < 0.7 * MANY


@pytest.mark.spec("L4F-01", "L4F-05")
def test_at_a_bound_port_with_two_versions_all_are_throttled_and_then_reset(hosts: Hosts):
    def conversation(_: int) -> bytes:
        with hosts.room.within(socket.create_connection, (LOCAL, 7000), 10) as connection:
            connection.sendall(b"123456")
            heard = connection.recv(100)
            with pytest.raises(ConnectionResetError):
                connection.recv(100)
            return heard

    with ThreadPoolExecutor(20) as pool:
        heard = Counter(pool.map(conversation, range(20)))

    assert set(heard) == {b"123456", b"second"}
    assert hosts.count("web-2", r"^l4_fault\.split-example\..*\.write_total_bytes$") == 20 * 6


# --- both ends are kept, and whatever is done with a connection --------------------------------------------------


@pytest.mark.spec("THR-02")
def test_a_service_is_told_who_connects_and_to_what(hosts: Hosts):
    """But for the port of the client, of which the kernel's redirection takes another where it has to."""
    for _ in range(20):
        with dialled(hosts, HEADED) as connection:
            connection.sendall(b"hello\n")
            source, target, _, port = connection.makefile().readline().removeprefix("PROXY TCP4 ").split()
            assert (source, target, port) == (APP, HEADED, "7000")
    assert 0 < went(hosts, "web-1", "l4Fault_throttle_headed.*") < 20


@pytest.mark.spec("ER-03", "L4F-01")
@pytest.mark.parametrize(("address", "who"), [(NEAR, b"near"), (FAR, b"far!")])
def test_outside_each_connection_goes_where_it_was_dialled(hosts: Hosts, address: str, who: bytes):
    before = went(hosts, "web-1", "l4Fault_throttle_block.*")

    heard = [end(lambda: dialled(hosts, address, 9000), says=who) for _ in range(20)]

    assert heard == [(who, "")] * 20
    assert 0 < went(hosts, "web-1", "l4Fault_throttle_block.*") - before < 20


@pytest.mark.spec("C-TCP-06", "THR-02")
def test_at_ports_of_tls_too(hosts: Hosts):
    heard = [in_tls(dialled(hosts, SECURE), "secure.example") for _ in range(20)]

    assert heard == [b"in TLS"] * 20
    assert 0 < went(hosts, "web-1", "l4Fault_throttle_secure.*") < 20


@pytest.mark.spec("S-8")
def test_a_name_below_a_wildcard_is_looked_up_inside_too(hosts: Hosts):
    heard = [in_tls(dialled(hosts, "10.7.1.77", 9001), "a.wild.localhost") for _ in range(20)]

    assert heard == [b"wild"] * 20
    assert 0 < went(hosts, "web-1", "l4Fault_throttle_wild.*") < 20


@pytest.mark.spec("D-90")
def test_what_is_tunnelled_is_tunnelled_whether_throttled_or_spared(hosts: Hosts):
    heard = [end(lambda: dialled(hosts, TUNNEL), says=b"hello") for _ in range(20)]

    throttled, spared = (went(hosts, "web-1", f"l4Fault_{which}_tunnel.*") for which in ("throttle", "spare"))
    assert heard == [(b"hello", "")] * 20
    assert throttled + spared == 20
    assert 0 < throttled < 20


@pytest.mark.spec("IR-05", "L4F-01")
def test_a_rule_counts_at_the_ingress_of_its_destination(hosts: Hosts):
    heard = ends(40, lambda: hosts.room.within(socket.create_connection, (LOCAL, 7100), 10))

    assert set(heard) >= {"RST", ""}
    assert 0 < went(hosts, "edge", "l4Fault_throttle_.*") < 40


def in_tls(connection: socket.socket, name: str) -> bytes:
    context = ssl._create_unverified_context()
    with context.wrap_socket(connection, server_hostname=name) as secure:
        secure.sendall(b"hello")
        return secure.recv(100)


# --- behind an outbound proxy -----------------------------------------------------------------------------------

AWAY = "10.97.1.1"
BEHIND = f"""
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: web-1}}
spec: {{address: {APP}}}
---
apiVersion: meshd.io/v1
kind: MeshConfig
metadata: {{name: mesh}}
spec: {{outboundProxies: [{{host: {PROXY}, port: 3128}}]}}
---
kind: EgressRule
metadata: {{name: away}}
spec: {{destination: {{service: 10.97.0.0/16}}, ports: [{{port: 7003, protocol: tcp}}]}}
---
{rule("away", "10.97.0.0/16", HALF_SLOW)}
"""


@pytest.fixture(scope="module")
def behind(envoy_binary: Path, proxy: ForwardProxy, backends: Backends, keys: Keys) -> Iterator[Hosts]:
    with namespace(f"{APP}/32", f"{PROXY}/32") as room, ExitStack() as stack:
        room.run("nft", "-f", "-", given="\n".join(line for line in CAPTURE.splitlines() if "ip6" not in line))
        room.run("ip", "route", "add", "local", "10.97.0.0/16", "dev", "lo")
        stack.enter_context(accepting(room.within(socket.create_server, (PROXY, 3128)), proxy))
        proxy.leads[f"{AWAY}:7003"] = stack.enter_context(serving(showing))
        reach = {"web-1": Reach(capture="nftables")}
        yield stack.enter_context(running_hosts(envoy_binary, room, backends, keys, BEHIND, reach, {}))


def test_a_proxy_is_asked_for_the_address_that_was_dialled_throttled_or_not(behind: Hosts, proxy: ForwardProxy):
    proxy.asked.clear()

    heard = [end(lambda: dialled(behind, AWAY, 7003), says=b"hello") for _ in range(20)]

    assert heard == [(b"hello", "")] * 20
    assert proxy.authorities == [f"{AWAY}:7003"] * 20
    assert 0 < went(behind, "web-1", "l4Fault_throttle_away.*") < 20
