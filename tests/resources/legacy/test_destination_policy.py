"""DestinationPolicy: its parts, judged alone; and what stands in `custom`."""

from __future__ import annotations

import pytest

from tests.resources.legacy.judging import rule, told, verdict

TO = "destination: {name: reviews}"
URL = "type.googleapis.com"
CLUSTER = "envoy.config.cluster.v3"
HTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
ROUTE = "envoy.config.route.v3"
BALANCERS = "envoy.extensions.load_balancing_policies"
INNER = "policies[0].typedExtensionConfig.typedConfig"


def policy(spec: str) -> list[str]:
    return verdict("DestinationPolicy", f"{{{spec}}}")


@pytest.mark.spec("DP-08", "LB-03", "LB-10")
@pytest.mark.parametrize(
    ("spec", "problems"),
    [
        (f"{TO}, loadBalancing: {{name: ROUND_ROBIN}}", []),
        (f"{TO}, loadBalancing: {{name: LEAST_CONN}}", []),
        (f"{TO}, loadBalancing: {{name: RANDOM}}", []),
        (f"{TO}, loadBalancing: {{name: LEAST_REQUEST}}", ["E-VALUE loadBalancing.name"]),
        (f"{TO}, loadBalancing: {{name: random}}", ["E-VALUE loadBalancing.name"]),
        (f"{TO}, loadBalancing: {{}}", ["E-LB-EMPTY loadBalancing"]),
        ("loadBalancing: {name: RANDOM}", ["E-DP-NO-DEST destination"]),
        ("source: {name: a}, loadBalancing: {name: RANDOM}", ["E-DP-NO-DEST destination"]),
        ("destination: {name: a, labels: {env: prod, version: v1}}, loadBalancing: {name: RANDOM}", []),
        (f"{TO}, source: {{name: a, labels: {{version: v1}}}}, loadBalancing: {{name: RANDOM}}", []),
        (TO, ["W-VALUE "]),
    ],
)
def test_a_policy_is_for_a_destination(spec: str, problems: list[str]):
    assert policy(spec) == problems


@pytest.mark.spec("CB-05", "CB-07", "CB-14", "CB-16")
@pytest.mark.parametrize(
    ("breaker", "problems"),
    [
        ("maxConnections: 100", []),
        ("", []),
        ("maxConnections: 0, httpConsecutiveErrors: 0, httpMaxRetries: 0, httpMaxEjectionPercent: 0", []),
        ("maxConnections: -1", ["E-VALUE .maxConnections"]),
        ("httpMaxPendingRequests: -1", ["E-VALUE .httpMaxPendingRequests"]),
        ("httpMaxRequests: 2147483648", ["E-VALUE .httpMaxRequests"]),
        ("httpMaxRequestsPerConnection: 536870913", ["E-VALUE .httpMaxRequestsPerConnection"]),
        ("httpMaxEjectionPercent: 101", ["E-VALUE .httpMaxEjectionPercent"]),
        ("httpMaxEjectionPercent: 0.5", ["E-TYPE .httpMaxEjectionPercent"]),
        ("sleepWindow: 15m, httpDetectionInterval: 5m", []),
        ("sleepWindow: 0s", ["E-DUR-MIN .sleepWindow"]),
        ("httpDetectionInterval: 1us", ["E-DUR-MIN .httpDetectionInterval"]),
        ("httpDetectionInterval: 1", ["E-TYPE .httpDetectionInterval"]),
    ],
)
def test_circuit_breakers(breaker: str, problems: list[str]):
    found = policy(f"{TO}, circuitBreaker: {{simpleCb: {{{breaker}}}}}")

    assert [problem.replace("circuitBreaker.simpleCb", "") for problem in found] == problems


def test_an_empty_circuit_breaker_is_none():
    assert policy(f"{TO}, circuitBreaker: {{}}") == ["W-VALUE circuitBreaker"]


