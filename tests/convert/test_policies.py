"""DestinationPolicies: for all versions or one, for everybody or one caller, and what their numbers become (C-DP)."""

from __future__ import annotations

import json

import pytest

from tests.convert.conftest import RATINGS, REVIEWS, a_policy, a_rule, a_service, an_egress_rule, converted, loaded

V1 = "{name: reviews, labels: {version: v1}}"
TO_V1 = a_rule(spec="destination: {name: reviews}, route: [{labels: {version: v1}}]")
OUT = an_egress_rule("out", "destination: {service: a.example}, ports: [{port: 443, protocol: https}, "
                     "{port: 80, protocol: http}]")  # fmt: skip


def rule(made, name="reviews-default"):
    return made.spec("DestinationRule", name)


def extras(made, name="reviews-default"):
    return json.loads(made.named("DestinationRule", name)["metadata"]["annotations"]["meshd.io/extras"])


@pytest.mark.spec("DP-03", "DP-04")
@pytest.mark.parametrize(
    ("destination", "namespace", "host"),
    [
        ("name: reviews", "default", "reviews.default.mesh.test"),
        ("name: reviews", "shop", "reviews.shop.mesh.test"),
        ("name: reviews, namespace: other", "shop", "reviews.other.mesh.test"),
    ],
)
def test_the_host_of_a_policy_is_its_name_its_namespace_and_the_suffix_of_the_mesh(destination, namespace, host):
    config = "---\napiVersion: meshd.io/v1\nkind: MeshConfig\nmetadata: {name: mesh}\nspec: {domainSuffix: mesh.test}\n"
    text = a_policy("p", f"destination: {{{destination}}}, loadBalancing: {{name: RANDOM}}", namespace=namespace)

    (made,) = converted(text, config).objects

    assert made["spec"]["host"] == host


@pytest.mark.spec("DP-10", "LB-05", "LB-06", "LB-07", "LB-08")
@pytest.mark.parametrize(
    ("old", "new"), [("ROUND_ROBIN", "ROUND_ROBIN"), ("LEAST_CONN", "LEAST_REQUEST"), ("RANDOM", "RANDOM")]
)
def test_c_dp_02_balancers(old, new):
    made = converted(a_policy("p", f"destination: {{name: reviews}}, loadBalancing: {{name: {old}}}"))

    assert rule(made)["trafficPolicy"] == {"loadBalancer": {"simple": new}}


@pytest.mark.spec("CB-02", "CB-07", "CB-08", "CB-09", "CB-10", "CB-11", "CB-12", "CB-14", "CB-15", "CB-18")
def test_c_dp_03_an_empty_breaker_has_all_numbers():
    made = converted(a_policy("p", "destination: {name: reviews}, circuitBreaker: {simpleCb: {}}"))

    assert rule(made)["trafficPolicy"] == {
        "loadBalancer": {"simple": "ROUND_ROBIN"},
        "connectionPool": {
            "tcp": {"maxConnections": 1024},
            "http": {"http1MaxPendingRequests": 1024, "http2MaxRequests": 1024, "maxRetries": 3},
        },
        "outlierDetection": {
            "consecutive5xxErrors": 5,
            "interval": "10s",
            "baseEjectionTime": "30s",
            "maxEjectionPercent": 10,
            "minHealthPercent": 50,
        },
    }


def test_zeros_that_mean_the_default_and_zeros_that_are_meant():
    breaker = "maxConnections: 0, httpConsecutiveErrors: 0, httpMaxRetries: 0, httpMaxEjectionPercent: 0"

    made = converted(a_policy("p", f"destination: {{name: reviews}}, circuitBreaker: {{simpleCb: {{{breaker}}}}}"))

    policy = rule(made)["trafficPolicy"]
    assert policy["connectionPool"]["tcp"]["maxConnections"] == 1024
    assert policy["outlierDetection"]["consecutive5xxErrors"] == 0
    assert policy["connectionPool"]["http"]["maxRetries"] == 1
    assert policy["outlierDetection"]["maxEjectionPercent"] == 1
    assert extras(made)["trafficPolicy"] == {"maxEjectionPercent": 0, "maxRetries": 0}
    assert made.codes == ["L-ZERO", "L-ZERO", "N-ZERO"]


def test_c_dp_04_a_version_inherits_the_balancer_that_it_does_not_name():
    made = converted(
        a_policy("all", "destination: {name: reviews}, loadBalancing: {name: RANDOM}"),
        a_policy("one", f"destination: {V1}, circuitBreaker: {{simpleCb: {{}}}}"), TO_V1,
    )  # fmt: skip

    (subset,) = rule(made)["subsets"]
    assert rule(made)["trafficPolicy"] == {"loadBalancer": {"simple": "RANDOM"}}
    assert "loadBalancer" not in subset["trafficPolicy"]
    assert "N-DP-INHERIT" in made.codes


@pytest.mark.spec("DP-14")
def test_c_dp_05_of_two_policies_for_the_same_calls_the_first_by_name_counts():
    made = converted(
        a_policy("b", "destination: {name: reviews}, loadBalancing: {name: RANDOM}"),
        a_policy("a", "destination: {name: reviews}, loadBalancing: {name: LEAST_CONN}"),
    )

    assert rule(made)["trafficPolicy"] == {"loadBalancer": {"simple": "LEAST_REQUEST"}}
    assert made.problem("W-DP-SHADOWED").at.resource.name == "b"


