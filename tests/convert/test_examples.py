"""The specification's examples of v1alpha1, converted: what its page expects of each, in the words of the page."""

from __future__ import annotations

import pytest
import yaml

from tests.convert.conftest import EXAMPLES, converted


def example(name: str) -> str:
    return (EXAMPLES / f"{name}.yaml").read_text()


def older_part(name: str) -> str:
    """Of a page that shows both sides."""
    return "".join(f"---\n{each}" for each in example(name).split("---\n") if "config.istio.io" in each)


def expected(name: str) -> list[dict]:
    documents = yaml.load_all(example(name), yaml.CSafeLoader)
    return [each for each in documents if each["apiVersion"].startswith("networking.istio.io")]


def without_names(spec: dict) -> dict:
    return {**spec, "http": [{k: v for k, v in route.items() if k != "name"} for route in spec["http"]]}


def test_the_two_rules_of_the_blog_are_one_virtual_service_and_two_subsets():
    made = converted(example("EX-000-03"))

    for each in expected("EX-X-09"):
        assert made.spec(each["kind"], each["metadata"]["name"]) == each["spec"]


def test_a_circuit_breaker_has_all_its_defaults():
    made = converted(example("EX-003-01"))

    (rule,) = expected("EX-X-01")
    assert made.spec("DestinationRule", "reviews-default") == rule["spec"]
    assert "W-POLICY-UNROUTED" in made.codes


def test_a_full_circuit_breaker():
    made = converted(example("EX-003-02"))

    (subset,) = made.spec("DestinationRule", "reviews-default")["subsets"]
    policy = subset["trafficPolicy"]
    assert policy["connectionPool"] == {
        "tcp": {"maxConnections": 100},
        "http": {
            "http1MaxPendingRequests": 1024,
            "http2MaxRequests": 1000,
            "maxRequestsPerConnection": 10,
            "maxRetries": 3,
        },
    }
    assert policy["outlierDetection"] == {
        "consecutive5xxErrors": 7,
        "interval": "5m",
        "baseEjectionTime": "15m",
        "maxEjectionPercent": 10,
        "minHealthPercent": 50,
    }


def test_a_policy_for_one_source_is_a_rule_of_its_own():
    """The page shows the second rule without `trafficPolicy`; C-DP-02 wants the old balancer for all versions."""
    reviews = """\
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: reviews}
spec:
  hosts: [reviews.default.svc.cluster.local]
  resolution: STATIC
  location: MESH_INTERNAL
  ports: [{number: 80, name: http}]
  workloadSelector: {labels: {app: reviews}}
"""
    ratings = reviews.replace("reviews", "ratings")

    made = converted(example("EX-003-05"), reviews, ratings)

    (rule,) = expected("EX-X-02")
    spec = made.spec("DestinationRule", "ratings-default-from-reviews")
    assert spec.pop("trafficPolicy") == {"loadBalancer": {"simple": "ROUND_ROBIN"}}
    assert spec == rule["spec"]


def test_a_wildcard_outside_is_a_service_entry_that_opens_tls():
    made = converted(example("EX-003-07"))

    for each in expected("EX-X-03"):
        spec = made.spec(each["kind"], "foo-egress-rule")
        assert (without_names(spec) if "http" in spec else spec) == each["spec"]


def test_a_block_outside_goes_where_it_was_dialled():
    made = converted(example("EX-003-08"))

    (entry,) = expected("EX-X-04")
    assert made.spec("ServiceEntry", "bar-egress-rule") == entry["spec"]
    assert len(made.objects) == 1


def test_a_rule_by_the_egress_proxy():
    gateways = """\
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: egress-1, namespace: istio-system}
spec: {address: 10.0.9.1, labels: {istio: egressgateway}}
"""
    made = converted(older_part("EX-X-05"), gateways)

    for each in expected("EX-X-05"):
        assert made.spec(each["kind"], each["metadata"]["name"]) == each["spec"]


def test_an_ingress_rule_is_composed_with_the_rules_of_its_destination():
    reviews = """\
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: reviews}
spec:
  hosts: [reviews.default.svc.cluster.local]
  resolution: STATIC
  location: MESH_INTERNAL
  ports: [{number: 9080, name: http, protocol: HTTP}, {number: 9090, name: grpc}]
  endpoints: [{address: 10.0.0.1, labels: {version: v1}}, {address: 10.0.0.2, labels: {version: v2}}]
"""
    made = converted(older_part("EX-X-08"), example("EX-000-03"), reviews)

    for each in expected("EX-X-08"):
        assert made.spec(each["kind"], each["metadata"]["name"]) == each["spec"]


