"""DestinationRules on the wire: which policy is in force, balancing, affinity, pools and outliers (spec 6)."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest

from tests.live.cases import Case, case, only
from tests.live.held import Held
from tests.live.requests import Answer, Ask, get
from tests.live.world import Live
from tests.waiting import until

pytestmark = pytest.mark.envoy

USERS = [f"user-{number}" for number in range(12)]
TWO_ENDPOINTS = """
ports: [{number: 80, name: http, protocol: HTTP}]
resolution: STATIC
endpoints: [{address: 127.0.0.1, ports: {http: $v1}}, {address: 127.0.0.1, ports: {http: $v2}}]
"""
ONE_ENDPOINT = TWO_ENDPOINTS.replace(", {address: 127.0.0.1, ports: {http: $v2}}", "")


def policed(id: str, policy: str, entry: str = TWO_ENDPOINTS) -> Case:  # noqa: A002
    """A service without VirtualService, so that nothing stands between its clients and the policy but retries."""
    return case(
        id, http="    - {route: [{destination: {host: $host}}], retries: {}}", subsets="", entry=entry, policy=policy
    )


def outliers(counts: str) -> str:
    """Round robin, so that turns tell who is asked."""
    return f"loadBalancer: {{simple: ROUND_ROBIN}}\noutlierDetection: {{maxEjectionPercent: 100, {counts}}}"


def hashed(id: str, key: str, entry: str | None = None) -> Case:  # noqa: A002
    more = {"entry": entry} if entry else {}
    return case(id, http="", subsets="", policy=f"loadBalancer: {{consistentHash: {key}}}", **more)


ROUND_ROBIN = policed("D-10-round-robin", "loadBalancer: {simple: ROUND_ROBIN}")
RANDOM = policed("D-10-random", "loadBalancer: {simple: RANDOM}")
BY_HEADER = hashed("D-12-hash-by-header", "{httpHeaderName: X-User}")
BY_HEADER_MAGLEV = hashed("D-17-maglev", "{httpHeaderName: x-user, maglev: {tableSize: 101}}")
BY_HEADER_RING = hashed("D-16-ring", "{httpHeaderName: x-user, ringHash: {minimumRingSize: 64}}")
BY_HEADER_OLD_RING = hashed("D-18-ring-of-old", "{httpHeaderName: x-user, minimumRingSize: 64}")
BY_NOTHING = hashed("D-12-no-key-no-affinity", "{}")
BY_COOKIE = hashed("D-13-hash-by-cookie", "{httpCookie: {name: place, path: /p, ttl: 60s}}")
BY_SESSION = hashed(
    "D-13-session-cookie", "{httpCookie: {name: place, ttl: 0s, attributes: [{name: SameSite, value: Strict}]}}"
)
BY_FOREIGN_COOKIE = hashed("D-13-cookie-without-ttl", "{httpCookie: {name: place}}")
BY_SOURCE = hashed("D-14-hash-by-source", "{useSourceIp: true}")
BY_PARAMETER = hashed("D-15-hash-by-parameter", "{httpQueryParameterName: u}")
BY_SUBSETS_HASH = case(
    "S-6-2-a-subset-hashes-by-its-own-word",
    http="    - route: [{destination: {host: $host, subset: every}}]",
    policy="loadBalancer: {simple: ROUND_ROBIN}",
    subsets="[{name: every, trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: x-user}}}}]",
)
ONE_REQUEST_EACH = policed(
    "D-37-max-requests-per-connection", "connectionPool: {http: {maxRequestsPerConnection: 1}}", ONE_ENDPOINT
)
KEPT_ALIVE = policed("D-37-zero-is-unlimited", "connectionPool: {http: {maxRequestsPerConnection: 0}}", ONE_ENDPOINT)
IDLE = policed("D-39-http-idle-timeout", "connectionPool: {http: {idleTimeout: 20ms}}", ONE_ENDPOINT)
IDLE_TCP = policed("D-34-tcp-idle-timeout-for-http", "connectionPool: {tcp: {idleTimeout: 20ms}}", ONE_ENDPOINT)
SHORT_LIVED = policed(
    "D-33-max-connection-duration", "connectionPool: {tcp: {maxConnectionDuration: 20ms}}", ONE_ENDPOINT
)
ONE_REQUEST = policed("D-36-max-requests", "connectionPool: {http: {http2MaxRequests: 1}}", ONE_ENDPOINT)
ONE_PENDING = policed(
    "D-35-max-pending", "connectionPool: {tcp: {maxConnections: 1}, http: {http1MaxPendingRequests: 1}}", ONE_ENDPOINT
)
UPGRADED = policed("D-40-upgrade", "connectionPool: {http: {h2UpgradePolicy: UPGRADE}}", ONE_ENDPOINT)
EJECTED = policed("D-50-consecutive-5xx", outliers("consecutive5xxErrors: 3"))
EJECTED_BY_DEFAULT = policed("D-50-five-by-default", outliers("interval: 10s"))
ALL_EJECTED = policed("D-56-no-panic", outliers("consecutive5xxErrors: 2"))
NEVER_EJECTED = policed("D-50-zero-is-off", outliers("consecutive5xxErrors: 0"))
BY_GATEWAY_ERRORS = policed("D-51-gateway-errors", outliers("consecutive5xxErrors: 0, consecutiveGatewayErrors: 3"))
BY_OLD_ERRORS = policed("D-52-consecutiveErrors", outliers("consecutive5xxErrors: 0, consecutiveErrors: 3"))
BY_CODES = policed("D-59-error-codes", outliers("consecutive5xxErrors: 3, outlierDetectionHttpErrorCodes: [429, 404]"))
BY_GATEWAY_ERRORS_ONLY = policed(
    "D-51-gateway-errors-only", outliers("consecutive5xxErrors: 0, consecutiveGatewayErrors: 3")
)
BY_CODES_ONLY = policed(
    "D-59-error-codes-only", outliers("consecutive5xxErrors: 3, outlierDetectionHttpErrorCodes: [429, 404]")
)
FEW_EJECTED = policed("D-55-at-most-a-share", outliers("consecutive5xxErrors: 2").replace("100", "50"))
SHORT_EJECTION = policed(
    "D-54-an-ejection-ends", outliers("consecutive5xxErrors: 2, baseEjectionTime: 20ms, interval: 20ms")
)
PANICKING = policed("D-56-minHealthPercent", outliers("consecutive5xxErrors: 2, minHealthPercent: 60"))
BY_LOCAL_ERRORS = policed(
    "D-58-local-origin-failures",
    outliers("consecutive5xxErrors: 0, splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 2"),
    TWO_ENDPOINTS.replace("$v1", "$dead"),
)

CASES = (
    *(BY_HEADER_RING, BY_HEADER_OLD_RING, BY_NOTHING, SHORT_EJECTION, PANICKING),
    *(ROUND_ROBIN, RANDOM, BY_HEADER, BY_HEADER_MAGLEV, BY_COOKIE, BY_SESSION, BY_FOREIGN_COOKIE, BY_SOURCE),
    *(BY_PARAMETER, BY_SUBSETS_HASH, ONE_REQUEST_EACH, KEPT_ALIVE, IDLE, IDLE_TCP, SHORT_LIVED, ONE_REQUEST),
    *(ONE_PENDING, UPGRADED, EJECTED, EJECTED_BY_DEFAULT, ALL_EJECTED, NEVER_EJECTED, BY_GATEWAY_ERRORS),
    *(BY_OLD_ERRORS, BY_CODES, BY_GATEWAY_ERRORS_ONLY, BY_CODES_ONLY, BY_LOCAL_ERRORS, FEW_EJECTED),
    # Which policy is in force shows in what a request meets: one that allows no second request at a time, for example.
    case(
        "S-6-1-an-exact-rule-inherits-nothing-from-a-wildcard",
        get().gives(by="v1"),
        mesh="""
        apiVersion: networking.istio.io/v1
        kind: DestinationRule
        metadata: {name: $name-wide}
        spec:
          host: "*-from-a-wildcard.live"
          trafficPolicy: {tls: {mode: SIMPLE}}
        """,
    ),
    case(
        "S-6-1-a-wildcard-rule-for-who-has-no-other",
        get().gives(503),
        subsets="",
        http="    - {route: [{destination: {host: $host}}], retries: {}}",
        mesh="""
        apiVersion: networking.istio.io/v1
        kind: DestinationRule
        metadata: {name: $name-wide}
        spec:
          host: "*-who-has-no-other.live"
          trafficPolicy: {tls: {mode: SIMPLE}}
        """,
    ),
    case(
        "S-6-1-subsets-of-rules-for-one-host-are-united",
        get("/4").gives(by="v2"),
        get("/").gives(by="v1"),
        http="""
        - match: [{uri: {exact: /4}}]
          route: [{destination: {host: $host, subset: fourth}}]
        - route: [{destination: {host: $host, subset: v1}}]
        """,
        mesh="""
        apiVersion: networking.istio.io/v1
        kind: DestinationRule
        metadata: {name: $name-more}
        spec:
          host: $host
          subsets: [{name: fourth, labels: {version: v2}}, {name: v1, labels: {version: v3}}]
        """,
    ),
    case(
        "S-6-2-a-port-level-replaces-the-whole-level",
        get().gives(by="v1"),
        policy="""
        tls: {mode: SIMPLE}
        portLevelSettings: [{port: {number: 80}, loadBalancer: {simple: RANDOM}}]
        """,
    ),
    case(
        "S-6-2-a-subset-switches-TLS-off",
        get().gives(by="v1"),
        policy="tls: {mode: SIMPLE}",
        subsets="[{name: v1, labels: {version: v1}, trafficPolicy: {tls: {mode: DISABLE}}}]",
    ),
    case(
        "S-6-2-a-subset-keeps-what-it-does-not-set",
        get().gives(503),
        policy="tls: {mode: SIMPLE}",
        subsets="[{name: v1, labels: {version: v1}, trafficPolicy: {loadBalancer: {simple: RANDOM}}}]",
    ),
    case(
        "S-6-2-a-port-block-of-a-subset-replaces-all-four",
        get().gives(by="v1"),
        policy="tls: {mode: SIMPLE}",
        subsets="""
        - name: v1
          labels: {version: v1}
          trafficPolicy: {portLevelSettings: [{port: {number: 80}, loadBalancer: {simple: RANDOM}}]}
        """,
    ),
    case(
        "D-5-a-policy-of-an-unused-subset-has-no-effect",
        get().gives(200),
        http="    - route: [{destination: {host: $host}}]",
        subsets="[{name: v1, labels: {version: v1}, trafficPolicy: {tls: {mode: SIMPLE}}}]",
    ),
    only(
        "S-6-1-the-clients-namespace-is-asked-before-the-services",
        get().gives(by="v2"),
        mesh="""
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {name: $name, namespace: shop}
        spec:
          hosts: [$host]
          ports: [{number: 80, name: http, protocol: HTTP}]
          resolution: STATIC
          endpoints:
          - {address: 127.0.0.1, ports: {http: $v1}, labels: {version: v1}}
          - {address: 127.0.0.1, ports: {http: $v2}, labels: {version: v2}}
        ---
        apiVersion: networking.istio.io/v1
        kind: DestinationRule
        metadata: {name: $name, namespace: shop}
        spec: {host: $host, subsets: [{name: chosen, labels: {version: v1}}]}
        ---
        apiVersion: networking.istio.io/v1
        kind: DestinationRule
        metadata: {name: $name}
        spec: {host: $host, subsets: [{name: chosen, labels: {version: v2}}]}
        ---
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: $name}
        spec: {hosts: [$host], http: [{route: [{destination: {host: $host, subset: chosen}}]}]}
        """,
    ),
    only(
        "S-6-1-a-rule-of-the-root-namespace-comes-last",
        get().gives(by="v2"),
        mesh="""
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {name: $name}
        spec:
          hosts: [$host]
          ports: [{number: 80, name: http, protocol: HTTP}]
          resolution: STATIC
          endpoints:
          - {address: 127.0.0.1, ports: {http: $v1}, labels: {version: v1}}
          - {address: 127.0.0.1, ports: {http: $v2}, labels: {version: v2}}
        ---
        apiVersion: networking.istio.io/v1
        kind: DestinationRule
        metadata: {name: $name, namespace: istio-system}
        spec: {host: $host, subsets: [{name: chosen, labels: {version: v2}}]}
        ---
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: $name}
        spec: {hosts: [$host], http: [{route: [{destination: {host: $host, subset: chosen}}]}]}
        """,
    ),
)


def test_policies(live: Live, case: Case):
    for exchange in case.exchanges:
        live.holds(case, exchange)


# --- balancing ------------------------------------------------------------------------------------------------


def test_round_robin_takes_turns(live: Live):
    assert Counter(live.send(get(), ROUND_ROBIN).by for _ in range(20)) == {"v1": 10, "v2": 10}


def test_random_is_no_rotation(live: Live):
    found = [live.send(get(), RANDOM).by for _ in range(60)]

    assert any(one == other for one, other in pairwise(found))
    assert set(found) == {"v1", "v2"}


@pytest.mark.parametrize(
    "sticky",
    [BY_HEADER, BY_HEADER_RING, BY_HEADER_OLD_RING, BY_HEADER_MAGLEV, BY_SUBSETS_HASH],
    ids=lambda case: case.id,
)
def test_a_header_decides_the_endpoint(live: Live, sticky: Case):
    places = {user: {live.send(get(x_user=user), sticky).by for _ in range(4)} for user in USERS}

    assert all(len(found) == 1 for found in places.values())
    assert len(set().union(*places.values())) > 1


def test_without_a_key_there_is_no_affinity(live: Live):
    """D-12."""
    assert len({live.send(get(x_user="one"), BY_NOTHING).by for _ in range(40)}) > 1


def test_a_query_parameter_decides_the_endpoint(live: Live):
    places = {user: {live.send(get(f"/?a=1&u={user}"), BY_PARAMETER).by for _ in range(4)} for user in USERS}

    assert all(len(found) == 1 for found in places.values())
    assert len(set().union(*places.values())) > 1


def test_the_source_address_decides_the_endpoint(live: Live):
    sources = [f"127.0.0.{number}" for number in range(2, 14)]
    ask = [[live.send(get_from(source), BY_SOURCE).by for _ in range(3)] for source in sources]

    assert all(len(set(found)) == 1 for found in ask)
    assert len({found[0] for found in ask}) > 1


def get_from(source: str) -> Ask:
    return replace(get(), source=source)


def test_a_cookie_is_made_for_who_has_none_and_keeps_its_bearer(live: Live):
    first = live.send(get(), BY_COOKIE)
    (cookie,) = first.all("set-cookie")
    value = cookie.split(";")[0]

    again = {live.send(get(cookie=value), BY_COOKIE).by for _ in range(6)}

    assert value.startswith("place=")
    assert "Max-Age=60" in cookie
    assert "Path=/p" in cookie
    assert again == {first.by}
    assert not live.send(get(cookie=value), BY_COOKIE).all("set-cookie")


def test_a_ttl_of_zero_is_a_session_cookie_with_its_attributes(live: Live):
    (cookie,) = live.send(get(), BY_SESSION).all("set-cookie")

    assert "Max-Age" not in cookie
    assert "SameSite=Strict" in cookie


def test_without_a_ttl_no_cookie_is_made_but_one_that_is_there_counts(live: Live):
    assert not live.send(get(), BY_FOREIGN_COOKIE).all("set-cookie")
    places = {user: {live.send(get(cookie=f"place={user}"), BY_FOREIGN_COOKIE).by for _ in range(4)} for user in USERS}

    assert all(len(found) == 1 for found in places.values())
    assert len(set().union(*places.values())) > 1


# --- pools ----------------------------------------------------------------------------------------------------


def test_a_connection_serves_as_many_requests_as_it_may(live: Live):
    each = {live.send(get(), ONE_REQUEST_EACH).told["connection"] for _ in range(4)}
    kept = {live.send(get(), KEPT_ALIVE).told["connection"] for _ in range(4)}

    assert (len(each), len(kept)) == (4, 1)


@pytest.mark.parametrize("brief", [IDLE, IDLE_TCP, SHORT_LIVED], ids=lambda case: case.id)
def test_a_connection_is_closed_when_its_time_is_over(live: Live, brief: Case):
    connection = live.send(get(), brief).told["connection"]

    until(lambda: connection in live.backends.closed, seconds=5, what="the end of an idle connection")


def test_one_request_too_many_is_503_and_says_that_it_is_load(live: Live):
    held = Held(live, ONE_REQUEST)
    refused = live.send(get(), ONE_REQUEST)
    answered = held.end()

    assert (refused.status, refused.all("x-envoy-overloaded")) == (503, ["true"])
    assert answered.status == 200
    assert live.send(get(), ONE_REQUEST).status == 200


def test_one_request_may_wait_for_the_only_connection(live: Live):
    held = Held(live, ONE_PENDING)
    found: list[Answer] = []
    waiting = [threading.Thread(target=lambda: found.append(live.send(get(), ONE_PENDING))) for _ in range(3)]
    for thread in waiting:
        thread.start()
    until(lambda: len(found) == 2, what="the two that are refused")
    early = [(answer.status, answer.all("x-envoy-overloaded")) for answer in found]
    held.end()
    for thread in waiting:
        thread.join()

    assert early == [(503, ["true"])] * 2
    assert found[2].status == 200


def test_upgraded_endpoints_are_spoken_to_in_http_2(live: Live):
    before = live.backends.prefaces.count(("v1", None))

    answer = live.send(get(), UPGRADED)

    assert (answer.status, answer.by) == (200, "v1")
    assert live.backends.prefaces.count(("v1", None)) > before


# --- outliers -------------------------------------------------------------------------------------------------


def turns(live: Live, case: Case, deed: str, number: int) -> str:
    """`f` where v1 was asked and did its deed, `.` where v2 answered."""
    return "".join("f" if live.send(get(x_do=f"{deed}@v1"), case).by == "v1" else "." for _ in range(number))


@pytest.mark.parametrize(
    ("policy", "deed", "failures"),
    [
        (EJECTED, "500", 3),
        (EJECTED_BY_DEFAULT, "503", 5),
        (BY_GATEWAY_ERRORS, "502", 3),
        (BY_OLD_ERRORS, "503", 3),
        (BY_CODES, "429", 3),
    ],
    ids=lambda value: getattr(value, "id", str(value)),
)
def test_an_endpoint_is_ejected_after_so_many_failures_in_a_row(live: Live, policy: Case, deed: str, failures: int):
    """Envoy counts at once but ejects in its main thread, so a few requests may come in between."""
    before = turns(live, policy, deed, 2 * failures - 2)
    until(lambda: turns(live, policy, deed, 4) == "....", seconds=5, what="the ejection of v1")

    assert before.count("f") == failures - 1


@pytest.mark.parametrize(
    ("policy", "deed"),
    [(NEVER_EJECTED, "503"), (BY_GATEWAY_ERRORS_ONLY, "500"), (BY_CODES_ONLY, "500")],
    ids=lambda value: getattr(value, "id", str(value)),
)
def test_other_failures_eject_nobody(live: Live, policy: Case, deed: str):
    assert turns(live, policy, deed, 24).count("f") == 12


def test_failures_to_connect_are_counted_apart_when_asked(live: Live):
    assert {live.send(get(), BY_LOCAL_ERRORS).status for _ in range(2)} == {200, 503}
    until(lambda: {live.send(get(), BY_LOCAL_ERRORS).status for _ in range(4)} == {200}, what="the dead one's ejection")


def test_when_all_are_ejected_nobody_is_asked(live: Live):
    """D-56: Envoy's own panic threshold of 50 would go on asking them."""
    until(lambda: not live.send(get(x_do="500"), ALL_EJECTED).all("x-backend"), what="the end of all endpoints")

    last = live.send(get(), ALL_EJECTED)
    assert (last.status, last.body) == (503, b"no healthy upstream")


def test_at_most_the_given_share_is_ejected(live: Live):
    """D-55: one of two."""
    until(lambda: len({live.send(get(x_do="500"), FEW_EJECTED).by for _ in range(4)}) == 1, what="an ejection")

    assert all(live.send(get(x_do="500"), FEW_EJECTED).by for _ in range(8))


def test_who_was_ejected_comes_back(live: Live):
    """D-53, D-54."""
    until(lambda: "f" not in turns(live, SHORT_EJECTION, "500", 3), what="an ejection")
    until(lambda: live.send(get(), SHORT_EJECTION).by == "v1", what="its end")


def test_with_too_few_left_all_are_asked_again(live: Live):
    """D-56: half of them is less than 60 percent."""
    ejected = f"cluster[.]outbound[|]80[|][|]{PANICKING.host.replace('.', '[.]')}[.;].*ejections_active"
    until(lambda: (turns(live, PANICKING, "500", 2), live.statistic(ejected))[1] == 1, what="an ejection")

    assert turns(live, PANICKING, "500", 10).count("f") == 5
