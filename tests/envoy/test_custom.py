"""What somebody says in Envoy's own words, over what was rendered."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from meshd.compiler.custom import custom as planned
from meshd.envoy import render
from meshd.envoy.clusters import cluster, static_base
from meshd.memo import Memo
from meshd.plan import (
    Cluster,
    Custom,
    Forward,
    Maglev,
    RetryPolicy,
    SimpleBalancer,
    UpstreamHttp,
    WeightedCluster,
    ZoneAware,
)
from meshd.resources.legacy import custom as accepted
from tests.apart import complaint
from tests.envoy.plans import a_cluster, a_plan, a_route, a_table, a_virtual_host
from tests.envoy.shown import shown_cluster, shown_route

URL = "type.googleapis.com/"
CLUSTER = "envoy.config.cluster.v3."
ROUTE = "envoy.config.route.v3."
BALANCERS = "envoy.extensions.load_balancing_policies"
HTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def said(type_name: str, **fields: object) -> Custom:
    return Custom(type_name=type_name, json=json.dumps(fields))


def of_cluster(*custom: Custom, **plan: object) -> dict:
    return shown_cluster(a_cluster(custom=custom, **plan))


def of_action(*custom: Custom, timeout: timedelta | None = None, **plan: object) -> dict:
    to = WeightedCluster(cluster=a_cluster().name)
    action = Forward(destinations=(to,), timeout=timeout, custom=custom, **plan)
    return shown_route(replace(a_route(), action=action))["route"]


@pytest.mark.spec("CB-03")
def test_circuit_breakers_and_outlier_detection_are_replaced_whole():
    found = of_cluster(
        said(CLUSTER + "CircuitBreakers", thresholds=[{"maxRequests": 7}]),
        said(CLUSTER + "OutlierDetection", consecutive_5xx=2),
    )

    assert found["circuit_breakers"] == {"thresholds": [{"max_requests": 7}]}
    assert found["outlier_detection"] == {"consecutive_5xx": 2}


@pytest.mark.spec("LB-04")
def test_a_balancer_alone_becomes_a_policy():
    found = of_cluster(said(f"{BALANCERS}.maglev.v3.Maglev", tableSize="101"))

    (policy,) = found["load_balancing_policy"]["policies"]
    assert policy["typed_extension_config"] == {
        "name": "envoy.load_balancing_policies.maglev",
        "typed_config": {"@type": f"{URL}{BALANCERS}.maglev.v3.Maglev", "table_size": "101"},
    }
    assert found["common_lb_config"] == {"healthy_panic_threshold": {}}


@pytest.mark.spec("LB-04")
@pytest.mark.parametrize(
    ("plan", "localities"),
    [
        ({}, {"zone_aware_lb_config": {"routing_enabled": {}}}),
        (
            {"zone_aware": ZoneAware(min_cluster_size=3)},
            {"zone_aware_lb_config": {"routing_enabled": {"value": 100.0}, "min_cluster_size": "3"}},
        ),
        ({"locality_weighted": True}, {"locality_weighted_lb_config": {}}),
    ],
)
def test_what_a_balancer_does_not_say_of_localities_holds_for_it_too(plan: dict, localities: dict):
    def config(name: str, **fields: object) -> dict:
        (policy,) = of_cluster(said(f"{BALANCERS}.{name}", **fields), **plan)["load_balancing_policy"]["policies"]
        return policy["typed_extension_config"]["typed_config"]

    own = {"zone_aware_lb_config": {"min_cluster_size": "9"}}

    assert config("round_robin.v3.RoundRobin")["locality_lb_config"] == localities
    assert config("round_robin.v3.RoundRobin", localityLbConfig=own)["locality_lb_config"] == own
    assert ("locality_weighted_lb_config" in config("maglev.v3.Maglev")) == ("locality_weighted" in plan)


@pytest.mark.spec("DP-12")
def test_a_policy_within_a_cluster_is_without_the_balancer_that_was_rendered():
    random = {"name": "r", "typedConfig": {"@type": f"{URL}{BALANCERS}.random.v3.Random"}}
    policy = {"policies": [{"typedExtensionConfig": random}]}

    found = of_cluster(said(CLUSTER + "Cluster", loadBalancingPolicy=policy), load_balancer=Maglev(table_size=101))

    assert "maglev_lb_config" not in found
    assert found["common_lb_config"] == {"healthy_panic_threshold": {}}


@pytest.mark.spec("LB-04")
def test_a_load_balancing_policy_is_taken_as_it_is():
    random = {"name": "r", "typedConfig": {"@type": f"{URL}{BALANCERS}.random.v3.Random"}}

    found = of_cluster(said(CLUSTER + "LoadBalancingPolicy", policies=[{"typedExtensionConfig": random}]))

    (policy,) = found["load_balancing_policy"]["policies"]
    assert policy["typed_extension_config"]["name"] == "r"


@pytest.mark.spec("DP-12")
def test_a_cluster_is_merged_field_by_field_and_lists_are_replaced():
    found = of_cluster(
        said(
            CLUSTER + "Cluster",
            connectTimeout="0.250s",
            circuit_breakers={"thresholds": [{"maxRetries": 1}]},
            commonLbConfig={"closeConnectionsOnHostSetChange": True},
        ),
        connect_timeout=timedelta(seconds=3),
        healthy_panic_percent=20,
    )

    assert found["connect_timeout"] == "0.250s"
    assert found["circuit_breakers"] == {"thresholds": [{"max_retries": 1}]}
    assert found["common_lb_config"]["healthy_panic_threshold"] == {"value": 20.0}
    assert found["common_lb_config"]["close_connections_on_host_set_change"] is True
    assert found["name"] == a_cluster().name
    assert found["type"] == "EDS"


@pytest.mark.spec("DP-12")
def test_a_field_that_is_set_to_its_default_is_set():
    """ROUND_ROBIN is the first of Envoy's policies, and a duration of 0 holds nothing: protobuf would merge neither."""
    found = of_cluster(
        said(CLUSTER + "Cluster", lbPolicy="ROUND_ROBIN", cleanupInterval="0s", connectTimeout="1s"),
        load_balancer=SimpleBalancer(policy="RANDOM"),
        connect_timeout=timedelta(seconds=1, milliseconds=500),
    )

    assert "lb_policy" not in found
    assert found["connect_timeout"] == "1s"
    assert found["cleanup_interval"] == "0s"