# --- custom ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "problems"),
    [
        (
            f"circuitBreaker: {{custom: {{'@type': {URL}/{CLUSTER}.CircuitBreakers, thresholds: []}}}}",
            [],
        ),
        (f"circuitBreaker: {{custom: {{'@type': {CLUSTER}.OutlierDetection, consecutive_5xx: 3, interval: 5s}}}}", []),
        (f"circuitBreaker: {{custom: {{'@type': {CLUSTER}.Cluster}}}}", ["E-ANY-TYPE circuitBreaker.custom.@type"]),
        ("circuitBreaker: {custom: {'@type': a.b.C}}", ["E-ANY-TYPE circuitBreaker.custom.@type"]),
        ("circuitBreaker: {custom: {'@type': null}}", ["E-TYPE circuitBreaker.custom.@type"]),
        ("circuitBreaker: {custom: {}}", ["E-ANY-TYPE circuitBreaker.custom.@type"]),
        (
            f"circuitBreaker: {{custom: {{'@type': {CLUSTER}.CircuitBreakers, limits: 1}}}}",
            ["E-ANY-FIELD circuitBreaker.custom.limits"],
        ),
        (
            f"circuitBreaker: {{custom: {{'@type': {CLUSTER}.CircuitBreakers, thresholds: [{{maxConnections: x}}]}}}}",
            ["E-ANY-FIELD circuitBreaker.custom.thresholds[0].maxConnections"],
        ),
        ("circuitBreaker: {custom: [1]}", ["E-TYPE circuitBreaker.custom"]),
        ("circuitBreaker: {custom: {'@type': a, x: yes}}", ["E-SCALAR circuitBreaker.custom.x"]),
        (f"loadBalancing: {{custom: {{'@type': {BALANCERS}.maglev.v3.Maglev, tableSize: 65537}}}}", []),
        (f"loadBalancing: {{custom: {{'@type': {BALANCERS}.ring_hash.v3.RingHash}}}}", []),
        (
            f"loadBalancing: {{custom: {{'@type': {CLUSTER}.CircuitBreakers}}}}",
            ["E-ANY-TYPE loadBalancing.custom.@type"],
        ),
        (f"custom: {{'@type': {CLUSTER}.Cluster, connectTimeout: 1s, dnsLookupFamily: V4_ONLY}}", []),
        (f"custom: {{'@type': {CLUSTER}.Cluster, name: x}}", ["E-ANY-FIELD custom.name"]),
        (f"custom: {{'@type': {CLUSTER}.Cluster, type: EDS}}", ["E-ANY-FIELD custom.type"]),
        (f"custom: {{'@type': {CLUSTER}.Cluster, clusterType: {{name: a}}}}", ["E-ANY-FIELD custom.clusterType"]),
        (
            f"custom: {{'@type': {CLUSTER}.Cluster, loadAssignment: {{clusterName: a}}}}",
            ["E-ANY-FIELD custom.loadAssignment"],
        ),
        (
            f"custom: {{'@type': {CLUSTER}.Cluster, eds_cluster_config: {{serviceName: a}}}}",
            ["E-ANY-FIELD custom.eds_cluster_config"],
        ),
        (f"custom: {{'@type': {CLUSTER}.Cluster, metadata: {{}}}}", ["E-ANY-FIELD custom.metadata"]),
        (
            f"custom: {{'@type': {CLUSTER}.Cluster, transportSocket: {{name: a}}}}",
            ["E-ANY-FIELD custom.transportSocket"],
        ),
        (
            f"custom: {{'@type': {CLUSTER}.Cluster, transportSocketMatches: [{{name: a}}]}}",
            ["E-ANY-FIELD custom.transportSocketMatches"],
        ),
        (f"custom: {{'@type': {CLUSTER}.OutlierDetection}}", ["E-ANY-TYPE custom.@type"]),
        (
            f"custom: {{'@type': {CLUSTER}.Cluster, healthChecks: [{{eventLogPath: /etc/passwd}}]}}",
            ["E-ANY-FIELD custom.healthChecks[0].eventLogPath"],
        ),
        (
            f"custom: {{'@type': {CLUSTER}.Cluster, upstream_http_protocol_options: {{autoSni: false}}}}",
            ["E-ANY-FIELD custom.upstream_http_protocol_options"],
        ),
        (
            (
                f"custom: {{'@type': {CLUSTER}.Cluster, typedExtensionProtocolOptions: {{a: {{'@type': {URL}/{HTTP}, "
                "upstreamHttpProtocolOptions: {autoSanValidation: false}}}}"
            ),
            ["E-ANY-FIELD custom.typedExtensionProtocolOptions.a.upstreamHttpProtocolOptions"],
        ),
        (f"custom: {{'@type': {CLUSTER}.Cluster, transportSocket: null}}", ["E-TYPE custom.transportSocket"]),
    ],
)
def test_custom_policies_are_messages_of_envoy(spec: str, problems: list[str]):
    assert policy(f"{TO}, {spec}") == problems


