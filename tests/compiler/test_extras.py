"""What extras say beyond the words of today's API, and what becomes of it in a plan."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from meshd.compiler import Reach, compile_plan
from meshd.memo import Memo
from meshd.mesh.load import load
from meshd.names import BlobId, HostName
from meshd.plan import (
    Cluster,
    Custom,
    Forward,
    HeaderFault,
    HeaderOverrides,
    HttpChain,
    OutlierDetection,
    ProxyPlan,
    RetryPolicy,
    Route,
    SimpleBalancer,
)

WEB = """
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: web-1}
spec: {address: 10.0.0.11}
"""
REVIEWS = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: reviews}
spec:
  hosts: [reviews.shop]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: %s
"""
RANDOM = "type.googleapis.com/envoy.extensions.load_balancing_policies.random.v3.Random"
BREAKERS = "type.googleapis.com/envoy.config.cluster.v3.CircuitBreakers"
OUTLIERS = "type.googleapis.com/envoy.config.cluster.v3.OutlierDetection"
CLUSTER = "type.googleapis.com/envoy.config.cluster.v3.Cluster"


def planned(document: str, *, resolution: str = "DNS", reach: Reach | None = None) -> ProxyPlan:
    files = {"web.yaml": WEB, "reviews.yaml": REVIEWS % resolution, "extras.yaml": document}
    loaded = load({name: BlobId(text) for name, text in files.items()}, str.encode, Memo())
    assert loaded.mesh, [str(problem) for problem in loaded.problems]
    (plan,) = compile_plan(loaded.mesh, HostName("web-1"), reach or Reach(), Memo()).plans
    return plan


def annotated(kind: str, extras: object, spec: str) -> str:
    """The annotation is in line 5."""
    return (
        f"apiVersion: networking.istio.io/v1\nkind: {kind}\nmetadata:\n  name: reviews\n"
        f"  annotations: {{meshd.io/extras: '{json.dumps(extras)}'}}\nspec: {spec}\n"
    )


# --- routes ---------------------------------------------------------------------------------------------------


def routed(extras: object, more: str = "", *, also: str = "") -> tuple[Route, ...]:
    return routes(planned(rule(extras, more, also=also)))


def rule(extras: object, more: str = "", *, also: str = "") -> str:
    to = "route: [{destination: {host: reviews.shop}}]"
    spec = f"{{hosts: [reviews.shop], http: [{also}{{name: r, {to}{more}}}]}}"
    return annotated("VirtualService", {"http": {"r": extras}}, spec)


def routes(plan: ProxyPlan) -> tuple[Route, ...]:
    return next(each for each in plan.route_tables[0].virtual_hosts if each.name == "reviews.shop:80").routes


def chains(plan: ProxyPlan) -> list[HttpChain]:
    return [chain for each in plan.listeners for chain in each.chains if isinstance(chain, HttpChain)]


def forwarded(route: Route) -> Forward:
    assert isinstance(route.action, Forward)
    return route.action


@pytest.mark.spec("TMO-09", "RTY-09", "ABT-06", "DLY-06")
def test_headers_are_those_of_their_route_alone_in_lower_case():
    extras = {
        "timeout": {"header": "X-Timeout"},
        "retries": {"header": "X-Tries"},
        "delay": {"header": "X-Delay"},
        "abort": {"header": "X-Abort", "percent": 0.5},
    }
    other = "{name: other, match: [{uri: {exact: /a}}], route: [{destination: {host: reviews.shop}}]}, "

    first, second = routed(extras, also=other)

    assert first.overrides is None
    assert second.overrides == HeaderOverrides(
        timeout="x-timeout",
        retries="x-tries",
        delay=HeaderFault(header="x-delay"),
        abort=HeaderFault(header="x-abort", millionths=5_000),
    )


@pytest.mark.spec("ABT-06")
def test_a_fault_that_is_for_nobody_is_none():
    (route,) = routed({"abort": {"header": "x", "percent": 0}})

    assert route.overrides is None


@pytest.mark.spec("DLY-05", "DLY-06")
def test_a_share_of_exponential_delays_leaves_headers_to_all():
    fault = ", fault: {delay: {exponentialDelay: 1s, percentage: {value: 50}}}"

    found = routed({"delay": {"header": "x-delay", "percent": 50}}, fault)

    assert [(route.match.millionths, route.overrides and route.overrides.delay) for route in found] == [
        (500_000, HeaderFault(header="x-delay", millionths=500_000)),
        (1_000_000, HeaderFault(header="x-delay", millionths=500_000)),
    ]


def test_only_listeners_with_such_a_route_have_the_filters():
    assert [chain.header_overrides for chain in chains(planned(rule({"timeout": {"header": "x"}})))] == [True]
    assert [chain.header_overrides for chain in chains(planned(rule({})))] == [False]


@pytest.mark.spec("RTY-09")
def test_a_route_without_retries_has_conditions_for_those_that_are_asked_for():
    def retries(extras: object, more: str = ", retries: {attempts: 0}") -> RetryPolicy | None:
        (route,) = routed({"retries": extras}, more)
        return forwarded(route).retries

    asked = retries({"header": "x", "retryOn": "5xx", "perTryTimeout": "2s"})

    assert asked == RetryPolicy(attempts=0, retry_on=("5xx",), per_try_timeout=timedelta(seconds=2))
    assert retries({"header": "x"}) == RetryPolicy(
        attempts=0,
        retry_on=("connect-failure", "refused-stream", "unavailable", "cancelled", "retriable-status-codes"),
    )
    assert retries({"retryOn": "5xx"}) is None
    once = retries({"header": "x", "retryOn": "5xx"}, ", retries: {attempts: 1, retryOn: reset}")
    assert once == RetryPolicy(attempts=1, retry_on=("reset",))