def test_c_dp_06_a_policy_for_one_caller_brings_everything_else_along():
    ratings = a_service("ratings.default.svc.cluster.local", labels="app: ratings")

    made = converted(
        a_policy("all", "destination: {name: reviews}, loadBalancing: {name: RANDOM}"),
        a_policy("mine", f"source: {{name: ratings}}, destination: {V1}, circuitBreaker: {{simpleCb: {{}}}}"),
        TO_V1, REVIEWS, ratings,
    )  # fmt: skip

    mine = rule(made, "reviews-default-from-ratings")
    assert mine["workloadSelector"] == {"matchLabels": {"app": "ratings"}}
    assert mine["exportTo"] == ["."]
    assert mine["trafficPolicy"] == {"loadBalancer": {"simple": "RANDOM"}}
    assert "connectionPool" in mine["subsets"][0]["trafficPolicy"]
    assert "trafficPolicy" not in rule(made)["subsets"][0]


def test_c_dp_06_two_versions_of_one_caller_have_rules_of_their_own():
    ratings = a_service("ratings.default.svc.cluster.local", labels="app: ratings")

    made = converted(
        *(
            a_policy(v, f"source: {{name: ratings, labels: {{version: {v}}}}}, destination: {{name: reviews}}, "
                     "loadBalancing: {name: RANDOM}")
            for v in ("v1", "v2")
        ),
        REVIEWS, ratings,
    )  # fmt: skip

    names = [each["metadata"]["name"] for each in made.objects]
    assert len(set(names)) == 2
    assert all(name.startswith("reviews-default-from-ratings-") for name in names)


def test_c_dp_06_a_caller_that_no_label_tells():
    made = converted(
        a_policy("p", "source: {name: ratings}, destination: {name: reviews}, loadBalancing: {name: RANDOM}"),
        REVIEWS, RATINGS,
    )  # fmt: skip

    assert extras(made, "reviews-default-from-ratings")["source"] == {"host": "ratings.default.svc.cluster.local"}
    assert "L-SOURCE" in made.codes


@pytest.mark.parametrize("destination", ["service: a.example"])
def test_c_dp_07_at_a_port_that_opens_tls_the_policy_is_repeated(destination):
    made = converted(OUT, a_policy("p", f"destination: {{{destination}}}, loadBalancing: {{name: RANDOM}}, "
                                   "circuitBreaker: {simpleCb: {maxConnections: 7}}"))  # fmt: skip

    policy = rule(made, "out")["trafficPolicy"]
    (port,) = policy.pop("portLevelSettings")
    assert policy["connectionPool"]["tcp"] == {"maxConnections": 7}
    assert port.pop("port") == {"number": 443}
    assert port.pop("tls") == {"mode": "SIMPLE"}
    assert port == policy


def test_c_dp_08_custom_policies_are_in_the_extras():
    custom = "{'@type': type.googleapis.com/envoy.config.cluster.v3.Cluster, connectTimeout: 7s}"

    made = converted(a_policy("p", f"destination: {V1}, custom: {custom}"), TO_V1)

    assert extras(made)["subsets"]["v1"]["cluster"]["connectTimeout"] == "7s"
    assert "L-CUSTOM" in made.codes


@pytest.mark.spec("C-DP-04", "LB-04")
def test_a_version_inherits_a_custom_balancer():
    balancer = "{'@type': type.googleapis.com/envoy.extensions.load_balancing_policies.random.v3.Random}"
    cluster = "{'@type': type.googleapis.com/envoy.config.cluster.v3.Cluster, connectTimeout: 7s}"
    whole = a_policy("all", f"destination: {{name: reviews}}, loadBalancing: {{custom: {balancer}}}")
    text = (whole, a_policy("one", f"destination: {V1}, custom: {cluster}"), TO_V1, REVIEWS)

    made = converted(*text)

    (subset,) = rule(made)["subsets"]
    assert "trafficPolicy" not in subset
    mesh = loaded(*text).mesh
    assert mesh is not None
    (merged,) = mesh.destination_rules["reviews.default.svc.cluster.local"]
    assert merged.subsets["v1"].origin.resource
    assert merged.subsets["v1"].origin.resource.name == "one"


@pytest.mark.spec("DP-07")
def test_c_dp_09_a_policy_that_nothing_routes_to():
    policy = a_policy("p", f"destination: {V1}, loadBalancing: {{name: RANDOM}}")

    assert "W-POLICY-UNROUTED" in converted(policy).codes
    assert "W-POLICY-UNROUTED" not in converted(policy, TO_V1).codes


def test_c_gen_05_a_destination_rule_of_today_silences_the_policies_of_its_host():
    today = (
        "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: mine}\n"
        "spec: {host: reviews, trafficPolicy: {loadBalancer: {simple: RANDOM}}}\n"
    )
    policy = a_policy("p", "destination: {name: reviews}, loadBalancing: {name: LEAST_CONN}")

    made = converted(policy, TO_V1, REVIEWS, today)

    assert "DestinationRule default/mine" in made.problem("W-MIXED-HOST").message
    mesh = loaded(policy, TO_V1, REVIEWS, today).mesh
    assert mesh is not None
    (merged,) = mesh.destination_rules["reviews.default.svc.cluster.local"]
    assert list(merged.subsets) == ["v1"]
    assert merged.traffic_policy is not None
    assert merged.traffic_policy.load_balancer is not None
    assert merged.traffic_policy.load_balancer.simple == "RANDOM"


def test_what_is_limited_already_has_no_word_on_limits():
    assert converted(a_policy("p", "destination: {name: reviews}, circuitBreaker: {simpleCb: {}}")).codes == []
