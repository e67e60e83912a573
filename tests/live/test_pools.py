"""How endpoints are spoken to, and how much at a time: HTTP/2, tries, budgets, who is busy (spec D-10, D-32 to D-92).

Told by connections, statistics and requests that are held back.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.live.cases import Case, case
from tests.live.held import Held
from tests.live.requests import Ask, get
from tests.live.world import Live
from tests.waiting import until

pytestmark = pytest.mark.envoy


def pooled(id: str, policy: str, protocol: str = "HTTP", backend: str = "v1") -> Case:  # noqa: A002
    """One endpoint, and one more try after a 500."""
    return case(
        id,
        http="    - {route: [{destination: {host: $host}}], retries: {attempts: 1, retryOn: 5xx, backoff: 1ms}}",
        subsets="",
        policy=policy,
        entry=f"""
        ports: [{{number: 80, name: web, protocol: {protocol}}}]
        resolution: STATIC
        endpoints: [{{address: 127.0.0.1, ports: {{web: ${backend}}}}}]
        """,
    )


def balanced(id: str, policy: str) -> Case:  # noqa: A002
    return case(id, http="    - {route: [{destination: {host: $host}}]}", subsets="", policy=policy)


IN_HTTP_2 = (
    pooled("D-40-an-HTTP2-port", "", "HTTP2"),
    pooled("D-40-a-gRPC-port", "", "GRPC"),
    pooled(
        "D-40-an-HTTP2-port-whatever-the-policy-says",
        "connectionPool: {http: {h2UpgradePolicy: DO_NOT_UPGRADE}}",
        "HTTP2",
    ),
    pooled("D-40-UPGRADE", "connectionPool: {http: {h2UpgradePolicy: UPGRADE}}"),
)
IN_HTTP_1 = (
    pooled("D-40-an-HTTP-port", ""),
    pooled("D-40-DEFAULT", "connectionPool: {http: {h2UpgradePolicy: DEFAULT}}"),
    pooled("D-40-DO-NOT-UPGRADE", "connectionPool: {http: {h2UpgradePolicy: DO_NOT_UPGRADE}}"),
)
AS_THE_CLIENT = pooled("D-41-useClientProtocol", "connectionPool: {http: {useClientProtocol: true}}")
ONE_STREAM = pooled(
    "D-42-maxConcurrentStreams", "connectionPool: {http: {h2UpgradePolicy: UPGRADE, maxConcurrentStreams: 1}}"
)
MANY_STREAMS = pooled("D-42-by-default-many", "connectionPool: {http: {h2UpgradePolicy: UPGRADE}}")
ONE_REQUEST_IN_HTTP_2 = pooled(
    "D-36-one-request-in-HTTP-2", "connectionPool: {http: {h2UpgradePolicy: UPGRADE, http2MaxRequests: 1}}"
)
ONE_EACH_IN_HTTP_2 = pooled(
    "D-37-one-request-each-in-HTTP-2", "connectionPool: {http: {h2UpgradePolicy: UPGRADE, maxRequestsPerConnection: 1}}"
)
PINGED = pooled(
    "D-43-http2KeepAlive",
    "connectionPool: {http: {h2UpgradePolicy: UPGRADE, http2KeepAlive: {interval: 20ms, timeout: 5s}}}",
)
KEPT = pooled(
    "D-32-tcpKeepalive", "connectionPool: {tcp: {tcpKeepalive: {probes: 3, time: 60s, interval: 7s}}}", backend="kept"
)
NOT_KEPT = pooled("D-32-none-unless-asked-for", "", backend="unkept")
ONE_RETRY = pooled("D-38-maxRetries", "connectionPool: {http: {maxRetries: 1}}")
ANY_RETRIES = pooled("D-44-a-zero-is-the-default", "connectionPool: {http: {maxRetries: 0, http2MaxRequests: 0}}")
SMALL_BUDGET = pooled("D-92-retryBudget", "retryBudget: {percent: 0, minRetryConcurrency: 1}")
BUDGET = pooled("D-92-by-default-three-may-always", "retryBudget: {percent: 0}")
WHOLE_BUDGET = pooled("D-92-a-share-of-what-is-under-way", "retryBudget: {percent: 100, minRetryConcurrency: 1}")
BUDGET_AND_MAXIMUM = pooled(
    "D-92-a-budget-is-instead-of-maxRetries",
    "retryBudget: {percent: 100, minRetryConcurrency: 1}\nconnectionPool: {http: {maxRetries: 1}}",
)
LEAST = (
    balanced("D-10-LEAST-REQUEST-by-default", ""),
    balanced("D-10-LEAST-REQUEST", "loadBalancer: {simple: LEAST_REQUEST}"),
    balanced("D-10-LEAST-CONN", "loadBalancer: {simple: LEAST_CONN}"),
    balanced("D-10-UNSPECIFIED", "loadBalancer: {simple: UNSPECIFIED}"),
    balanced("D-25-warmup", "loadBalancer: {warmup: {duration: 60s, minimumPercent: 50, aggression: 2.0}}"),
    balanced("D-26-warmupDurationSecs", "loadBalancer: {simple: LEAST_REQUEST, warmupDurationSecs: 60s}"),
    balanced("D-27-backendUtilization", "loadBalancer: {backendUtilization: {}}"),
)

CASES = (
    *(*IN_HTTP_2, *IN_HTTP_1, AS_THE_CLIENT, ONE_STREAM, MANY_STREAMS, ONE_REQUEST_IN_HTTP_2, ONE_EACH_IN_HTTP_2),
    *(PINGED, KEPT, NOT_KEPT, ONE_RETRY, ANY_RETRIES, SMALL_BUDGET, BUDGET, WHOLE_BUDGET, BUDGET_AND_MAXIMUM, *LEAST),
)
AGAIN = get(x_do="500x1")
HELD_AGAIN = get(x_do=("500x1", "hold"))


@pytest.fixture(scope="module")
def names(names: dict[str, str], backends) -> dict[str, str]:
    """Two more backends, whose connections are looked at from outside."""
    return names | {version: str(backends.serve(version)) for version in ("kept", "unkept")}


def prefaces(live: Live, asked: Case, request: Ask) -> int:
    """How many connections in HTTP/2 a request opens."""
    before = len(live.backends.prefaces)
    assert live.send(request, asked).status == 200
    return len(live.backends.prefaces) - before


# --- which HTTP -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", IN_HTTP_2, ids=lambda case: case.id)
def test_these_are_spoken_to_in_http_2(live: Live, asked: Case):
    assert prefaces(live, asked, get()) == 1
    assert prefaces(live, asked, get().in_http2()) == 0


@pytest.mark.parametrize("asked", IN_HTTP_1, ids=lambda case: case.id)
def test_and_these_in_http_1_whatever_the_client_speaks(live: Live, asked: Case):
    assert prefaces(live, asked, get()) == 0
    assert prefaces(live, asked, get().in_http2()) == 0


def test_the_clients_protocol_is_spoken_where_that_is_wanted(live: Live):
    """D-41."""
    assert prefaces(live, AS_THE_CLIENT, get()) == 0
    assert prefaces(live, AS_THE_CLIENT, get().in_http2()) == 1


@pytest.mark.parametrize(
    ("asked", "connections"), [(ONE_STREAM, 2), (MANY_STREAMS, 1)], ids=lambda value: str(value)[:20]
)
def test_a_connection_has_so_many_streams_at_a_time(live: Live, asked: Case, connections: int):
    held = Held(live, asked)
    other = live.send(get(), asked).told["connection"]

    assert len({other, held.end().told["connection"]}) == connections


def test_a_limit_of_requests_holds_for_http_2_too(live: Live):
    """D-36."""
    held = Held(live, ONE_REQUEST_IN_HTTP_2)
    refused = live.send(get(), ONE_REQUEST_IN_HTTP_2)

    assert (refused.status, refused.all("x-envoy-overloaded")) == (503, ["true"])
    assert held.end().status == 200


def test_so_does_a_limit_of_requests_per_connection(live: Live):
    """D-37."""
    assert len({live.send(get(), ONE_EACH_IN_HTTP_2).told["connection"] for _ in range(3)}) == 3


# --- alive ----------------------------------------------------------------------------------------------------


def test_a_connection_in_http_2_is_asked_whether_it_is_alive(live: Live):
    """D-43."""
    connection = live.send(get(), PINGED).told["connection"]

    until(lambda: live.backends.pings[connection] >= 2, what="two PINGs")


def test_the_kernel_asks_connections_whether_they_are_alive(live: Live):
    """D-32: the timer of a connection is 2 where it waits to send such a probe."""
    for asked in (KEPT, NOT_KEPT):
        live.send(get(), asked)

    assert "02" in _timers(live.backends.ports["kept"])
    assert "02" not in _timers(live.backends.ports["unkept"])


def _timers(port: int) -> list[str]:
    """Of the connections to that port of this machine."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    found = [row[5].partition(":")[0] for row in rows if row[2] == f"0100007F:{port:04X}"]
    assert found
    return found