@pytest.mark.spec("RTY-04", "TMO-04")
def test_custom_words_of_a_route_are_carried_unread():
    timeout = {"@type": "type.googleapis.com/envoy.config.route.v3.RouteAction", "timeout": "2s", "idleTimeout": "1s"}
    retries = {"@type": "type.googleapis.com/envoy.config.route.v3.RetryPolicy", "numRetries": 3}

    (route,) = routed({"timeout": {"custom": timeout}, "retries": {"custom": retries}})

    assert forwarded(route).custom == (
        Custom(type_name="envoy.config.route.v3.RouteAction", json='{"idleTimeout": "1s", "timeout": "2s"}'),
        Custom(type_name="envoy.config.route.v3.RetryPolicy", json='{"numRetries": 3}'),
    )


# --- policies -------------------------------------------------------------------------------------------------


def clusters(extras: object, spec: str = "", **how: str) -> dict[str, Cluster]:
    """By subset; the service's own is the one without a name."""
    document = annotated("DestinationRule", extras, f"{{host: reviews.shop{spec}}}")
    return {each.subset: each for each in planned(document, **how).clusters if each.service == "reviews.shop"}


SUBSETS = ", subsets: [{name: v1}, {name: v2, trafficPolicy: {loadBalancer: {simple: RANDOM}}}, {name: v3}]"


def types(cluster: Cluster) -> list[str]:
    return [each.type_name.rpartition(".")[2] for each in cluster.custom]


@pytest.mark.spec("CB-03", "LB-04", "DP-12", "C-DP-04", "C-DP-08")
def test_a_version_inherits_what_it_does_not_say_itself():
    extras = {
        "trafficPolicy": {
            "loadBalancing": {"@type": RANDOM},
            "circuitBreaker": {"@type": BREAKERS},
            "cluster": {"@type": CLUSTER, "altStatName": "a"},
        },
        "subsets": {"v3": {"circuitBreaker": {"@type": OUTLIERS}, "cluster": {"@type": CLUSTER, "altStatName": "b"}}},
    }

    found = clusters(extras, SUBSETS)

    assert types(found[""]) == types(found["v1"]) == ["Random", "CircuitBreakers", "Cluster"]
    assert types(found["v2"]) == ["CircuitBreakers", "Cluster"]
    assert found["v2"].load_balancer == SimpleBalancer(policy="RANDOM")
    assert types(found["v3"]) == ["Random", "OutlierDetection", "Cluster"]
    names = {subset: json.loads(each.custom[-1].json)["altStatName"] for subset, each in found.items()}
    assert names == {"": "a", "v1": "a", "v2": "a", "v3": "b"}


@pytest.mark.spec("LB-04", "LB-11")
def test_where_traffic_says_whom_it_calls_nothing_is_balanced():
    extras = {"trafficPolicy": {"loadBalancing": {"@type": RANDOM}, "circuitBreaker": {"@type": BREAKERS}}}

    found = clusters(extras, resolution="NONE", reach=Reach(capture="nftables"))

    assert types(found[""]) == ["CircuitBreakers"]


@pytest.mark.spec("CB-03")
@pytest.mark.parametrize(
    ("custom", "policy", "panic"),
    [
        (OUTLIERS, "", 50),
        (OUTLIERS, ", trafficPolicy: {outlierDetection: {minHealthPercent: 20}}", 20),
        (BREAKERS, "", 0),
    ],
)
def test_who_ejects_in_envoys_words_has_envoys_panic_threshold(custom: str, policy: str, panic: int):
    found = clusters({"trafficPolicy": {"circuitBreaker": {"@type": custom}}}, policy)

    assert found[""].healthy_panic_percent == panic
    assert found[""].outlier_detection == (OutlierDetection() if policy else None)


def test_a_cluster_with_custom_words_comes_from_their_line():
    """Envoy may refuse them; nobody else has understood them."""
    extras = {"subsets": {"v1": {"circuitBreaker": {"@type": BREAKERS}}}}
    policies = (
        "kind: DestinationPolicy\nmetadata: {name: all}\nspec:\n"
        "  destination: {service: reviews.shop}\n  loadBalancing: {name: RANDOM}\n---\n"
        "kind: DestinationPolicy\nmetadata: {name: one}\nspec:\n"
        "  destination: {service: reviews.shop, labels: {version: v1}}\n"
        f"  loadBalancing: {{name: RANDOM}}\n  custom: {{'@type': {CLUSTER}, altStatName: a}}\n"
    )

    written = clusters(extras, SUBSETS)
    older = {each.subset: each for each in planned(policies).clusters if each.service == "reviews.shop"}

    assert {subset: each.origin.line for subset, each in written.items()} == {"": 6, "v1": 5, "v2": 6, "v3": 6}
    assert {subset: each.origin.line for subset, each in older.items()} == {"": 4, "v1": 10}
