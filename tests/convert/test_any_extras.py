"""Random rules and policies with what only extras can say: printed and read again they are the same bytes to Envoy."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meshd.compiler import Reach, compile_plan
from meshd.convert.show import to_yaml
from meshd.envoy import render
from meshd.envoy.resource import EnvoyResource
from meshd.memo import Memo
from meshd.mesh.load import load, load_older
from meshd.names import BlobId, HostName
from meshd.plan import ProxyPlan, TcpChain
from tests.apart import complaint
from tests.convert.conftest import RATINGS, REVIEWS, a_service, a_workload

LEDGER = a_service("ledger.default.svc.cluster.local", "{number: 7000, name: tcp}", "{number: 7443, name: tls}")
GRPC = a_service("calls.default.svc.cluster.local", "{number: 1, name: grpc, protocol: GRPC}")
TODAY = (
    REVIEWS
    + RATINGS
    + GRPC
    + LEDGER
    + a_workload("web", "app: web")
    + a_workload("edge", "istio: ingressgateway", "10.0.0.2")
)
REACHED: Counter[str] = Counter()

URL = "type.googleapis.com/"
BALANCERS = f"{URL}envoy.extensions.load_balancing_policies"
HEADERS = st.sampled_from(["x-a", "X-B", "x-envoy-max-retries", "x-envoy-fault-abort-request"])
PERCENTS = st.sampled_from([0, 0.5, 50, 100])
TIMES = st.sampled_from(["16ms", "2s", "1h"])


def message(name: str, *fields: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.sampled_from([{"@type": URL + name, **each} for each in fields])


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


DELAYS = st.builds(
    lambda delay, more: delay | more,
    st.one_of(some(fixedDelay=TIMES), some(exponentialDelay=TIMES)),
    st.fixed_dictionaries({"overrideHeaderName": HEADERS}, optional={"percent": PERCENTS}),
)
ABORTS = st.builds(
    lambda abort, more: abort | more,
    st.one_of(some(httpStatus=st.integers(200, 599)), some(grpcStatus=st.sampled_from(["UNAVAILABLE", "3"]))),
    st.fixed_dictionaries({"overrideHeaderName": HEADERS}, optional={"percent": PERCENTS}),
)
FAULTS = st.fixed_dictionaries({"abort": ABORTS}, optional={"delay": DELAYS})
RETRIES = st.one_of(
    st.fixed_dictionaries(
        {"simpleRetry": st.fixed_dictionaries(
            {"attempts": st.integers(0, 2)}, optional={"overrideHeaderName": HEADERS, "perTryTimeout": TIMES}
        )}
    ),
    st.fixed_dictionaries(
        {"custom": message("envoy.config.route.v3.RetryPolicy", {}, {"retryOn": "5xx", "numRetries": 7})}
    ),
)  # fmt: skip
TIMEOUTS = st.one_of(
    st.fixed_dictionaries({"simpleTimeout": some(timeout=TIMES, overrideHeaderName=HEADERS)}),
    st.fixed_dictionaries(
        {"custom": message("envoy.config.route.v3.RouteAction", {"timeout": "0s"}, {"idle_timeout": "1.5s"})}
    ),
)
RULES = some(httpFault=FAULTS, httpReqRetries=RETRIES, httpReqTimeout=TIMEOUTS, precedence=st.integers(0, 3))
BREAKERS = st.fixed_dictionaries(
    {
        "custom": st.one_of(
            message("envoy.config.cluster.v3.CircuitBreakers", {}, {"thresholds": [{"maxRequests": 1}]}),
            message("envoy.config.cluster.v3.OutlierDetection", {"consecutive_5xx": 1}),
        )
    }
)
BALANCED = st.sampled_from(
    [{"name": "RANDOM"}, {"custom": {"@type": f"{BALANCERS}.maglev.v3.Maglev", "tableSize": 101}}]
)
POLICIES = some(
    loadBalancing=BALANCED,
    circuitBreaker=st.one_of(BREAKERS, st.just({"simpleCb": {"httpMaxRetries": 0}})),
    custom=message("envoy.config.cluster.v3.Cluster", {"connectTimeout": "1s"}, {"lbPolicy": "ROUND_ROBIN"}),
)
CONNECTION_FAULTS = some(
    throttle=some(percent=PERCENTS, downstreamLimitBps=st.integers(0, 10**9), upstreamLimitBps=st.integers(0, 10**9)),
    terminate=some(percent=PERCENTS, terminateAfterPeriod=st.sampled_from(["0s", "1ms", "30s"])),
)
VERSIONS = st.sampled_from([{}, {"version": "v1"}, {"version": "v2"}])
NAMES = st.sampled_from(["reviews", "ratings", "calls"])


def rule(name: str, version: dict[str, str], path: str, spec: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    match = {"request": {"headers": {"uri": {"prefix": path}}}}
    return "RouteRule", {"destination": {"name": name}, "match": match, "route": [{"labels": version}], **spec}


def rule_of_bytes(version: dict[str, str], share: int, fault: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    route = [{"labels": version, "weight": share}, {"labels": {"version": "v3"}, "weight": 100 - share}]
    return "RouteRule", {"destination": {"name": "ledger"}, "match": {"tcp": {}}, "route": route, "l4Fault": fault}


def policy(name: str, version: dict[str, str], spec: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return "DestinationPolicy", {"destination": {"name": name, "labels": version}, **spec}


def edge(name: str, port: int) -> tuple[str, dict[str, Any]]:
    return "IngressRule", {"destination": {"name": name}, "port": port}


OBJECTS = st.lists(
    st.one_of(
        st.builds(rule, NAMES, VERSIONS, st.sampled_from(["/a", "/b"]), RULES),
        st.builds(
            rule_of_bytes,
            st.sampled_from([{"version": "v1"}, {"version": "v2"}]),
            st.integers(1, 99),
            CONNECTION_FAULTS,
        ),
        st.builds(policy, NAMES, VERSIONS, POLICIES),
        st.builds(edge, NAMES, st.sampled_from([80, 81])),
    ),
    min_size=1,
    max_size=6,
)


def files(objects: list[tuple[str, dict[str, Any]]]) -> dict[str, BlobId]:
    texts = [
        yaml.safe_dump({"kind": kind, "metadata": {"name": f"r{index}"}, "spec": spec})
        for index, (kind, spec) in enumerate(objects)
    ]
    return {"today.yaml": BlobId(TODAY), "older.yaml": BlobId("---\n".join(texts))}


def plans(given: dict[str, BlobId]) -> list[ProxyPlan]:
    loaded = load(given, str.encode, Memo())
    assert loaded.mesh, [str(problem) for problem in loaded.problems if problem.is_error]
    hosts = (HostName("web"), HostName("edge"))
    reach = Reach(capture="nftables")
    return [plan for host in hosts for plan in compile_plan(loaded.mesh, host, reach, Memo()).plans]


def resources(plan: ProxyPlan) -> list[EnvoyResource]:
    rendered = render(plan, Memo())
    return [*rendered.clusters, *rendered.listeners, *rendered.routes]


@given(OBJECTS)
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def extras_mean_the_same_when_they_are_read_again(objects: list[tuple[str, dict[str, Any]]]):
    older = load_older(files(objects), str.encode, Memo())
    printed = {"today.yaml": BlobId(TODAY), "converted.yaml": BlobId(to_yaml(older.resources, older.problems))}

    before, after = plans(files(objects)), plans(printed)

    assert [[(each.name, each.version) for each in resources(plan)] for plan in before] == [
        [(each.name, each.version) for each in resources(plan)] for plan in after
    ]
    for plan in before:
        routes = [route for table in plan.route_tables for host in table.virtual_hosts for route in host.routes]
        REACHED["overrides"] += any(route.overrides for route in routes)
        chains = [chain for each in plan.listeners for chain in each.chains if isinstance(chain, TcpChain)]
        REACHED["faults"] += any(chain.faults for chain in chains)
        REACHED["custom"] += any(each.custom for each in plan.clusters)


def test_extras_mean_the_same_when_they_are_read_again():
    extras_mean_the_same_when_they_are_read_again()

    assert REACHED["overrides"] > 20
    assert REACHED["custom"] > 20
    assert REACHED["faults"] > 20


@pytest.mark.envoy
def test_a_real_envoy_takes_what_is_accepted(envoy_binary: Path, short_tmp: Path):
    """Many of them in one run."""
    found: list[ProxyPlan] = []

    @given(OBJECTS)
    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    def collect(objects: list[tuple[str, dict[str, Any]]]) -> None:
        found.extend(plans(files(objects)))

    collect()

    assert complaint(found, envoy_binary, short_tmp) == ""
