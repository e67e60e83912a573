"""What RouteRules do with requests, row by row of the conversion (section 5), on a real Envoy."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.live.cases import Case, only
from tests.live.older import request, rules, to
from tests.live.requests import ask, get
from tests.live.world import Live

pytestmark = pytest.mark.envoy

V1 = ("v1",)
EXPECTED = "x-envoy-expected-rq-timeout-ms"
LATE = "x-envoy-upstream-rq-timeout-ms"
GRPC = "application/grpc"
DELAYS = "http[.]outbound_[0-9._]+[.]fault[.]delays_injected"
A = request(uri="{prefix: /a}")
OF_GRPC = """
ports: [{number: 80, name: grpc, protocol: GRPC}]
resolution: STATIC
endpoints: [{address: 127.0.0.1, ports: {grpc: $v1}, labels: {version: v1}}]
"""
REFUSING = """
ports: [{number: 80, name: http, protocol: HTTP}]
resolution: STATIC
endpoints:
- {address: 127.0.0.1, ports: {http: $dead}, labels: {version: v1}}
- {address: 127.0.0.1, ports: {http: $v1}, labels: {version: v1}}
"""
OTHER = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: $name-other}
spec:
  hosts: [other.$name]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints:
  - {address: 127.0.0.1, ports: {http: $v2}, labels: {version: v2}}
  - {address: 127.0.0.1, ports: {http: $v3}, labels: {version: v3}}
"""


def fault(*faults: str) -> str:
    return f"httpFault: {{{', '.join(faults)}}}, {to('v1')}"


def http2_error(error: str, code: int) -> Case:
    return rules(
        f"ABT-05-{error.replace('_', '-')}",
        get(content_type=GRPC).gives(200, headers={"grpc-status": str(code)}, reached=()),
        entry=OF_GRPC,
        specs=(fault(f"abort: {{http2Error: {error}}}"),),
    )


COPIED = rules(
    "RR-26-copies",
    specs=(f"mirror: {{service: $host, labels: {{version: v2}}}}, {to('v1')}",),
)
DELAYED = rules("DLY-02-a-delay-without-a-share-meets-all", specs=(fault("delay: {fixedDelay: 1ms}"),))
UNDELAYED = rules("DLY-02-a-share-of-0-meets-none", specs=(fault("delay: {fixedDelay: 1ms, percent: 0}"),))
SOME_DELAYED = rules("DLY-02-a-share-of-delays", specs=(fault("delay: {fixedDelay: 1ms, percent: 25}"),))
SOME_ABORTED = rules("ABT-02-a-share-of-aborts", specs=(fault("abort: {httpStatus: 503, percent: 12.5}"),))

BOTH = rules(
    "HFI-03-delays-and-aborts-do-not-depend-on-each-other",
    specs=(fault("delay: {fixedDelay: 1ms, percent: 50}", "abort: {httpStatus: 503, percent: 50}"),),
)

