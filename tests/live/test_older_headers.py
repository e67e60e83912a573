"""Headers in which callers say timeout, retries, delay and abort, of rules that say so, on a real Envoy."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.live.cases import Case, only
from tests.live.older import request, rules, to
from tests.live.requests import ask, get
from tests.live.world import Live

pytestmark = pytest.mark.envoy

LISTENERS = ("edge",)
DOCUMENTS = """
apiVersion: meshd.io/v1
kind: MeshConfig
metadata: {name: mesh}
spec:
  ingressGateway: {selector: {app: edge}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: edge, annotations: {meshd.io/host: vm-1}}
spec: {address: $address, labels: {app: edge}}
"""
V1 = ("v1",)
LATE = "x-envoy-upstream-rq-timeout-ms"
RETRIES = "x-envoy-max-retries"
DELAY = "x-envoy-fault-delay-request"
ABORT = "x-envoy-fault-abort-request"
GRPC = "application/grpc"
DELAYS = "http[.]outbound_[0-9._]+[.]fault[.]delays_injected"
HUGE = "99999999999999999999999999"


def timeout(header: str, configured: str = "100ms") -> str:
    return f"httpReqTimeout: {{simpleTimeout: {{timeout: {configured}, overrideHeaderName: {header}}}}}, {to('v1')}"


def retries(header: str, attempts: int, more: str = "") -> str:
    simple = f"attempts: {attempts}, overrideHeaderName: {header}{more}"
    return f"httpReqRetries: {{simpleRetry: {{{simple}}}}}, {to('v1')}"


def fault(*faults: str) -> str:
    return f"httpFault: {{{', '.join(faults)}}}, {to('v1')}"


SOME = rules("ABT-06-percent-caps", specs=(fault("abort: {percent: 25, overrideHeaderName: X-Abort}"),))
NOBODY = rules(
    "ABT-06-a-percent-of-0-is-nobody",
    get(x_abort="503").gives(by="v1", sent={"x-abort": "503"}),
    specs=(fault("abort: {percent: 0, overrideHeaderName: x-abort}"),),
)
DELAYED = rules("DLY-06-a-delay-is-asked-for", specs=(fault("delay: {overrideHeaderName: x-delay}"),))
DELAYED_ANYHOW = rules(
    "DLY-06-a-fixed-delay-is-for-the-others", specs=(fault("delay: {fixedDelay: 1ms, overrideHeaderName: x-delay}"),)
)
DIGITS = rules(
    "DLY-06-an-exponential-delay-is-for-the-others",
    specs=(fault("delay: {exponentialDelay: 16ms, overrideHeaderName: x-delay}"),),
)
HALF_DIGITS = rules("DLY-05-half-of-the-requests", specs=(fault("delay: {exponentialDelay: 16ms, percent: 50}"),))

CASES = (
    SOME,
    NOBODY,
    DELAYED,
    DELAYED_ANYHOW,
    DIGITS,
    HALF_DIGITS,
    rules(
        "TMO-09-a-header-says-the-timeout",
        get(x_do="hold").gives(504, reached=V1),
        get(x_timeout="50", x_do="hold").gives(504, reached=V1),
        get(X_Timeout="50").gives(by="v1", sent={LATE: None, "x-meshd-rq-timeout-ms": None, "x-timeout": "50"}),
        specs=(timeout("X-Timeout"),),
    ),
    rules(
        "TMO-09-it-is-longer-or-shorter-than-the-rules",
        get(x_timeout="100", x_do="hold").gives(504, reached=V1),
        get(x_timeout="30000").gives(by="v1", sent={"x-envoy-expected-rq-timeout-ms": "30000"}),
        get(x_timeout="0").gives(by="v1", sent={"x-envoy-expected-rq-timeout-ms": None}),
        get(**{LATE: "30000", "x-timeout": "100", "x-do": "hold"}).gives(504, reached=V1),
        get(**{LATE: "100", "x-do": "hold"}).gives(504, reached=V1),
        get(x_timeout=("100", "30000"), x_do="hold").gives(504, reached=V1),
        specs=(timeout("x-timeout", "20s"),),
    ),
    rules(
        "TMO-09-what-is-no-number-leaves-it-at-the-rules",
        *[
            get(x_timeout=value).gives(by="v1", sent={"x-envoy-expected-rq-timeout-ms": "20000"})
            for value in ("soon", "-5", "1.5", "100ms", HUGE, "18446744073709551615", "")
        ],
        specs=(timeout("x-timeout", "20s"),),
    ),
    rules(
        "TMO-09-Envoys-own-header-may-be-named",
        get(**{LATE: "50", "x-do": "hold"}).gives(504, reached=V1),
        get(**{LATE: "5000"}).gives(by="v1", sent={LATE: None, "x-meshd-rq-timeout-ms": None}),
        specs=(timeout(LATE, "20s"),),
    ),
    rules(
        "TMO-09-only-for-the-rule-that-says-so",
        get("/a", x_timeout="50", x_do="hold").gives(504, reached=V1),
        get("/b", x_timeout="50").gives(by="v2", sent={"x-envoy-expected-rq-timeout-ms": "15000"}),
        specs=(f"precedence: 1, {request(uri='{prefix: /a}')}, {timeout('x-timeout', '20s')}", to("v2")),
    ),
    rules(
        "RTY-09-a-header-says-how-many-retries",
        get(x_do="503").gives(503, reached=V1 * 2),
        get(x_tries="3", x_do="503").gives(503, reached=V1 * 4),
        get(x_tries="3", x_do="503x3").gives(by="v1", reached=V1 * 4, sent={RETRIES: None, "x-tries": "3"}),
        get(x_tries="0", x_do="503").gives(503, reached=V1),
        *[get(x_tries=value, x_do="503").gives(503, reached=V1 * 2) for value in ("many", "-1", "1.5", HUGE)],
        get(**{RETRIES: "3", "x-do": "503"}).gives(503, reached=V1 * 2),
        specs=(retries("x-tries", 1),),
    ),
    rules(
        "RTY-09-where-the-rule-itself-allows-none",
        get(x_do="503").gives(503, reached=V1),
        get(x_tries="2", x_do="503").gives(503, reached=V1 * 3),
        get(x_tries="1", x_do="holdx1").gives(by="v1", reached=V1 * 2),
        specs=(retries("x-tries", 0, ", perTryTimeout: 100ms"),),
    ),
    rules(
        "RTY-09-Envoys-own-header-may-be-named",
        get(**{RETRIES: "3", "x-do": "503"}).gives(503, reached=V1 * 4),
        get(**{RETRIES: "3"}).gives(by="v1", sent={RETRIES: None, "x-meshd-max-retries": None}),
        specs=(retries(RETRIES, 0),),
    ),
    rules(
        "ABT-06-an-abort-is-asked-for",
        get().gives(by="v1"),
        get(x_abort="503").gives(503, reached=()),
        get(x_abort="200").gives(200, reached=(), body=b"fault filter abort"),
        *[
            get(x_abort=value).gives(by="v1", sent={ABORT: None, "x-abort": value})
            for value in ("199", "600", "-1", "soon", "503.5", HUGE)
        ],
        specs=(fault("abort: {overrideHeaderName: x-abort}"),),
    ),
    rules(
        "ABT-06-by-the-header-that-is-named-and-no-other",
        get(**{ABORT: "503"}).gives(by="v1", sent={ABORT: None}),
        get(**{"x-abort": "503", ABORT: "504", f"{ABORT}-percentage": "0"}).gives(503),
        get(**{"x-abort": "503", "x-envoy-fault-abort-grpc-request": "14", "content-type": GRPC}).gives(
            200, headers={"grpc-status": "14"}
        ),
        get(**{"x-envoy-fault-abort-grpc-request": "14"}).gives(by="v1"),
        specs=(fault("abort: {overrideHeaderName: x-abort}"),),
    ),
    rules(
        "ABT-06-Envoys-own-header-may-be-named",
        get(**{ABORT: "503", f"{ABORT}-percentage": "0"}).gives(503),
        get().gives(by="v1"),
        specs=(fault(f"abort: {{overrideHeaderName: {ABORT}}}"),),
    ),
    rules(
        "ABT-06-nobody-asks-other-rules",
        get(**{"x-abort": "503", ABORT: "503"}).gives(by="v1"),
        specs=(to("v1"),),
    ),
    rules(
        "ABT-06-a-fixed-status-is-for-the-others",
        get().gives(418),
        get(x_abort="503").gives(503),
        get(x_abort="soon").gives(418),
        specs=(fault("abort: {httpStatus: 418, overrideHeaderName: x-abort}"),),
    ),
    rules(
        "ABT-06-a-grpc-status-is-for-the-others",
        get(content_type=GRPC).gives(200, headers={"grpc-status": "8"}),
        get(x_abort="503", content_type=GRPC).gives(200, headers={"grpc-status": "14"}),
        get().gives(by="v1"),
        get(x_abort="503").gives(503),
        specs=(fault("abort: {grpcStatus: RESOURCE_EXHAUSTED, overrideHeaderName: x-abort}"),),
    ),
    rules(
        "DLY-06-a-delay-and-an-abort-are-apart",
        get().gives(418),
        get(x_delay="1").gives(418),
        specs=(fault("delay: {overrideHeaderName: x-delay}", "abort: {httpStatus: 418}"),),
    ),
    only(
        "DLY-06-at-an-edge",
        get(x_do="503", x_tries="1").through("edge").to("edge.live").gives(503, reached=V1 * 2),
        get(**{RETRIES: "2", LATE: "1", "x-do": "503"}).through("edge").to("edge.live").gives(503, reached=V1),
        get(x_abort="503").through("edge").to("edge.live").gives(503),
        get(**{ABORT: "503"}).through("edge").to("edge.live").gives(by="v1"),
        mesh="""
