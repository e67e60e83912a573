"""What is tried again how often, and when a request is given up (spec V-17, 5.7, 7.3): told by tries, not by time."""

from __future__ import annotations

import pytest

from tests.live.cases import Case, case
from tests.live.requests import ask, get
from tests.live.world import Live

pytestmark = pytest.mark.envoy


def to_v1(*more: str) -> str:
    lines = "\n".join(f"      {line}" for line in more)
    return f"    - route: [{{destination: {{host: $host, subset: v1}}}}]\n{lines}\n"


def retried(retries: str, *more: str) -> str:
    return to_v1(f"retries: {retries}", *more)


V1 = ("v1",)
HALF_DEAD = """
ports: [{number: 80, name: http, protocol: HTTP}]
resolution: STATIC
endpoints:
- {address: 127.0.0.1, ports: {http: $dead}}
- {address: 127.0.0.1, ports: {http: $v1}}
"""
LATE = "x-envoy-upstream-rq-timeout-ms"

CASES = (
    # --- timeouts ---
    case("V-17-a-timeout-is-504", get(x_do="hold").gives(504, reached=V1), http=to_v1("timeout: 0.1s")),
    case(
        "V-17-a-timeout-covers-all-tries",
        get(x_do="hold").gives(504, reached=V1),
        http=retried("{attempts: 3, retryOn: 5xx}", "timeout: 0.1s"),
    ),
    case(
        "V-17-a-gRPC-call-has-its-own-deadline",
        ask("POST", "/", content_type="application/grpc", grpc_timeout="100m", x_do="hold").gives(
            200, headers={"grpc-status": "4"}, reached=V1
        ),
        ask("POST", "/", content_type="application/grpc", grpc_timeout="10S").gives(200, by="v1", reached=V1),
    ),
    case(
        "V-17-a-timeout-caps-the-deadline-of-a-gRPC-call",
        ask("POST", "/", content_type="application/grpc", grpc_timeout="20S", x_do="hold").gives(
            200, headers={"grpc-status": "14"}, reached=V1
        ),
        http=to_v1("timeout: 0.1s"),
    ),
    case("V-17-timeout-zero-is-none", get().gives(by="v1"), http=to_v1("timeout: 0s")),
    case("V-17-in-time-is-in-time", get().gives(by="v1"), http=to_v1("timeout: 5s")),
    case(
        "S-7-3-the-application-sets-its-own-timeout",
        get(**{LATE: "100", "x_do": "hold"}).gives(504, reached=V1),
        get(**{LATE: "100", "x_do": "hold", "x_forwarded_for": "203.0.113.9"}).gives(504, reached=V1),
        get(**{LATE: "5000"}).gives(by="v1", sent={LATE: None, "x-meshd-rq-timeout-ms": None}),
        get(x_meshd_rq_timeout_ms="1").gives(by="v1", sent={"x-meshd-rq-timeout-ms": None}),
    ),
    case(
        "S-7-3-it-may-shorten-the-routes-timeout",
        get(**{LATE: "100", "x_do": "hold"}).gives(504, reached=V1),
        http=to_v1("timeout: 20s"),
    ),
    case(
        "S-7-3-other-x-envoy-headers-change-nothing",
        get(x_envoy_retry_on="5xx", x_envoy_max_retries="3", x_do="500").gives(500, reached=V1),
        get(x_envoy_retry_on="5xx", x_envoy_max_retries="3", x_do="500", x_forwarded_for="203.0.113.9").gives(
            500, reached=V1
        ),
    ),
    # --- which retries ---
    case("V-80-by-default-an-answer-is-an-answer", get(x_do="503").gives(503, reached=V1)),
    case("V-80-by-default-a-reset-is-not-retried", get(x_do="reset").gives(503, reached=V1)),
    case("V-80-by-default-a-refused-connection-is-retried", *[get().gives(by="v1")] * 6, entry=HALF_DEAD, http=""),
    case(
        "V-80-the-default-holds-for-routes-too",
        *[get().gives(by="v1")] * 6,
        entry=HALF_DEAD,
        subsets="",
        http="    - route: [{destination: {host: $host}}]",
    ),
    case(
        "V-81-attempts-are-tries-beyond-the-first",
        get(x_do="500").gives(500, reached=V1 * 4),
        get(x_do="500x3").gives(200, by="v1", reached=V1 * 4),
        http=retried("{attempts: 3, retryOn: 5xx}"),
    ),
    case(
        "V-81-attempts-zero-is-no-retry-at-all",
        get().gives(503),
        http=retried("{attempts: 0}").replace(", subset: v1", ""),
        subsets="",
        entry="""
        ports: [{number: 80, name: http, protocol: HTTP}]
        resolution: STATIC
        endpoints: [{address: 127.0.0.1, ports: {http: $dead}}]
        """,
    ),
    case("V-81-attempts-zero-answers-pass", get(x_do="500").gives(500, reached=V1), http=retried("{attempts: 0}")),
    case("V-81-retries-without-attempts-are-none", get(x_do="500").gives(500, reached=V1), http=retried("{}")),
    case(
        "V-82-perTryTimeout-with-5xx",
        get(x_do="holdx2").gives(200, by="v1", reached=V1 * 3),
        get(x_do="hold").gives(504, reached=V1 * 3),
        http=retried("{attempts: 2, perTryTimeout: 0.1s, retryOn: 5xx}"),
    ),
    case(
        "V-82-perTryTimeout-with-gateway-error",
        get(x_do="holdx1").gives(200, by="v1", reached=V1 * 2),
        http=retried("{attempts: 2, perTryTimeout: 0.1s, retryOn: gateway-error}"),
    ),
    case(
        "V-82-perTryTimeout-is-no-reason-to-try-again",
        get(x_do="hold").gives(504, reached=V1),
        http=retried("{attempts: 2, perTryTimeout: 0.1s}"),
    ),
    case(
        "V-83-5xx",
        get(x_do="501x1").gives(200, reached=V1 * 2),
        get(x_do="resetx1").gives(200, reached=V1 * 2),
        get(x_do="404").gives(404, reached=V1),
        http=retried("{attempts: 1, retryOn: 5xx}"),
    ),
    case(
        "V-83-gateway-error",
        get(x_do="502x1").gives(200, reached=V1 * 2),
        get(x_do="500").gives(500, reached=V1),
        http=retried("{attempts: 1, retryOn: gateway-error}"),
    ),
    case(
        "V-83-retriable-4xx-is-409",
        get(x_do="409x1").gives(200, reached=V1 * 2),
        get(x_do="404").gives(404, reached=V1),
        http=retried("{attempts: 1, retryOn: retriable-4xx}"),
    ),
    case(
        "V-83-reset",
        get(x_do="resetx1").gives(200, reached=V1 * 2),
        get(x_do="500").gives(500, reached=V1),
        http=retried("{attempts: 1, retryOn: reset}"),
    ),
    case(
        "V-83-numbers-are-statuses",
        get(x_do="429x1").gives(200, reached=V1 * 2),
        get(x_do="500").gives(500, reached=V1),
        http=retried("{attempts: 1, retryOn: 'connect-failure,429,404'}"),
    ),
    case(
        "V-83-numbers-alone",
        get(x_do="404x2").gives(200, reached=V1 * 3),
        http=retried("{attempts: 2, retryOn: '404'}"),
    ),
    case(
        "V-83-a-body-is-sent-again",
        ask("POST", "/x").gives(200, reached=V1),
        http=retried("{attempts: 1, retryOn: 5xx}"),
    ),
    case(
        "V-83-retriable-status-codes-without-any",
        get(x_do="503").gives(503, reached=V1),
        http=retried("{attempts: 2, retryOn: retriable-status-codes}"),
    ),
    # --- where ---
    case(
        "V-85-a-retry-avoids-the-host-that-failed",
        *[get(x_do="500@v1").gives(200)] * 8,
        http="""
        - route: [{destination: {host: $host}}]
          retries: {attempts: 1, retryOn: 5xx}
        """,
    ),
    case(
        "V-85-a-retry-stays-where-a-consistent-hash-sends-it",
        *[get(x_user=user, x_do="500x3").gives(200) for user in "abcdef"],
        policy="loadBalancer: {consistentHash: {httpHeaderName: x-user}}",
        http="""
        - route: [{destination: {host: $host}}]
          retries: {attempts: 3, retryOn: 5xx}
        """,
    ),
    case(
        "V-86-backoff-changes-no-number-of-tries",
        get(x_do="500x2").gives(200, reached=V1 * 3),
        http=retried("{attempts: 2, retryOn: 5xx, backoff: 1ms}"),
    ),
    case(
        "V-84-remote-localities-beside-the-near-ones",
        get(x_do="500@v1").gives(200, by="v2"),
        http="""
        - route: [{destination: {host: $host}}]
          retries: {attempts: 4, retryOn: 5xx, retryRemoteLocalities: true}
        """,
        policy="outlierDetection: {consecutive5xxErrors: 0}",
        subsets="",
        entry="""
        ports: [{number: 80, name: http, protocol: HTTP}]
        resolution: STATIC
        endpoints:
        - {address: 127.0.0.1, ports: {http: $v1}, locality: here/zone-a/rack-1}
        - {address: 127.0.0.1, ports: {http: $v2}, locality: there/zone-b}
        """,
    ),
    case(
        "V-18-no-retry-leaves-the-near-locality",
        get(x_do="500@v1").gives(500),
        http="""
        - route: [{destination: {host: $host}}]
          retries: {attempts: 4, retryOn: 5xx}
        """,
        policy="outlierDetection: {consecutive5xxErrors: 0}",
        subsets="",
        entry="""
        ports: [{number: 80, name: http, protocol: HTTP}]
        resolution: STATIC
        endpoints:
        - {address: 127.0.0.1, ports: {http: $v1}, locality: here/zone-a/rack-1}
        - {address: 127.0.0.1, ports: {http: $v2}, locality: there/zone-b}
        """,
    ),
)


def test_tries(live: Live, case: Case):
    for exchange in case.exchanges:
        live.holds(case, exchange)


def test_tries_of_a_hashed_request_all_reach_the_same_endpoint(live: Live):
    """V-85: `retryIgnorePreviousHosts` is off where it would break the affinity."""
    sticky = next(case for case in CASES if case.id == "V-85-a-retry-stays-where-a-consistent-hash-sends-it")

    for user in "abcdef":
        answer = live.send(get(x_user=user, x_do="500x3"), sticky)
        assert {each.by for each in live.backends.of(answer.live)} == {answer.by}