# --- tries at a time ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", [ONE_RETRY, SMALL_BUDGET], ids=lambda case: case.id)
def test_no_more_than_so_many_are_tried_again_at_a_time(live: Live, asked: Case):
    held = Held(live, asked, HELD_AGAIN, tries=2)
    refused = live.holds(asked, AGAIN.gives(500, reached=("v1",)))
    assert held.end().status == 200

    assert refused
    live.holds(asked, AGAIN.gives(200, reached=("v1", "v1")))


@pytest.mark.parametrize("asked", [ANY_RETRIES, BUDGET, WHOLE_BUDGET, BUDGET_AND_MAXIMUM], ids=lambda case: case.id)
def test_others_are_tried_again_beside_it(live: Live, asked: Case):
    held = Held(live, asked, HELD_AGAIN, tries=2)
    live.holds(asked, AGAIN.gives(200, reached=("v1", "v1")))

    assert held.end().status == 200


# --- who is asked ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", LEAST, ids=lambda case: case.id)
def test_who_is_busy_is_asked_less(live: Live, asked: Case):
    """Of two endpoints drawn at random the one with fewer requests: of three, a busy one has a ninth, not a third.

    5 standard deviations of 120 draws of a ninth are 17.
    """
    held = Held(live, asked)
    answers = [live.send(get(), asked).by for _ in range(120)]

    assert answers.count(held.end().by) < 31