@pytest.mark.parametrize(
    ("within", "problems"),
    [
        (f"{URL}/{BALANCERS}.maglev.v3.Maglev", []),
        (f"{BALANCERS}.maglev.v3.Maglev", [f"E-ANY-TYPE loadBalancing.custom.{INNER}.@type"]),
        (f"{URL}/a.b.C", [f"E-ANY-TYPE loadBalancing.custom.{INNER}.@type"]),
    ],
)
def test_messages_within_messages_are_known_too(within: str, problems: list[str]):
    inner = f"{{typedExtensionConfig: {{name: a, typedConfig: {{'@type': {within}}}}}}}"
    custom = f"{{'@type': {URL}/{CLUSTER}.LoadBalancingPolicy, policies: [{inner}]}}"

    assert policy(f"{TO}, loadBalancing: {{custom: {custom}}}") == problems


@pytest.mark.parametrize(
    ("spec", "problems"),
    [
        (f"httpReqRetries: {{custom: {{'@type': {ROUTE}.RetryPolicy, numRetries: 3, retryOn: 5xx}}}}", []),
        (f"httpReqRetries: {{custom: {{'@type': {ROUTE}.RouteAction}}}}", ["E-ANY-TYPE httpReqRetries.custom.@type"]),
        (f"httpReqTimeout: {{custom: {{'@type': {ROUTE}.RouteAction.MaxStreamDuration, maxStreamDuration: 5s}}}}", []),
        (f"httpReqTimeout: {{custom: {{'@type': {ROUTE}.RouteAction, timeout: 5s, idleTimeout: 1s}}}}", []),
        (
            f"httpReqTimeout: {{custom: {{'@type': {ROUTE}.RouteAction, cluster: a}}}}",
            ["E-ANY-FIELD httpReqTimeout.custom.cluster"],
        ),
        (f"httpReqTimeout: {{custom: {{'@type': {ROUTE}.RetryPolicy}}}}", ["E-ANY-TYPE httpReqTimeout.custom.@type"]),
    ],
)
def test_custom_policies_of_a_rule(spec: str, problems: list[str]):
    assert rule(f"route: [{{}}], {spec}") == problems


@pytest.mark.spec("CB-03", "DP-12")
def test_an_unknown_field_is_told_at_its_line_with_the_nearest_that_there_is():
    spec = f"""
  destination: {{name: reviews}}
  circuitBreaker:
    custom:
      '@type': {CLUSTER}.CircuitBreakers
      thresholds:
      - maxConnection: 1"""

    (line,) = told("DestinationPolicy", spec)

    assert line.startswith("11:9: spec.circuitBreaker.custom.thresholds[0].maxConnection: ")
    assert line.endswith("""has no field named "maxConnection"; did you mean 'maxConnections'? [E-ANY-FIELD]""")


def test_a_message_inside_of_a_message_has_its_whole_url():
    inner = f"{{name: a, typedConfig: {{'@type': {HTTP}}}}}"

    (line,) = told("DestinationPolicy", f"{{{TO}, custom: {{'@type': {CLUSTER}.Cluster, upstreamConfig: {inner}}}}}")

    assert line.endswith(f"; did you mean '{URL}/{HTTP}'? [E-ANY-TYPE]")


def test_a_custom_policy_of_another_type_is_told_which_there_are():
    assert told(
        "DestinationPolicy", f"{{{TO}, circuitBreaker: {{custom: {{'@type': {CLUSTER}.CircuitBreaker}}}}}}"
    ) == [
        (
            "5:60: spec.circuitBreaker.custom.@type: meshd cannot tell what 'envoy.config.cluster.v3.CircuitBreaker' "
            "means here; did you mean 'envoy.config.cluster.v3.CircuitBreakers'? [E-ANY-TYPE]"
        )
    ]


@pytest.mark.spec("CB-03", "DP-12")
def test_of_a_list_the_entry_is_told_that_is_wrong():
    spec = f"""
  destination: {{name: reviews}}
  loadBalancing:
    custom:
      '@type': {BALANCERS}.ring_hash.v3.RingHash
      consistentHashingLbConfig:
        hashPolicy:
        - header: {{headerName: x-user}}
        - header:
            headerName: {{a: b}}"""

    (line,) = told("DestinationPolicy", spec)

    assert line.startswith(
        "14:13: spec.loadBalancing.custom.consistentHashingLbConfig.hashPolicy[1].header.headerName: expected string"
    )