CASES = (
    BOTH,
    COPIED,
    DELAYED,
    UNDELAYED,
    SOME_DELAYED,
    SOME_ABORTED,
    # --- where requests go ---
    rules(
        "DW-03-a-route-may-lead-to-another-service",
        get("/a").gives(by="v3"),
        get("/").gives(by="v1"),
        specs=(
            f"precedence: 1, {A}, route: [{{destination: {{service: other.$name}}, labels: {{version: v3}}}}]",
            to("v1"),
        ),
        more=OTHER,
    ),
    rules(
        "RR-10-of-one-precedence-the-first-name-counts",
        get("/a").gives(by="v1"),
        specs=(f"{A}, {to('v1')}", f"{A}, {to('v2')}"),
    ),
    rules(
        "RR-10-a-negative-precedence-comes-last",
        get("/a").gives(by="v2"),
        get("/").gives(by="v1"),
        specs=(f"precedence: -1, {to('v1')}", f"{A}, {to('v2')}"),
    ),
    # --- redirects and rewrites ---
    rules(
        "RED-04-the-whole-path",
        get("/a/x?b=c").gives(302, headers={"location": "http://$host/new?b=c"}),
        specs=(f"{A}, redirect: {{uri: /new}}",),
    ),
    rules(
        "RED-05-only-the-authority",
        get("/a/b?c=d").gives(302, headers={"location": "http://books.test/a/b?c=d"}),
        specs=(f"{A}, redirect: {{authority: books.test}}",),
    ),
    rules(
        "RWR-01-of-an-exact-path-the-whole",
        get("/a?b").gives(path="/new?b", sent_host="$host"),
        specs=(f"{request(uri='/a')}, rewrite: {{uri: /new}}, {to('v1')}",),
    ),
    rules(
        "RWR-05-only-the-authority",
        get("/a/b?c").gives(path="/a/b?c", sent_host="b.test"),
        specs=(f"{A}, rewrite: {{authority: b.test}}, {to('v1')}",),
    ),
    # --- time and tries ---
    rules(
        "TMO-07-15s-unless-a-rule-says-otherwise",
        get("/a").gives(by="v1", sent={EXPECTED: "15000"}),
        get("/other").gives(200, sent={EXPECTED: "15000"}),
        specs=(f"{A}, {to('v1')}",),
    ),
    rules(
        "TMO-03-a-timeout",
        get(x_do="hold").gives(504, reached=V1),
        get().gives(by="v1", sent={EXPECTED: "100"}),
        specs=(f"httpReqTimeout: {{simpleTimeout: {{timeout: 100ms}}}}, {to('v1')}",),
    ),
    rules(
        "TMO-05-a-policy-without-a-timeout-is-15s",
        get().gives(by="v1", sent={EXPECTED: "15000"}),
        specs=(f"httpReqTimeout: {{simpleTimeout: {{}}}}, {to('v1')}",),
    ),
    rules(
        "TMO-08-the-caller-sets-its-own",
        get(**{LATE: "100", "x-do": "hold"}).gives(504, reached=V1),
        get(**{LATE: "30000"}).gives(by="v1", sent={EXPECTED: "30000", LATE: None}),
        specs=(to("v1"),),
    ),
    rules(
        "TMO-06-a-timeout-covers-all-tries",
        get(x_do="hold").gives(504, reached=V1),
        specs=(
            "httpReqTimeout: {simpleTimeout: {timeout: 100ms}}, httpReqRetries: {simpleRetry: {attempts: 3}}, "
            + to("v1"),
        ),
    ),
    rules("RTY-01-none-unless-a-rule-says-so", get(x_do="503").gives(503, reached=V1), specs=(to("v1"),)),
    rules(
        "RTY-10-whatever-fails-is-tried-again",
        get(x_do="500").gives(500, reached=V1 * 3),
        get(x_do="reset").gives(503, reached=V1 * 3),
        get(x_do="404").gives(404, reached=V1),
        specs=(f"httpReqRetries: {{simpleRetry: {{attempts: 2}}}}, {to('v1')}",),
    ),
    rules(
        "RTY-05-attempts-of-0-are-none",
        get(x_do="503").gives(503, reached=V1),
        specs=(f"httpReqRetries: {{simpleRetry: {{attempts: 0, perTryTimeout: 50ms}}}}, {to('v1')}",),
    ),
    rules(
        "RTY-08-each-try-has-its-time",
        get(x_do="holdx2").gives(by="v1", reached=V1 * 3),
        specs=(f"httpReqRetries: {{simpleRetry: {{attempts: 2, perTryTimeout: 100ms}}}}, {to('v1')}",),
    ),
    rules(
        "RTY-03-a-refused-connection-is-tried-again",
        *[get().gives(by="v1")] * 4,
        entry=REFUSING,
        specs=(f"httpReqRetries: {{simpleRetry: {{attempts: 2}}}}, {to('v1')}",),
    ),
    # --- faults ---
    rules(
        "ABT-04-a-grpc-status-by-its-number",
        get(content_type=GRPC).gives(200, headers={"grpc-status": "16"}),
        get().gives(by="v1"),
        specs=(fault("abort: {grpcStatus: 16}"),),
    ),
    rules(
        "ABT-02-a-share-of-0-meets-none", get().gives(by="v1"), specs=(fault("abort: {httpStatus: 503, percent: 0}"),)
    ),
    http2_error("REFUSED_STREAM", 14),
    http2_error("CANCEL", 1),
    http2_error("ENHANCE_YOUR_CALM", 8),
    http2_error("INADEQUATE_SECURITY", 7),
    http2_error("INTERNAL_ERROR", 13),
    # --- copies, browsers and headers ---
    rules(
        "RR-26-a-mirror-may-be-another-service",
        get("/m").gives(by="v1", reached=("v1", "v3")),
        specs=(f"mirror: {{service: other.$name, labels: {{version: v3}}}}, {to('v1')}",),
        more=OTHER,
    ),
    rules(
        "CORS-06-what-is-exposed-to-the-origins-that-are-listed",
        ask("OPTIONS", "/", origin="https://a.test", access_control_request_method="PUT").gives(
            200,
            headers={
                "access-control-allow-origin": "https://a.test",
                "access-control-allow-methods": "PUT",
                "access-control-allow-headers": "x-a,x-b",
                "access-control-allow-credentials": "true",
                "access-control-max-age": None,
            },
        ),
        get(origin="https://a.test").gives(
            by="v1", headers={"access-control-allow-origin": "https://a.test", "access-control-expose-headers": "x-c"}
        ),
        get(origin="https://b.test").gives(by="v1", headers={"access-control-allow-origin": None}),
        specs=(
            (
                "corsPolicy: {allowOrigin: ['https://a.test'], allowMethods: [PUT], allowHeaders: [x-a, x-b], "
                f"exposeHeaders: [x-c], allowCredentials: true}}, {to('v1')}"
            ),
        ),
    ),
    rules(
        "RR-30-what-a-request-brings-along-stays",
        get(x_a="own").gives(by="v1", sent={"x-a": ["own", "100"], "host": "$host"}),
        specs=(f"appendHeaders: {{x-a: '100'}}, {to('v1')}",),
    ),
    only(
        "several-actions-of-one-rule",
        get("/a/b", x_do="503x1").gives(
            by="v1", path="/c/b", sent_host="d.test", sent={"x-a": "1"}, reached=("v1", "v1", "v2")
        ),
        mesh=OTHER
        + """
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: $name}
spec:
  hosts: [$host]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: 127.0.0.1, ports: {http: $v1}}]
---
kind: RouteRule
metadata: {name: $name}
spec:
  destination: {service: $host}
  match: {request: {headers: {uri: {prefix: /a}}}}
  rewrite: {uri: /c, authority: d.test}
  httpReqTimeout: {simpleTimeout: {timeout: 9s}}
  httpReqRetries: {simpleRetry: {attempts: 1}}
  appendHeaders: {x-a: "1"}
  mirror: {service: other.$name, labels: {version: v2}}
""",
    ),
)


