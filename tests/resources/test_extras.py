"""Extras: what an annotation says beyond the words of the API, judged at its place, and written again."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from meshd.decode import DecodedFile, Kinds, decode_file
from meshd.resources import KINDS, NOT_YET
from meshd.resources.extras import (
    DestinationRuleExtras,
    FaultExtras,
    GatewayExtras,
    HTTPRouteExtras,
    L4RouteExtras,
    PolicyExtras,
    RetryExtras,
    ServiceEntryExtras,
    SourceExtras,
    TimeoutExtras,
    VirtualServiceExtras,
    extras_text,
)
from meshd.resources.legacy.l4_fault import L4FaultInjection, Terminate, Throttle
from meshd.resources.legacy.string_match import StringMatch
from meshd.resources.resource import Resource

SPECS = {
    "VirtualService": """
  hosts: [reviews]
  http: [{name: r, route: [{destination: {host: reviews}}]}]
  tls: [{match: [{sniHosts: [reviews]}], route: [{destination: {host: reviews}}]}]
  tcp: [{route: [{destination: {host: reviews}}]}]""",
    "DestinationRule": " {host: reviews, subsets: [{name: v1, labels: {version: v1}}]}",
    "ServiceEntry": " {hosts: ['*.foo.com'], ports: [{number: 80, name: http, protocol: HTTP}]}",
    "Gateway": " {servers: [{port: {number: 80, name: tcp, protocol: TCP}, hosts: ['*']}]}",
}
ANNOTATION = "metadata.annotations.meshd.io/extras"


def decoded(kind: str, extras: str) -> DecodedFile[Resource]:
    """The annotation is a block, which begins in line 6."""
    text = f"""apiVersion: networking.istio.io/v1
kind: {kind}
metadata:
  name: reviews
  annotations:
    meshd.io/extras: |-
      {extras}