@pytest.mark.spec("DP-12")
def test_options_of_http_are_merged_with_those_that_are_rendered():
    options = {"@type": URL + HTTP, "commonHttpProtocolOptions": {"maxRequestsPerConnection": 1}}

    found = of_cluster(
        said(CLUSTER + "Cluster", typed_extension_protocol_options={HTTP: options}),
        http=UpstreamHttp(protocol="http2", idle_timeout=timedelta(seconds=5)),
    )

    assert found["typed_extension_protocol_options"][HTTP] == {
        "@type": URL + HTTP,
        "common_http_protocol_options": {"idle_timeout": "5s", "max_requests_per_connection": 1},
        "explicit_http_config": {"http2_protocol_options": {}},
    }


def test_options_that_nothing_was_rendered_of_are_added():
    found = of_cluster(
        said(CLUSTER + "Cluster", typedExtensionProtocolOptions={HTTP: {"@type": URL + HTTP}, "empty": {}})
    )

    assert found["typed_extension_protocol_options"] == {HTTP: {"@type": URL + HTTP}, "empty": {}}


def test_a_cluster_with_custom_words_can_still_be_made_static():
    body = cluster(a_cluster(custom=(said(CLUSTER + "Cluster", connectTimeout="1s"),))).body

    assert b"eds" not in static_base(body)


@pytest.mark.spec("RTY-04")
def test_a_retry_policy_is_replaced_whole():
    retries = RetryPolicy(attempts=2, retry_on=("5xx",))

    found = of_action(said(ROUTE + "RetryPolicy", retryOn="gateway-error", numRetries=5), retries=retries)

    assert found["retry_policy"] == {"retry_on": "gateway-error", "num_retries": 5}


