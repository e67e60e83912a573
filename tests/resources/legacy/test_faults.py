"""HTTP faults and faults of connections, judged alone."""

from __future__ import annotations

import pytest

from tests.resources.legacy.judging import rule, the

V1 = "route: [{labels: {version: v1}}]"


def http_fault(spec: str) -> list[str]:
    return [problem.replace(" httpFault", " ").replace(" .", " ") for problem in rule(f"{V1}, httpFault: {{{spec}}}")]


def l4_fault(spec: str) -> list[str]:
    found = rule(f"match: {{tcp: {{}}}}, {V1}, l4Fault: {{{spec}}}")
    return [problem.replace(" l4Fault", " ").replace(" .", " ") for problem in found]


@pytest.mark.spec("HFI-02", "ABT-03", "ABT-04", "ABT-05", "DLY-05")
@pytest.mark.parametrize(
    ("spec", "problems"),
    [
        ("", ["E-FAULT-EMPTY "]),
        ("delay: {fixedDelay: 5s}", []),
        ("delay: {percent: 0, fixedDelay: 5s}", []),
        ("delay: {percent: 0.0001, fixedDelay: 5s}", []),
        ("delay: {percent: 100, fixedDelay: 5s}", []),
        ("delay: {percent: 0.00001, fixedDelay: 5s}", ["E-VALUE delay.percent"]),
        ("delay: {percent: 100.1, fixedDelay: 5s}", ["E-VALUE delay.percent"]),
        ("delay: {percent: -1, fixedDelay: 5s}", ["E-VALUE delay.percent"]),
        ("delay: {percent: 10}", ["E-FAULT-EMPTY delay"]),
        ("delay: {overrideHeaderName: x-delay}", []),
        ("delay: {fixedDelay: 5s, overrideHeaderName: x-delay}", []),
        ("delay: {fixedDelay: 5s, overrideHeaderName: x delay}", ["E-VALUE delay.overrideHeaderName"]),
        ("delay: {exponentialDelay: 16ms}", []),
        ("delay: {exponentialDelay: 15ms}", ["E-EXPDELAY-SMALL delay.exponentialDelay"]),
        ("delay: {exponentialDelay: 0s}", ["E-DUR-MIN delay.exponentialDelay"]),
        ("abort: {percent: 10, httpStatus: 400}", []),
        ("abort: {httpStatus: 200}", []),
        ("abort: {httpStatus: 599}", []),
        ("abort: {httpStatus: 199}", ["E-VALUE abort.httpStatus"]),
        ("abort: {httpStatus: 600}", ["E-VALUE abort.httpStatus"]),
        ("abort: {percent: 10}", ["E-FAULT-EMPTY abort"]),
        ("abort: {overrideHeaderName: x-abort}", []),
        ("abort: {grpcStatus: UNAVAILABLE}", []),
        ("abort: {grpcStatus: '14'}", []),
        ("abort: {grpcStatus: 14}", []),
        ("abort: {grpcStatus: 0}", []),
        ("abort: {grpcStatus: 17}", ["E-VALUE abort.grpcStatus"]),
        ("abort: {grpcStatus: -1}", ["E-VALUE abort.grpcStatus"]),
        ("abort: {grpcStatus: unavailable}", ["E-VALUE abort.grpcStatus"]),
        ("abort: {grpcStatus: 1.5}", ["E-TYPE abort.grpcStatus"]),
        ("abort: {http2Error: REFUSED_STREAM}", []),
        ("abort: {http2Error: ENHANCE_YOUR_CALM}", []),
        ("abort: {http2Error: STREAM_CLOSED}", ["E-HTTP2ERR abort.http2Error"]),
        ("abort: {http2Error: REFUSED}", ["E-VALUE abort.http2Error"]),
        ("delay: {fixedDelay: 5s}, abort: {httpStatus: 500}", []),
    ],
)
def test_http_faults(spec: str, problems: list[str]):
    assert http_fault(spec) == problems


@pytest.mark.spec("ABT-04")
@pytest.mark.parametrize(("given", "name"), [("UNAVAILABLE", "UNAVAILABLE"), ("14", "UNAVAILABLE"), ("'0'", "OK")])
def test_a_grpc_status_has_a_name_whichever_way_it_is_given(given: str, name: str):
    found = the("RouteRule", f"{{destination: {{name: a}}, httpFault: {{abort: {{grpcStatus: {given}}}}}}}")

    assert found.http_fault.abort.grpc_status_name == name


def test_an_abort_without_a_grpc_status_has_no_name_of_one():
    found = the("RouteRule", "{destination: {name: a}, httpFault: {abort: {httpStatus: 500}}}")

    assert found.http_fault.abort.grpc_status_name is None


@pytest.mark.spec("THR-05", "THR-06", "THR-07")
@pytest.mark.parametrize(
    ("spec", "problems"),
    [
        ("", ["W-VALUE "]),
        ("terminate: {}", []),
        ("terminate: {percent: 5, terminateAfterPeriod: 30s}", []),
        ("terminate: {terminateAfterPeriod: 0s}", []),
        ("terminate: {terminateAfterPeriod: 1us}", ["E-VALUE terminate.terminateAfterPeriod"]),
        ("terminate: {percent: 101}", ["E-VALUE terminate.percent"]),
        ("throttle: {}", ["W-VALUE throttle"]),
        ("throttle: {downstreamLimitBps: 0}", ["W-VALUE throttle"]),
        ("throttle: {percent: 50, downstreamLimitBps: 819200}", ["W-THR-SHARED throttle"]),
        ("throttle: {upstreamLimitBps: 9223372036854775807}", ["W-THR-SHARED throttle"]),
        ("throttle: {upstreamLimitBps: -1}", ["E-VALUE throttle.upstreamLimitBps"]),
        ("throttle: {upstreamLimitBps: 8191}", ["W-THR-SHARED throttle", "W-VALUE throttle.upstreamLimitBps"]),
        (
            "throttle: {downstreamLimitBps: 9000, throttleAfterPeriod: 1s}",
            ["E-THR-AFTER throttle.throttleAfterPeriod", "W-THR-SHARED throttle"],
        ),
        (
            "throttle: {downstreamLimitBps: 9000, throttleAfterBytes: 1.5}",
            ["E-THR-AFTER throttle.throttleAfterBytes", "W-THR-SHARED throttle"],
        ),
        (
            "throttle: {downstreamLimitBps: 9000, throttleForPeriod: 1s}",
            ["E-THR-FOR throttle.throttleForPeriod", "W-THR-SHARED throttle"],
        ),
    ],
)
def test_faults_of_connections(spec: str, problems: list[str]):
    assert sorted(l4_fault(spec)) == problems