def test_a_rule_does_what_it_says(live: Live, case: Case):
    for exchange in case.exchanges:
        live.holds(case, exchange)


def delays(live: Live, case: Case, requests: int) -> int:
    before = live.statistic(DELAYS)
    for _ in range(requests):
        live.holds(case, get().gives(by="v1"))
    return live.statistic(DELAYS) - before


@pytest.mark.spec("RR-26", "RR-27", "RR-28")
def test_nobody_waits_for_who_gets_copies_but_he_is_counted(live: Live):
    copies = rf"cluster\.outbound\|80\|v2\|{COPIED.host}\.upstream_rq_total"

    answer = live.holds(COPIED, get(x_do="hold@v2").gives(by="v1", reached=("v1", "v2")))

    assert answer
    assert live.statistic(copies) == 1
    live.backends.release()


@pytest.mark.spec("DLY-02", "DLY-03")
def test_delays_meet_their_share(live: Live):
    assert delays(live, DELAYED, 5) == 5
    assert delays(live, UNDELAYED, 5) == 0
    assert 50 < delays(live, SOME_DELAYED, 400) < 150


@pytest.mark.spec("HFI-01", "HFI-03", "HFI-04", "HFI-05")
def test_a_request_may_meet_both_faults_or_one_or_none(live: Live):
    found: Counter[tuple[bool, int]] = Counter()
    for _ in range(120):
        before = live.statistic(DELAYS)
        status = live.send(get().gives().ask, BOTH).status
        found[live.statistic(DELAYS) > before, status] += 1

    assert set(found) == {(True, 200), (False, 200), (True, 503), (False, 503)}
    assert min(found.values()) > 8


@pytest.mark.spec("ABT-02", "ABT-03")
def test_aborts_meet_their_share(live: Live):
    statuses = Counter(live.send(get().gives().ask, SOME_ABORTED).status for _ in range(400))

    assert set(statuses) == {200, 503}
    assert 20 < statuses[503] < 90
