"""What clusters and endpoints make of requests in the real binary: who is called, and by what."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from meshd.envoy import assignments, render
from meshd.envoy.bootstrap import BootstrapSettings
from meshd.envoy.fallback import fallback
from meshd.memo import Memo
from meshd.names import LOCAL_CLUSTER, Locality, RouteTableName
from meshd.plan import (
    ChainMatch,
    Cluster,
    DownstreamTls,
    Endpoint,
    HttpChain,
    LocalityWeight,
    ProxyPlan,
    UpstreamHttp,
    ZoneAware,
)
from tests.envoy.conftest import serving
from tests.envoy.plans import (
    IN_MESH,
    OWN,
    ROOT,
    Certificates,
    a_cluster,
    a_forward,
    a_listener,
    a_plan,
    a_route,
    a_table,
    a_virtual_host,
    at,
    both_secrets,
    endpoints_of,
)
from tests.envoy.process import admin, ask, running
from tests.ports import free_port

pytestmark = pytest.mark.envoy

WEST, EAST = Locality(region="eu", zone="west"), Locality(region="eu", zone="east")


def calling(port: int, cluster: Cluster, *endpoints: Endpoint, **more: object) -> ProxyPlan:
    """Everything that comes to `port` goes to the cluster."""
    everywhere = replace(a_virtual_host("*"), domains=("*",))
    return a_plan(
        clusters=(replace(cluster, http=cluster.http or UpstreamHttp()),),
        endpoints=(replace(endpoints_of("reviews", *endpoints), **more),),
        listeners=(a_listener(port=port),),
        route_tables=(a_table(everywhere),),
    )


def started(plan: ProxyPlan, settings: BootstrapSettings, unhealthy: frozenset[str] = frozenset()) -> bytes:
    memo = Memo()
    return fallback(render(plan, memo), assignments(plan, {}, memo, unhealthy), settings)


def called(settings: BootstrapSettings) -> dict[int, int]:
    """Requests by the endpoint's port."""
    statuses = json.loads(admin(settings, "/clusters?format=json"))["cluster_statuses"]
    (reviews,) = (each for each in statuses if each["name"] == "reviews")
    counts = {}
    for host in reviews["host_statuses"]:
        total = next((each for each in host["stats"] if each["name"] == "rq_total"), {})
        counts[host["address"]["socket_address"]["port_value"]] = int(total.get("value", 0))
    return counts


@contextmanager
def two_backends() -> Iterator[tuple[int, int]]:
    with serving() as one, serving() as other:
        yield one, other


@pytest.mark.spec("D-74", "W-7")
def test_each_endpoint_is_spoken_to_as_it_says_it_speaks(
    envoy_binary: Path, settings: BootstrapSettings, backend: int, tls_backend: int, certificates: Certificates
):
    """The one takes nobody without a certificate, the other knows no TLS."""
    port = free_port()
    mesh_tls = replace(IN_MESH, subject_alt_names=("localhost",), alpn=("istio",))
    members = (at("127.0.0.1", tls_backend, speaks_mesh_tls=True), at("127.0.0.1", backend))
    plan = replace(calling(port, a_cluster(mesh_tls=mesh_tls), *members), secrets=both_secrets(certificates))

    with running(envoy_binary, started(plan, settings), settings):
        statuses = [ask(port, host="shop").status for _ in range(12)]
        counts = called(settings)

    assert statuses == [200] * 12
    assert all(counts[each] > 0 for each in (backend, tls_backend))


@pytest.mark.spec("D-24")
@pytest.mark.parametrize("zone", [ZoneAware(min_cluster_size=2), None])
def test_requests_stay_in_the_zone_where_that_is_asked_for_and_only_there(
    envoy_binary: Path, settings: BootstrapSettings, zone: ZoneAware | None
):
    port = free_port()
    local = endpoints_of(LOCAL_CLUSTER, at("10.0.0.1", locality=WEST), at("10.0.0.2", locality=EAST))
    with two_backends() as (west, east):
        places = (at("127.0.0.1", west, locality=WEST), at("127.0.0.1", east, locality=EAST))
        plan = calling(port, a_cluster(zone_aware=zone), *places)
        beside = replace(plan, endpoints=(local, *plan.endpoints))
        here = replace(settings, locality=WEST)

        with running(envoy_binary, started(beside, here), here):
            statuses = {ask(port, host="shop").status for _ in range(40)}
            counts = called(settings)

    assert statuses == {200}
    assert counts[west] > 0
    assert (counts[east] == 0) is (zone is not None)


