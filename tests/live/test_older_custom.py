"""Custom policies, in the words of Envoy's own API, obeyed by a real Envoy (CB-03, LB-04, DP-12, RTY-04, TMO-04)."""

from __future__ import annotations

import pytest

from tests.live.cases import Case, case
from tests.live.older import rules, to
from tests.live.requests import Exchange, ask, get
from tests.live.world import Live

pytestmark = pytest.mark.envoy

V1 = ("v1",)
URL = "type.googleapis.com/"
CLUSTER = "envoy.config.cluster.v3"
ROUTE = "envoy.config.route.v3"
BALANCERS = "envoy.extensions.load_balancing_policies"
HTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def policed(id: str, *exchanges: Exchange, spec: str, labels: str = "", specs: tuple[str, ...] = ()) -> Case:  # noqa: A002
    """A DestinationPolicy for all versions; or, with `labels`, for some."""
    chosen = f", labels: {{{labels}}}" if labels else ""
    return rules(id, *exchanges, specs=specs, policies=(f"destination: {{service: $host{chosen}}}, {spec}",))


def custom(type_name: str, fields: str) -> str:
    return f"custom: {{'@type': {URL}{type_name}, {fields}}}"


EJECTING = policed(
    "CB-03-whoever-fails-once-is-left-out",
    spec=f"circuitBreaker: {{{custom(f'{CLUSTER}.OutlierDetection', 'consecutive_5xx: 1, maxEjectionPercent: 100')}}}",
)
HASHING = policed(
    "LB-04-who-is-asked-is-a-matter-of-a-header",
    spec=(
        "loadBalancing: {"
        + custom(
            f"{BALANCERS}.ring_hash.v3.RingHash",
            "consistentHashingLbConfig: {hashPolicy: [{header: {headerName: x-user}}]}",
        )
        + "}"
    ),
)
ONE_EACH = policed(
    "DP-12-a-connection-for-each-request",
    spec=custom(
        f"{CLUSTER}.Cluster",
        f"typedExtensionProtocolOptions: {{{HTTP}: {{'@type': {URL}{HTTP}, "
        "commonHttpProtocolOptions: {maxRequestsPerConnection: 1}}}",
    ),
    specs=(to("v1"),),
)
CLOSED = custom(f"{CLUSTER}.CircuitBreakers", "thresholds: [{maxPendingRequests: 0}]")

CASES = (
    EJECTING,
    HASHING,
    ONE_EACH,
    policed(
        "CB-03-no-request-may-wait",
        get().gives(503, headers={"x-envoy-overloaded": "true"}),
        spec=f"circuitBreaker: {{{CLOSED}}}",
    ),
    policed(
        "CB-03-of-one-version-only",
        get("/v1").gives(503, headers={"x-envoy-overloaded": "true"}),
        get("/v2").gives(by="v2"),
        labels="version: v1",
        spec=f"circuitBreaker: {{{CLOSED}}}",
        specs=(
            f"precedence: 1, match: {{request: {{headers: {{uri: {{exact: /v1}}}}}}}}, {to('v1')}",
            to("v2"),
        ),
    ),
    policed(
        "DP-12-of-all-versions",
        get().gives(503, headers={"x-envoy-overloaded": "true"}),
        spec=custom(f"{CLUSTER}.Cluster", "circuitBreakers: {thresholds: [{maxPendingRequests: 0}]}"),
        specs=(to("v1"),),
    ),
    rules(
        "RTY-04-a-policy-of-Envoys",
        get(x_do="503").gives(503, reached=V1 * 3),
        get(x_do="404x2").gives(404, reached=V1),
        get(x_do="418x1").gives(by="v1", reached=V1 * 2),
        specs=(
            "httpReqRetries: {"
            + custom(
                f"{ROUTE}.RetryPolicy",
                "retryOn: '5xx,retriable-status-codes', numRetries: 2, retriableStatusCodes: [418]",
            )
            + f"}}, {to('v1')}",
        ),
    ),
    rules(
        "TMO-04-a-timeout",
        get(x_do="hold").gives(504, reached=V1),
        get().gives(by="v1", sent={"x-envoy-expected-rq-timeout-ms": "100"}),
        specs=(f"httpReqTimeout: {{{custom(f'{ROUTE}.RouteAction', 'timeout: 0.1s')}}}, {to('v1')}",),
    ),
    rules(
        "TMO-04-an-idle-timeout",
        get(x_do="hold").gives(504, reached=V1),
        get().gives(by="v1", sent={"x-envoy-expected-rq-timeout-ms": "15000"}),
        specs=(f"httpReqTimeout: {{{custom(f'{ROUTE}.RouteAction', 'idle_timeout: 0.1s')}}}, {to('v1')}",),
    ),
    rules(
        "TMO-04-a-longest-duration",
        ask("POST", "/", content_type="application/grpc", grpc_timeout="100m", x_do="hold").gives(
            200, headers={"grpc-status": "4"}, reached=V1
        ),
        get().gives(by="v1", sent={"x-envoy-expected-rq-timeout-ms": None}),
        specs=(
            "httpReqTimeout: {"
            + custom(f"{ROUTE}.RouteAction.MaxStreamDuration", "grpcTimeoutHeaderMax: 30s")
            + f"}}, {to('v1')}",
        ),
    ),
    case(
        "C-DP-08-extras-that-somebody-wrote",
        get().gives(503, headers={"x-envoy-overloaded": "true"}),
        subsets="",
        http="",
        mesh=f"""
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: $name
  annotations:
    meshd.io/extras: |
      {{"trafficPolicy": {{"circuitBreaker": {{
        "@type": "{URL}{CLUSTER}.CircuitBreakers", "thresholds": [{{"maxPendingRequests": 0}}]}}}}}}
spec:
  host: $host
  trafficPolicy: {{loadBalancer: {{simple: RANDOM}}}}
""",
    ),
)


def test_what_is_said_in_envoys_words_is_done(live: Live, case: Case):
    for exchange in case.exchanges:
        live.holds(case, exchange)


@pytest.mark.spec("CB-03")
def test_whoever_fails_once_is_left_out(live: Live):
    failing = get(x_do="500@v1").gives().ask
    statuses = [live.send(failing, EJECTING).status for _ in range(12)]
    assert statuses.count(500) == 1

    assert {live.send(get().gives().ask, EJECTING).by for _ in range(12)} == {"v2", "v3"}


@pytest.mark.spec("LB-04")
def test_who_is_asked_is_a_matter_of_a_header(live: Live):
    asked = {
        user: {live.send(get(x_user=user).gives().ask, HASHING).by for _ in range(5)} for user in map(str, range(30))
    }

    assert {len(by) for by in asked.values()} == {1}
    assert len({version for by in asked.values() for version in by}) == 3


@pytest.mark.spec("DP-12")
def test_a_connection_is_for_one_request(live: Live):
    answers = [live.send(get().gives().ask, ONE_EACH) for _ in range(4)]

    assert len({each.connection for answer in answers for each in live.backends.of(answer.live)}) == 4