spec:{SPECS[kind]}
"""
    return decode_file("mesh.yaml", text.encode(), Kinds(types=KINDS, not_yet=NOT_YET))


def verdict(kind: str, extras: str) -> list[str]:
    """`CODE path` of each problem, from the annotation on."""
    problems = decoded(kind, extras).problems
    assert {(problem.at.file, problem.at.line) for problem in problems} <= {("mesh.yaml", 6)}
    return [f"{problem.code} {problem.at.path.removeprefix(ANNOTATION).removeprefix('.')}" for problem in problems]


CLUSTER = "envoy.config.cluster.v3.Cluster"
RETRIES = "envoy.config.route.v3.RetryPolicy"


def custom_of_a_route(name: str, kind: str) -> str:
    return json.dumps({"http": {"r": {name: {"custom": {"@type": kind}}}}})


def cluster(**fields: object) -> str:
    return json.dumps({"trafficPolicy": {"cluster": {"@type": CLUSTER, **fields}}})


CUSTOM: dict[str, Any] = {"@type": f"type.googleapis.com/{CLUSTER}", "connectTimeout": "1s"}


@pytest.mark.parametrize(
    ("kind", "extras"),
    [
        (
            "VirtualService",
            VirtualServiceExtras(
                http={
                    "r": HTTPRouteExtras(
                        source=SourceExtras(host="reviews.default.svc.cluster.local", labels={"version": "v2"}),
                        also={"uri": StringMatch(regex="/a.*"), "cookie": StringMatch(exact="x")},
                        websocket_upgrade=False,
                        timeout=TimeoutExtras(header="x-timeout"),
                        retries=RetryExtras(
                            header="x-retries",
                            retry_on="5xx",
                            per_try_timeout=timedelta(seconds=2),
                            custom={"@type": "envoy.config.route.v3.RetryPolicy", "numRetries": 3, "retryOn": "5xx"},
                        ),
                        delay=FaultExtras(header="x-delay", percent=0.5),
                        abort=FaultExtras(header="x-abort"),
                    )
                },
                tls={"0": L4RouteExtras(source_subnets=("10.0.0.0/8", "fd00::1"))},
                tcp={
                    "0": L4RouteExtras(
                        source=SourceExtras(host="a.b"),
                        l4_fault=L4FaultInjection(
                            terminate=Terminate(percent=5.0, terminate_after_period=timedelta(seconds=90))
                        ),
                    )
                },
            ),
        ),
        (
            "DestinationRule",
            DestinationRuleExtras(
                source=SourceExtras(host="a.b"),
                traffic_policy=PolicyExtras(max_retries=0, max_ejection_percent=0, cluster=CUSTOM),
                subsets={
                    "v1": PolicyExtras(
                        load_balancing={"@type": "envoy.extensions.load_balancing_policies.random.v3.Random"},
                        circuit_breaker={"@type": "envoy.config.cluster.v3.CircuitBreakers", "thresholds": ()},
                    )
                },
            ),
        ),
        ("ServiceEntry", ServiceEntryExtras(resolution_without_capture="DYNAMIC_DNS")),
        ("Gateway", GatewayExtras(proxy_protocol_ports=(80,))),
        ("VirtualService", VirtualServiceExtras()),
    ],
)
def test_what_is_written_is_read_as_the_same_and_written_as_the_same(kind: str, extras: Any):
    text = extras_text(extras)

    found = decoded(kind, text)

    assert found.problems == ()
    (resource,) = found.resources
    assert resource.extras == extras  # type: ignore[attr-defined]
    assert extras_text(resource.extras) == text  # type: ignore[attr-defined]


def test_a_resource_without_the_annotation_has_empty_extras():
    text = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a}\nspec: {host: a}\n"

    (rule,) = decode_file("a.yaml", text.encode(), Kinds(types=KINDS, not_yet=NOT_YET)).resources

    assert rule.extras == DestinationRuleExtras()  # type: ignore[attr-defined]


def test_the_text_is_short_and_its_order_is_of_the_names():
    extras = DestinationRuleExtras(subsets={"b": PolicyExtras(max_retries=0), "a": PolicyExtras(max_retries=0)})

    assert extras_text(extras) == '{"subsets":{"a":{"maxRetries":0},"b":{"maxRetries":0}}}'


def test_a_throttle_warns_at_the_annotation_too():
    throttled = L4RouteExtras(l4_fault=L4FaultInjection(throttle=Throttle(downstream_limit_bps=819200)))

    assert verdict("VirtualService", extras_text(VirtualServiceExtras(tcp={"0": throttled}))) == [
        "W-THR-SHARED tcp.0.l4Fault.throttle"
    ]


@pytest.mark.parametrize(
    ("kind", "extras", "problems"),
    [
        ("VirtualService", "{}", []),
        ("VirtualService", "", ["E-VALUE "]),
        ("VirtualService", "{", ["E-VALUE "]),
        ("VirtualService", "http: {}", ["E-VALUE "]),
        ("VirtualService", "{'http': {}}", ["E-VALUE "]),
        ("VirtualService", '{"http": {}, "http": {}}', ["E-VALUE "]),
        ("VirtualService", '{"http": {"r": {"websocketUpgrade": NaN}}}', ["E-VALUE "]),
        ("VirtualService", 70 * '{"a":' + "1" + 70 * "}", ["E-VALUE "]),
        ("VirtualService", 100_000 * "[", ["E-VALUE "]),
        ("VirtualService", "[]", ["E-TYPE "]),
        ("VirtualService", '{"htpp": {}}', ["E-FIELD htpp"]),
        ("VirtualService", '{"http": {"r": {"timeot": {}}}}', ["E-FIELD http.r.timeot"]),
        ("VirtualService", '{"http": {"r": {"timeout": {"header": "a b"}}}}', ["E-VALUE http.r.timeout.header"]),
        ("VirtualService", '{"http": {"r": {"delay": {"percent": 10}}}}', ["E-REQUIRED http.r.delay.header"]),
        ("VirtualService", '{"http": {"r": {"delay": {"header": 1}}}}', ["E-TYPE http.r.delay.header"]),
        (
            "VirtualService",
            '{"http": {"r": {"abort": {"header": "x", "percent": "1"}}}}',
            ["E-TYPE http.r.abort.percent"],
        ),
        ("VirtualService", '{"http": {"r": {"websocketUpgrade": "no"}}}', ["E-TYPE http.r.websocketUpgrade"]),
        ("VirtualService", '{"http": {"r": {"also": {"uri": {"regex": "("}}}}}', ["E-VALUE http.r.also.uri.regex"]),
        ("VirtualService", '{"http": {"r": {"source": {"host": "*"}}}}', ["E-VALUE http.r.source.host"]),
        ("VirtualService", '{"http": {"other": {}}}', ["E-VALUE "]),
        ("VirtualService", '{"http": {"r": {"retries": {"retryOn": "5xx,"}}}}', ["E-VALUE http.r.retries.retryOn"]),
        ("VirtualService", '{"tcp": {"1": {}}}', ["E-VALUE "]),
        ("VirtualService", '{"tls": {"1": {}}}', ["E-VALUE "]),
        ("VirtualService", '{"tcp": {"01": {}}}', ["E-VALUE tcp.01"]),
        (
            "VirtualService",
            '{"tcp": {"0": {"l4Fault": {"terminate": {"percent": 101}}}}}',
            ["E-VALUE tcp.0.l4Fault.terminate.percent"],
        ),
        ("VirtualService", custom_of_a_route("retries", "a"), ["E-ANY-TYPE http.r.retries.custom.@type"]),
        ("VirtualService", custom_of_a_route("timeout", RETRIES), ["E-ANY-TYPE http.r.timeout.custom.@type"]),
        ("DestinationRule", '{"subsets": {"v2": {}}}', ["E-VALUE "]),
        ("DestinationRule", '{"trafficPolicy": {"maxRetries": 1}}', ["E-VALUE trafficPolicy.maxRetries"]),
        ("DestinationRule", cluster(name="a"), ["E-ANY-FIELD trafficPolicy.cluster.name"]),
        ("DestinationRule", cluster(connectTimeout=1), ["E-ANY-FIELD trafficPolicy.cluster.connectTimeout"]),
        ("ServiceEntry", '{"resolutionWithoutCapture": "NONE"}', ["E-VALUE resolutionWithoutCapture"]),
        ("ServiceEntry", '{"http": {}}', ["E-FIELD http"]),
        ("Gateway", '{"proxyProtocolPorts": [81]}', ["E-VALUE "]),
        ("Gateway", '{"proxyProtocolPorts": [0]}', ["E-VALUE proxyProtocolPorts[0]"]),
    ],
)
def test_what_is_wrong_is_told_at_the_annotation(kind: str, extras: str, problems: list[str]):
    assert verdict(kind, extras) == problems


def test_extras_of_what_there_is_not_are_told_with_what_there_is():
    (problem,) = decoded("DestinationRule", json.dumps({"subsets": {"v11": {}}})).problems

    assert str(problem) == (
        f"mesh.yaml:6:5: {ANNOTATION}: extras for subset 'v11', which is not there; did you mean 'v1'? [E-VALUE]"
    )


def test_what_is_no_json_says_why():
    (problem,) = decoded("Gateway", '{"proxyProtocolPorts": [80}').problems

    assert problem.message == "this is not JSON: Expecting ',' delimiter: line 1 column 27 (char 26)"