@pytest.mark.spec("D-20")
def test_a_locality_gets_the_share_that_it_is_given(envoy_binary: Path, settings: BootstrapSettings):
    port = free_port()
    with two_backends() as (west, east):
        plan = calling(
            port,
            a_cluster(locality_weighted=True),
            at("127.0.0.1", west, locality=WEST),
            at("127.0.0.1", east, locality=EAST, weight=50),
            locality_weights=(
                LocalityWeight(priority=0, locality=WEST, weight=99),
                LocalityWeight(priority=0, locality=EAST, weight=1),
            ),
        )

        with running(envoy_binary, started(plan, settings), settings):
            for _ in range(100):
                ask(port, host="shop")
            counts = called(settings)

    assert counts[west] > 80


@pytest.mark.spec("W-17", "D-56")
@pytest.mark.parametrize("drops", [True, False])
def test_an_unhealthy_workload_is_not_called(envoy_binary: Path, settings: BootstrapSettings, *, drops: bool):
    """It is dropped where the threshold of panic would bring it back."""
    port = free_port()
    with two_backends() as (well, unwell):
        places = (at("127.0.0.1", unwell, workload="default/app"), at("127.0.0.1", well))
        plan = calling(port, a_cluster(healthy_panic_percent=90 if drops else 0), *places, drops_unhealthy=drops)

        with running(envoy_binary, started(plan, settings, frozenset({"default/app"})), settings):
            statuses = {ask(port, host="shop").status for _ in range(20)}
            counts = called(settings)

    assert statuses == {200}
    assert counts == ({well: 20} if drops else {well: 20, unwell: 0})


@pytest.mark.spec("W-17")
def test_where_everybody_is_unhealthy_nobody_is_called(envoy_binary: Path, settings: BootstrapSettings, backend: int):
    port = free_port()
    plan = calling(port, a_cluster(), at("127.0.0.1", backend, workload="default/app"))

    with running(envoy_binary, started(plan, settings, frozenset({"default/app"})), settings):
        status = ask(port, host="shop").status

    assert status == 503


@contextmanager
def a_listening_socket(heard: list[bytes]) -> Iterator[int]:
    """Keeps the first bytes that come, and answers as HTTP."""

    def take(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            heard.append(connection.recv(4096))
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=take, args=(listening,))
        thread.start()
        yield listening.getsockname()[1]
        thread.join(timeout=20)


@pytest.mark.spec("D-91")
@pytest.mark.parametrize(
    ("version", "first"), [("V1", b"PROXY TCP4 127.0.0.1 127.0.0.1 "), ("V2", b"\r\n\r\n\0\r\nQUIT\n")]
)
def test_a_proxy_header_comes_first(envoy_binary: Path, settings: BootstrapSettings, version: str, first: bytes):
    port = free_port()
    heard: list[bytes] = []
    with a_listening_socket(heard) as backend:
        plan = calling(port, a_cluster(proxy_protocol=version), at("127.0.0.1", backend))

        with running(envoy_binary, started(plan, settings), settings):
            status = ask(port, host="shop").status

    assert status == 200
    assert heard[0].startswith(first)


@pytest.mark.spec("D-74", "D-40", "D-41")
@pytest.mark.parametrize(("protocol", "alpn"), [("http1", ()), ("http2", ("h2",)), ("downstream", ())])
def test_members_of_the_mesh_understand_each_other_in_any_http(
    envoy_binary: Path,
    settings: BootstrapSettings,
    backend: int,
    certificates: Certificates,
    protocol: str,
    alpn: tuple[str, ...],
):
    """The server knows no `istio`: it is there for the chain to be chosen by, and is never agreed upon."""
    port, inbound = free_port(), free_port()
    mesh_tls = replace(IN_MESH, subject_alt_names=("localhost",), alpn=("istio", *alpn))
    server = DownstreamTls(
        certificates=(OWN,), validation=ROOT, requires_client_certificate=True, alpn=("h2", "http/1.1")
    )
    chain = HttpChain(
        route_table=RouteTableName("inbound"),
        stat_prefix="in",
        tls=server,
        side="inbound",
        match=ChainMatch(alpn=("istio",)),
    )
    there = replace(a_virtual_host("in", a_route(a_forward("app"))), domains=("*",))
    outbound = calling(
        port,
        a_cluster(mesh_tls=mesh_tls, http=UpstreamHttp(protocol=protocol)),
        at("127.0.0.1", inbound, speaks_mesh_tls=True),
    )
    plan = replace(
        outbound,
        clusters=(a_cluster("app", http=UpstreamHttp()), *outbound.clusters),
        endpoints=(endpoints_of("app", at("127.0.0.1", backend)), *outbound.endpoints),
        listeners=(a_listener("in", chain, port=inbound), *outbound.listeners),
        route_tables=(*outbound.route_tables, a_table(there, name="inbound")),
        secrets=both_secrets(certificates),
    )

    with running(envoy_binary, started(plan, settings), settings):
        answer = ask(port, host="shop")

    assert (answer.status, answer.headers["x-backend"]) == (200, "yes")