@pytest.mark.parametrize(
    ("name", "number", "part"),
    [
        ("EX-003-06", 0, {"route": [
            {"destination": {"host": "reviews.default.svc.cluster.local", "subset": "v2"}, "weight": 25},
            {"destination": {"host": "reviews.default.svc.cluster.local", "subset": "v1"}, "weight": 75}]}),
        ("EX-003-09", 0, {"fault": {"abort": {"percentage": {"value": 10.0}, "httpStatus": 400}}}),
        ("EX-003-10", 0, {"fault": {"delay": {"percentage": {"value": 10.0}, "fixedDelay": "5s"}}}),
        ("EX-003-12", 0, {"timeout": "15s", "retries": {
            "attempts": 3, "perTryTimeout": "2s", "retryOn": "5xx,connect-failure,refused-stream"}}),
        ("EX-003-13", 0, {"match": [{"uri": {"prefix": "/ratings"}}], "rewrite": {"uri": "/v1/bookRatings"}}),
        ("EX-003-14", 0, {"timeout": "10s", "retries": {"attempts": 0}}),
        ("EX-003-03", 0, {"corsPolicy": {
            "allowOrigins": [{"exact": "example.com"}], "allowMethods": ["POST", "GET"], "allowHeaders": ["X-Foo-Bar"],
            "maxAge": "24h", "allowCredentials": False}}),
    ],
)  # fmt: skip
def test_a_rule_is_the_route_that_the_page_expects(name: str, number: int, part: dict):
    made = converted(example(name))

    (virtual_service,) = [each for each in made.objects if each["kind"] == "VirtualService"]
    assert part.items() <= virtual_service["spec"]["http"][number].items()


def test_a_redirect_is_answered_302_and_all_else_has_a_default_route():
    made = converted(example("EX-003-11"))

    (virtual_service,) = expected("EX-X-10")
    assert made.spec("VirtualService", "ratings-default") == virtual_service["spec"]
    assert [each["kind"] for each in made.objects] == ["VirtualService"]


@pytest.mark.parametrize(("name", "host", "simple"), [
    ("EX-003-04", "ratings", "ROUND_ROBIN"), ("EX-003-15", "reviews", "RANDOM")])  # fmt: skip
def test_a_balancer_is_for_all_versions(name: str, host: str, simple: str):
    made = converted(example(name))

    assert made.spec("DestinationRule", f"{host}-default") == {
        "host": f"{host}.default.svc.cluster.local",
        "trafficPolicy": {"loadBalancer": {"simple": simple}},
    }


def test_a_rule_without_route_forwards_to_all_versions_for_its_caller_alone():
    made = converted(example("EX-003-16"))

    mine, default = made.spec("VirtualService", "ratings-default")["http"]
    assert mine["route"] == default["route"] == [{"destination": {"host": "ratings.default.svc.cluster.local"}}]
    assert mine["match"][0]["sourceLabels"] == {"meshd.io/source": "nobody"}
    assert {"L-SOURCE", "W-RR-NO-ROUTE"} <= set(made.codes)


def test_the_destination_may_be_in_another_namespace():
    made = converted(example("EX-003-17"))

    spec = made.spec("VirtualService", "reviews-my-namespace", "my-namespace")
    assert spec["hosts"] == ["reviews.my-namespace.svc.cluster.local"]


def test_http_to_port_443_leaves_as_https():
    made = converted(example("EX-003-18"))

    assert made.spec("ServiceEntry", "gmail")["resolution"] == "DNS"
    (settings,) = made.spec("DestinationRule", "gmail")["trafficPolicy"]["portLevelSettings"]
    assert settings["tls"] == {"mode": "SIMPLE"}
    assert {"N-TLS-VERIFY", "N-EG-DNS"} <= set(made.codes)


def test_faults_of_connections_are_in_the_extras():
    made = converted(example("EX-X-11"))

    (rule,) = made.spec("VirtualService", "mongo-default")["tcp"]
    assert rule["match"] == [{"destinationSubnets": ["10.1.0.0/16"], "sourceSubnet": "172.17.16.0/24"}]
    assert [each["weight"] for each in rule["route"]] == [90, 10]
    annotations = made.named("VirtualService", "mongo-default")["metadata"]["annotations"]
    assert '"tcp":{"0":{"l4Fault":' in annotations["meshd.io/extras"]
    assert "L-L4FAULT" in made.codes


@pytest.mark.parametrize("number", range(1, 19))
def test_every_example_of_the_older_document_converts_without_an_error(number: int):
    made = converted(example(f"EX-003-{number:02}"))

    assert made.objects
    assert not any(problem.is_error for problem in made.older.problems)