@pytest.mark.spec("TMO-04")
@pytest.mark.parametrize(
    ("custom", "timeout", "found"),
    [
        (said(ROUTE + "RouteAction", idleTimeout="2s"), 15, {"timeout": "15s", "idle_timeout": "2s"}),
        (said(ROUTE + "RouteAction", timeout="0s"), 15, {"timeout": "0s"}),
        (said(ROUTE + "RouteAction", timeout="3s"), None, {"timeout": "3s"}),
        (
            said(ROUTE + "RouteAction.MaxStreamDuration", maxStreamDuration="3s"),
            15,
            {"timeout": "0s", "max_stream_duration": {"max_stream_duration": "3s"}},
        ),
        (
            said(ROUTE + "RouteAction", max_stream_duration={"grpcTimeoutHeaderMax": "3s"}),
            None,
            {"timeout": "0s", "max_stream_duration": {"grpc_timeout_header_max": "3s"}},
        ),
    ],
)
def test_a_timeout_policy_is_either_a_timeout_or_a_longest_duration(custom: Custom, timeout: int | None, found: dict):
    action = of_action(custom, timeout=None if timeout is None else timedelta(seconds=timeout))

    assert {name: value for name, value in action.items() if "time" in name or "duration" in name} == found


def test_the_order_of_fields_makes_no_difference():
    one = {"@type": URL + CLUSTER + "Cluster", "altStatName": "a", "connectTimeout": "1s"}
    other = dict(reversed(one.items()))

    assert (
        planned((one, None))
        == planned((other,))
        == (Custom(type_name=CLUSTER + "Cluster", json='{"altStatName": "a", "connectTimeout": "1s"}'),)
    )


def test_whatever_is_accepted_is_known_here():
    """The two rooms do not see each other."""
    clusters = [*accepted.IN_CIRCUIT_BREAKER.types, *accepted.IN_LOAD_BALANCING.types, *accepted.IN_POLICY.types]
    actions = [*accepted.IN_RETRY.types, *accepted.IN_TIMEOUT.types]

    for each in clusters:
        assert of_cluster(said(each)), each
    for each in actions:
        assert of_action(said(each)), each
    inside = {"name": "a", "typedConfig": {"@type": ""}}
    for each in accepted._MODULES:
        inside["typedConfig"] = {"@type": URL + each}
        assert of_cluster(said(CLUSTER + "Cluster", upstreamConfig=inside)), each


def every_balancer() -> tuple[Cluster, ...]:
    """But for those that Envoy has only for what meshd has not: clients' own load, endpoints of the cluster, hosts."""
    balancers = {
        "least_request.v3.LeastRequest": {},
        "maglev.v3.Maglev": {},
        "random.v3.Random": {},
        "ring_hash.v3.RingHash": {"minimumRingSize": "16"},
        "round_robin.v3.RoundRobin": {},
        "client_side_weighted_round_robin.v3.ClientSideWeightedRoundRobin": {},
    }
    plans = (
        a_cluster(custom=(said(f"{BALANCERS}.{name}", **fields),), locality_weighted=number % 2 == 0)
        for number, (name, fields) in enumerate(balancers.items())
    )
    return tuple(replace(each, name=f"{number}|{each.name}") for number, each in enumerate(plans))


@pytest.mark.envoy
@pytest.mark.spec("LB-04", "CB-03", "DP-12", "RTY-04", "TMO-04")
def test_a_real_envoy_takes_what_is_said_in_its_words(envoy_binary: Path, short_tmp: Path):
    probe = {"timeout": "1s", "interval": "1s", "unhealthyThreshold": 1, "healthyThreshold": 1, "tcpHealthCheck": {}}
    spoken = a_cluster(
        custom=(
            said(CLUSTER + "CircuitBreakers", thresholds=[{"maxRequests": 7}], perHostThresholds=[{}]),
            said(CLUSTER + "OutlierDetection", consecutive_5xx=2),
            said(CLUSTER + "Cluster", healthChecks=[probe], connectTimeout="0.5s"),
        )
    )
    retries = said(
        ROUTE + "RetryPolicy",
        retryOn="5xx",
        retryHostPredicate=[
            {
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typedConfig": {"@type": f"{URL}envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"},
            }
        ],
    )
    timeouts = said(ROUTE + "RouteAction", timeout="1s", idleTimeout="1s", flushTimeout="1s")
    action = Forward(destinations=(WeightedCluster(cluster=spoken.name),), custom=(timeouts, retries))
    plan = a_plan(
        clusters=(spoken, *every_balancer()),
        route_tables=(a_table(a_virtual_host("reviews", replace(a_route(), action=action))),),
    )

    assert render(plan, Memo()).clusters
    assert complaint([plan], envoy_binary, short_tmp) == ""