kind: RouteRule
metadata: {name: $name}
spec:
  destination: {service: $host}
  httpReqRetries: {simpleRetry: {attempts: 0, overrideHeaderName: x-tries}}
  httpFault: {abort: {overrideHeaderName: x-abort}}
---
kind: IngressRule
metadata: {name: $name}
spec:
  destination: {service: $host}
  port: $edge
  destinationPort: 80
  match: {request: {headers: {authority: {exact: edge.live}}}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: $name}
spec:
  hosts: [$host]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: 127.0.0.1, ports: {http: $v1}}]
""",
    ),
)


def test_a_header_is_obeyed(live: Live, case: Case):
    for exchange in case.exchanges:
        live.holds(case, exchange)


@pytest.mark.spec("ABT-06")
def test_percent_caps_what_is_asked_for(live: Live):
    statuses = Counter(live.send(get(x_abort="503").gives().ask, SOME).status for _ in range(400))

    assert set(statuses) == {200, 503}
    assert 50 < statuses[503] < 150


def delays(live: Live, case: Case, requests: int = 1, **headers: str) -> int:
    """How many were injected; no clock is asked."""
    before = live.statistic(DELAYS)
    for _ in range(requests):
        live.holds(case, ask("GET", **headers).gives(by="v1", sent={DELAY: None}))
    return live.statistic(DELAYS) - before


@pytest.mark.spec("DLY-06")
def test_a_delay_is_asked_for(live: Live):
    assert delays(live, DELAYED) == 0
    assert delays(live, DELAYED, x_delay="1") == 1
    assert delays(live, DELAYED, **{DELAY: "1"}) == 0
    for value in ("0", "-5", "soon", "1.5", HUGE, "9223372036854775807"):
        assert delays(live, DELAYED, x_delay=value) == 0


@pytest.mark.spec("DLY-06")
def test_a_delay_of_the_rule_is_for_who_does_not_ask(live: Live):
    assert delays(live, DELAYED_ANYHOW) == 1
    assert delays(live, DELAYED_ANYHOW, x_delay="2") == 1
    assert delays(live, DELAYED_ANYHOW, x_delay="0") == 0
    assert delays(live, DELAYED_ANYHOW, x_delay="soon") == 1


@pytest.mark.spec("DLY-06", "DLY-05")
def test_digits_are_for_who_does_not_ask(live: Live):
    """Of the eight digits one has a chance of 1/2, so that of 40 requests some are delayed, be it only a little."""
    assert delays(live, DIGITS, 40) > 40
    assert delays(live, DIGITS, 10, x_delay="1") == 10


@pytest.mark.spec("DLY-05")
def test_an_exponential_delay_meets_its_share_with_all_its_digits(live: Live):
    """About 2.1 digits of each request that is met (measured with all of them: 51 to 123 of 40)."""
    assert 30 < delays(live, HALF_DIGITS, 60) < 110
