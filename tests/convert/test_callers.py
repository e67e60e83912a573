"""Rules and policies for one caller: they count on the hosts where it runs, and nowhere else (C-RR-05, C-DP-06)."""

from __future__ import annotations

import pytest

from meshd.compiler import Reach, compile_plan
from meshd.convert.show import to_yaml
from meshd.memo import Memo
from meshd.mesh.load import Loaded, load, load_older
from meshd.names import BlobId, HostName
from meshd.plan import Cluster, Forward, Redirect, Respond, TcpChain
from meshd.problems import errors
from tests.convert import conftest
from tests.convert.conftest import (
    REVIEWS,
    a_policy,
    a_service,
    a_workload,
    an_ingress_rule,
    converted,
)

HOST = "reviews.default.svc.cluster.local"
TO_V1 = "route: [{labels: {version: v1}}]"
TO_V2 = "route: [{labels: {version: v2}}]"
WEB = a_workload("web-1", "app: web", "10.0.0.1") + a_workload("web-2", "app: web", "10.0.0.2", namespace="far")
CALLER = """\
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: caller}
spec:
  hosts: [caller.default.svc.cluster.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints:
  - {address: 10.0.0.1, labels: {version: v1}}
  - {address: 10.0.0.2, labels: {version: v2}}
"""
"""Its endpoints have no label in common, and are on hosts whose own labels say nothing of it."""
INGRESS = a_workload("edge-1", "istio: ingressgateway", "10.0.0.8") + a_workload(
    "edge-2", "istio: ingressgateway, zone: b", "10.0.0.9"
)
EDGE = a_service("edge.default.svc.cluster.local", labels="istio: ingressgateway")


def a_rule(name: str = "my-rule", spec: str = "") -> str:
    return conftest.a_rule(name, f"destination: {{name: reviews}}, {spec}")


def from_caller(labels: str = "") -> str:
    return f"match: {{source: {{name: caller{labels}}}}}"


def read(*texts: str) -> Loaded:
    loaded = load({f"{index}.yaml": BlobId(text) for index, text in enumerate(texts)}, str.encode, Memo())
    assert loaded.mesh is not None, [str(each) for each in errors(loaded.problems)]
    return loaded


def plan_of(host: str, *texts: str, proxy: str = "sidecar", capture: str = "none"):
    mesh = read(*texts).mesh
    assert mesh is not None
    compiled = compile_plan(mesh, HostName(host), Reach(http_proxy_port=15080, capture=capture), Memo())
    assert errors(compiled.problems) == ()
    return next(plan for plan in compiled.plans if plan.proxy == proxy)


def leads(host: str, *texts: str, at: str = f"{HOST}:9080", proxy: str = "sidecar") -> list[str]:
    """The subset of each route of a virtual host, in order; `-` is all versions."""
    plan = plan_of(host, *texts, proxy=proxy)
    found = [each for table in plan.route_tables for each in table.virtual_hosts if each.name == at]
    assert len(found) == 1, [each.name for table in plan.route_tables for each in table.virtual_hosts]
    return [_subset(route.action) for route in found[0].routes]


def _subset(action) -> str:
    if isinstance(action, Redirect):
        return "redirect"
    if isinstance(action, Respond):
        return str(action.status)
    assert isinstance(action, Forward)
    return action.destinations[0].cluster.split("|")[2] or "-"


def cluster(host: str, *texts: str, subset: str = "", port: int = 9080) -> Cluster:
    return next(
        each
        for each in plan_of(host, *texts).clusters
        if (each.service, each.subset, each.port) == (HOST, subset, port)
    )


# --- routes ---------------------------------------------------------------------------------------------------


@pytest.mark.spec("C-RR-05", "MC-05", "MC-09", "L-SOURCE")
def test_a_rule_is_there_where_an_instance_of_the_source_is():
    """Whatever the labels of the VM, and whatever namespace it is in."""
    v2 = a_rule(spec=f"{from_caller(', labels: {version: v2}')}, {TO_V2}")

    assert leads("web-1", v2, REVIEWS, CALLER, WEB) == ["-"]
    assert leads("web-2", v2, REVIEWS, CALLER, WEB) == ["v2"]


@pytest.mark.spec("C-RR-05", "MC-05")
def test_a_source_without_labels_is_any_instance():
    anyone = a_rule(spec=f"{from_caller()}, {TO_V2}")
    other = a_workload("other", "app: other", "10.0.0.7")

    texts = (anyone, REVIEWS, CALLER, WEB, other)

    assert leads("web-1", *texts) == leads("web-2", *texts) == ["v2"]
    assert leads("other", *texts) == ["-"]


@pytest.mark.spec("C-RR-05", "MC-05")
def test_a_source_is_looked_for_among_all_that_runs_on_a_host():
    """The sidecar stands for the first workload alone, by whose labels rules of today go."""
    caller = a_service("caller.default.svc.cluster.local", labels="app: caller")
    second = a_workload("second", "app: caller, version: v1", "10.0.0.1")
    rule = a_rule(spec=f"{from_caller(', labels: {version: v1}')}, {TO_V2}")

    texts = (rule, REVIEWS, caller, WEB, second)

    assert leads("web-1", *texts) == ["v2"]
    assert leads("web-2", *texts) == ["-"]


@pytest.mark.spec("C-RR-05")
def test_one_instance_has_to_have_all_of_the_labels():
    v1, v2 = "{version: v1, tier: a}", "{version: v2, tier: b}"
    both = f"  - {{address: 10.0.0.1, labels: {v1}}}\n  - {{address: 10.0.0.1, labels: {v2}}}\n"
    elsewhere = "  - {address: 10.0.0.7, labels: {version: v1, tier: b}}\n"
    caller = CALLER.partition("  - {address")[0] + both + elsewhere
    rule = a_rule(spec=f"{from_caller(', labels: {version: v1, tier: b}')}, {TO_V2}")

    assert leads("web-1", rule, REVIEWS, caller, WEB) == ["-"]


@pytest.mark.spec("C-RR-05")
def test_a_redirect_and_an_upgrade_are_for_the_caller_too():
    uri = f"{from_caller()[:-1]}, request: {{headers: {{uri: /y}}}}}}"
    away = a_rule("away", f"{uri}, precedence: 2, redirect: {{uri: /x}}")
    rules = away + a_rule("chat", f"{from_caller()}, precedence: 1, websocketUpgrade: true, {TO_V2}")
    other = a_workload("other", "app: other", "10.0.0.7")

    assert leads("other", rules, REVIEWS, CALLER, other) == ["-"]
    assert leads("web-1", rules, REVIEWS, CALLER, WEB) == ["redirect", "v2", "403"]


@pytest.mark.spec("C-RR-02", "C-RR-05")
def test_precedence_counts_among_the_rules_that_are_there():
    rules = (
        a_rule("high", f"{from_caller(', labels: {version: v2}')}, precedence: 2, {TO_V2}")
        + a_rule("low", f"precedence: 1, {TO_V1}")
    )  # fmt: skip

    assert leads("web-1", rules, REVIEWS, CALLER, WEB) == ["v1"]
    assert leads("web-2", rules, REVIEWS, CALLER, WEB) == ["v2"]


@pytest.mark.spec("C-GEN-05", "W-MIXED-HOST")
def test_a_virtual_service_of_today_silences_rules_for_callers_too():
    today = (
        "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: mine}\n"
        "spec: {hosts: [reviews], http: [{route: [{destination: {host: reviews}}]}]}\n"
    )
    rule = a_rule(spec=f"{from_caller()}, {TO_V2}")

    assert leads("web-1", rule, today, REVIEWS, CALLER, WEB) == ["-"]
    assert "W-MIXED-HOST" in {each.code for each in read(rule, today, REVIEWS, CALLER, WEB).problems}


@pytest.mark.spec("W-RR-NEVER", "C-RR-05")
@pytest.mark.parametrize(
    ("labels", "service", "key"),
    [
        (", labels: {version: v3}", CALLER, "version"),
        (", labels: {version: v1, tier: a}", CALLER, "tier"),
        (", labels: {app: x}", a_service("caller.default.svc.cluster.local", labels="app: caller"), "app"),
    ],
)
def test_a_source_that_nobody_can_be_is_told_of_and_left_out(labels, service, key):
    made = converted(a_rule(spec=f"{from_caller(labels)}, {TO_V2}"), REVIEWS, service)

    assert repr(key) in made.problem("W-RR-NEVER").message
    assert made.objects == []


@pytest.mark.spec("W-RR-NEVER", "C-HOST-04")
def test_a_source_that_is_not_there_may_still_come():
    made = converted(a_rule(spec=f"match: {{source: {{name: calller}}}}, {TO_V2}"), REVIEWS, CALLER)

    assert "did you mean 'caller.default" in made.problem("W-RR-NEVER").hint
    assert made.named("VirtualService", "reviews-default")
    assert "L-SOURCE" not in made.codes


@pytest.mark.spec("C-RR-05", "C-GEN-02")
def test_extras_say_who_calls_even_where_labels_come_near_to_it():
    made = converted(
        a_rule(spec=f"{from_caller()}, {TO_V2}"),
        REVIEWS,
        a_service("caller.default.svc.cluster.local", labels="app: caller"),
    )

    (route, _) = made.spec("VirtualService", "reviews-default")["http"]
    assert route["match"] == [{"sourceLabels": {"app": "caller"}, "sourceNamespace": "default"}]
    assert (
        "caller.default"
        in made.named("VirtualService", "reviews-default")["metadata"]["annotations"]["meshd.io/extras"]
    )
    assert "L-SOURCE" not in made.codes


# --- connections ----------------------------------------------------------------------------------------------

BYTES = a_service(HOST, "{number: 9000, name: tcp, protocol: TCP}", "{number: 9443, name: https, protocol: HTTPS}",
                  more=", addresses: [10.7.0.1]")  # fmt: skip


def chains(host: str, port: int, *texts: str) -> list[tuple[str, tuple[str, ...]]]:
    """Of each chain of a captured port: the subset, and the addresses that it takes connections from."""
    plan = plan_of(host, *texts, capture="nftables")
    found = [
        (chain.destinations[0].cluster.split("|")[2] or "-", chain.match.source_prefix_ranges)
        for listener in plan.listeners
        for chain in listener.chains
        if isinstance(chain, TcpChain)
        and chain.destinations
        and f"|{port}|" in chain.destinations[0].cluster
        and chain.destinations[0].cluster.startswith("outbound")
    ]
    return list(dict.fromkeys(found))


@pytest.mark.spec("C-RR-05", "C-RR-04", "MC-06")
def test_a_rule_of_connections_is_for_its_caller_alone():
    rule = a_rule(spec=f"match: {{source: {{name: caller, labels: {{version: v2}}}}, tcp: {{}}}}, {TO_V2}")

    assert chains("web-1", 9000, rule, BYTES, CALLER, WEB) == [("-", ())]
    assert chains("web-2", 9000, rule, BYTES, CALLER, WEB) == [("v2", ())]
    assert chains("web-1", 9443, rule, BYTES, CALLER, WEB) == [("-", ())]
    assert chains("web-2", 9443, rule, BYTES, CALLER, WEB)[0] == ("v2", ())


@pytest.mark.spec("C-TCP-05", "L-TLS-SOURCE", "L4M-02")
def test_connections_by_tls_are_told_by_their_source_and_the_rest_goes_to_all_versions():
    rule = a_rule(spec=f"match: {{tcp: {{sourceSubnet: [10.0.0.1, 10.9.0.0/16]}}}}, {TO_V2}")

    assert chains("web-1", 9443, rule, BYTES, CALLER, WEB) == [("v2", ("10.0.0.1/32", "10.9.0.0/16")), ("-", ())]


@pytest.mark.spec("C-TCP-03", "C-TCP-05")
def test_a_rule_that_takes_all_connections_by_tls_leaves_none_to_a_rest():
    rules = a_rule("all", f"match: {{tcp: {{}}}}, precedence: 1, {TO_V2}") + a_rule(
        "none-left", f"match: {{tcp: {{sourceSubnet: [10.9.0.0/16]}}}}, {TO_V1}"
    )

    assert [each["match"] for each in converted(rules, BYTES).spec("VirtualService", "reviews-default")["tls"]] == [
        [{"sniHosts": [HOST]}]
    ]


# --- policies -------------------------------------------------------------------------------------------------

BREAKER = "circuitBreaker: {simpleCb: {maxConnections: 7}}"


@pytest.mark.spec("C-DP-06", "DP-06", "DP-09")
def test_a_policy_for_a_caller_replaces_the_one_for_all():
    policies = a_policy("all", "destination: {name: reviews}, loadBalancing: {name: RANDOM}") + a_policy(
        "one", f"source: {{name: caller, labels: {{version: v2}}}}, destination: {{name: reviews}}, {BREAKER}"
    )

    texts = (policies, REVIEWS, CALLER, WEB)

    assert cluster("web-1", *texts).load_balancer.policy == "RANDOM"
    assert cluster("web-2", *texts).load_balancer.policy == "ROUND_ROBIN"
    assert cluster("web-2", *texts).circuit_breakers.max_connections == 7
    assert cluster("web-1", *texts).circuit_breakers.max_connections != 7


@pytest.mark.spec("C-DP-06", "C-SUB-01")
def test_the_rule_of_a_caller_has_all_versions():
    rule = a_rule(spec=TO_V1)
    policy = a_policy("one", f"source: {{name: caller}}, destination: {{name: reviews}}, {BREAKER}")

    assert leads("web-2", rule, policy, REVIEWS, CALLER, WEB) == ["v1"]
    assert cluster("web-2", rule, policy, REVIEWS, CALLER, WEB, subset="v1").circuit_breakers.max_connections == 7


@pytest.mark.spec("C-DP-06")
def test_of_two_policies_for_callers_that_a_host_is_the_one_with_more_labels_counts():
    policies = "".join(
        a_policy(name, f"source: {{name: caller{labels}}}, destination: {{name: reviews}}, "
                       f"circuitBreaker: {{simpleCb: {{maxConnections: {number}}}}}")
        for name, labels, number in (("a", ", labels: {version: v2}", 8), ("b", "", 9))
    )  # fmt: skip

    assert cluster("web-1", policies, REVIEWS, CALLER, WEB).circuit_breakers.max_connections == 9
    assert cluster("web-2", policies, REVIEWS, CALLER, WEB).circuit_breakers.max_connections == 8


@pytest.mark.spec("C-GEN-05", "C-DP-06")
def test_a_destination_rule_of_today_silences_policies_for_callers_too():
    today = (
        "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: mine}\n"
        "spec: {host: reviews, trafficPolicy: {loadBalancer: {simple: RANDOM}}}\n"
    )
    policy = a_policy("one", f"source: {{name: caller}}, destination: {{name: reviews}}, {BREAKER}")

    assert cluster("web-1", today, policy, REVIEWS, CALLER, WEB).circuit_breakers.max_connections != 7


# --- zeros ----------------------------------------------------------------------------------------------------


def zeros(*policies: str, subset: str = "") -> tuple[int, int]:
    """How many retries at one time, and the share that may be ejected."""
    texts = [a_policy(f"p{index}", spec) for index, spec in enumerate(policies)]
    rule = a_rule(spec=TO_V1)
    found = cluster("web-1", rule, *texts, REVIEWS, WEB, subset=subset)
    assert found.outlier_detection
    return found.circuit_breakers.max_retries, found.outlier_detection.max_ejection_percent


OF_V1 = "destination: {name: reviews, labels: {version: v1}}"
OF_ALL = "destination: {name: reviews}"
NONE = "circuitBreaker: {simpleCb: {httpMaxRetries: 0, httpMaxEjectionPercent: 0}}"
SOME = "circuitBreaker: {simpleCb: {httpMaxRetries: 5, httpMaxEjectionPercent: 20}}"


@pytest.mark.spec("CB-14", "CB-15", "L-ZERO", "C-DP-04")
def test_zeros_that_are_meant_are_zeros():
    assert zeros(f"{OF_ALL}, {NONE}") == (0, 0)


@pytest.mark.spec("CB-14", "CB-15", "C-DP-04")
def test_a_version_inherits_zeros_unless_it_has_a_breaker_of_its_own():
    assert zeros(f"{OF_ALL}, {NONE}", subset="v1") == (0, 0)
    assert zeros(f"{OF_ALL}, {NONE}", f"{OF_V1}, loadBalancing: {{name: RANDOM}}", subset="v1") == (0, 0)
    assert zeros(f"{OF_ALL}, {NONE}", f"{OF_V1}, {SOME}", subset="v1") == (5, 20)
    assert zeros(f"{OF_ALL}, {SOME}", f"{OF_V1}, {NONE}", subset="v1") == (0, 0)
    assert zeros(f"{OF_ALL}, {SOME}", f"{OF_V1}, {NONE}") == (5, 20)


# --- at gateways ----------------------------------------------------------------------------------------------

WAY_IN = an_ingress_rule("in", "destination: {name: reviews}, port: 80, destinationPort: 9080")


def from_edge(labels: str = "") -> str:
    return f"match: {{source: {{name: edge{labels}}}}}"


@pytest.mark.spec("C-IN-05")
def test_a_rule_for_the_ingress_gateways_counts_behind_an_ingress_rule():
    rule = a_rule(spec=f"{from_edge()}, {TO_V2}")
    texts = (rule, WAY_IN, REVIEWS, EDGE, INGRESS)

    assert leads("edge-1", *texts, at="*:80", proxy="gateway") == ["v2"]
    assert "source" not in converted(*texts).named("VirtualService", "ingress-wildcard")["metadata"]["annotations"].get(
        "meshd.io/extras", ""
    )


@pytest.mark.spec("C-IN-05")
def test_a_rule_for_other_callers_does_not_count_behind_an_ingress_rule():
    rule = a_rule(spec=f"{from_caller()}, {TO_V2}")

    assert leads("edge-1", rule, WAY_IN, REVIEWS, EDGE, INGRESS, CALLER, at="*:80", proxy="gateway") == ["-"]


@pytest.mark.spec("C-IN-05", "C-RR-05")
def test_a_rule_for_some_of_the_gateways_counts_at_those():
    rule = a_rule(spec=f"{from_edge(', labels: {zone: b}')}, {TO_V2}")
    texts = (rule, WAY_IN, REVIEWS, EDGE, INGRESS)

    assert leads("edge-1", *texts, at="*:80", proxy="gateway") == ["-"]
    assert leads("edge-2", *texts, at="*:80", proxy="gateway") == ["v2"]


@pytest.mark.spec("C-IN-05", "C-RR-05")
def test_an_inline_endpoint_makes_a_gateway_the_source_only_where_it_stands_alone():
    here = CALLER.replace("10.0.0.1", "10.0.0.8").replace("10.0.0.2", "10.0.0.9")
    rule = a_rule(spec=f"{from_caller()}, {TO_V2}")
    beside = a_workload("beside", "app: beside", "10.0.0.8")
    texts = (rule, WAY_IN, REVIEWS, EDGE, INGRESS, here, beside)

    assert leads("edge-1", *texts, at="*:80", proxy="gateway") == ["-"]
    assert leads("edge-1", *texts) == ["v2"]
    assert leads("edge-2", *texts, at="*:80", proxy="gateway") == ["v2"]


@pytest.mark.spec("C-RR-05")
def test_what_a_gateway_implements_its_sidecar_does_not():
    rule = a_rule(spec=f"{from_edge()}, {TO_V2}")
    beside = a_workload("beside", "app: beside", "10.0.0.8")

    assert leads("edge-1", rule, REVIEWS, EDGE, INGRESS, beside) == ["-"]


# --- as YAML --------------------------------------------------------------------------------------------------


def printed(*texts: str) -> str:
    older = load_older({f"{index}.yaml": BlobId(text) for index, text in enumerate(texts)}, str.encode, Memo())
    return to_yaml(older.resources, older.problems)


@pytest.mark.spec("W-VS-UNREACHABLE", "C-RR-05")
def test_rules_for_different_callers_do_not_hide_one_another():
    """Their labels are the same, those of nobody."""
    rules = "".join(
        a_rule(name, f"{from_caller(f', labels: {{version: {name}}}')}, {TO_V2}") for name in ("v1", "v2")
    ) + a_rule("tls", f"match: {{tcp: {{sourceSubnet: [10.0.0.1]}}}}, {TO_V2}") + a_rule(
        "tls-2", f"match: {{tcp: {{sourceSubnet: [10.0.0.2]}}}}, {TO_V1}")  # fmt: skip
    service = a_service(HOST, "{number: 9080, name: http, protocol: HTTP}", "{number: 443, name: tls, protocol: TLS}")

    again = read(printed(rules, service, CALLER), service, CALLER, WEB)

    assert {each.code for each in again.problems} & {"W-VS-UNREACHABLE", "W-VALUE"} == {"W-VALUE"} & {
        each.code for each in again.problems if "tcp routes never act" in each.message
    }


def by_hand(extras: str, *, kind: str = "VirtualService", spec: str, name: str = "mine") -> str:
    return (
        f"---\napiVersion: networking.istio.io/v1\nkind: {kind}\n"
        f"metadata: {{name: {name}, annotations: {{meshd.io/extras: '{extras}'}}}}\nspec: {spec}\n"
    )


SUBSETS = (
    "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: versions}\n"
    "spec: {host: reviews, subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]}\n"
)


@pytest.mark.spec("C-RR-05")
def test_extras_written_by_hand_stand_in_for_labels_and_count_beside_gateways():
    source = '{"http": {"r": {"source": {"host": "caller.default.svc.cluster.local", "labels": {"version": "v2"}}}}}'
    for match in ("", "match: [{sourceLabels: {app: nobody}}], ", "match: [{gateways: [mesh], uri: {prefix: /}}], "):
        spec = (
            f"{{hosts: [reviews], http: [{{name: r, {match}route: [{{destination: {{host: reviews, subset: v2}}}}]}}, "
        )
        virtual_service = by_hand(source, spec=f"{spec}{{route: [{{destination: {{host: reviews}}}}]}}]}}")

        assert leads("web-1", virtual_service, SUBSETS, REVIEWS, CALLER, WEB) == ["-"]
        assert leads("web-2", virtual_service, SUBSETS, REVIEWS, CALLER, WEB)[0] == "v2"


@pytest.mark.spec("C-RR-05", "W-VALUE")
def test_a_source_written_by_hand_that_is_not_there_is_told_of():
    spec = "{hosts: [reviews], http: [{name: r, route: [{destination: {host: reviews}}]}]}"
    route = by_hand('{"http": {"r": {"source": {"host": "calller.default.svc.cluster.local"}}}}', spec=spec)
    rule = by_hand('{"source": {"host": "nowhere.example"}}', kind="DestinationRule", spec="{host: reviews}")

    problems = read(route, rule, REVIEWS, CALLER, WEB).problems

    told = [(each.message.split("'")[1], each.hint) for each in problems if "nobody is this source" in each.message]
    assert told == [
        ("calller.default.svc.cluster.local", "did you mean 'caller.default.svc.cluster.local'?"),
        ("nowhere.example", ""),
    ]


@pytest.mark.spec("V-51", "C-DP-06")
def test_a_subset_has_to_be_there_for_a_source_too():
    rule = by_hand(
        '{"source": {"host": "caller.default.svc.cluster.local"}}',
        kind="DestinationRule",
        spec="{host: reviews, trafficPolicy: {loadBalancer: {simple: RANDOM}}}",
    )
    spec = "{hosts: [reviews], http: [{route: [{destination: {host: reviews, subset: v2}}]}]}"
    route = by_hand("{}", spec=spec, name="routes")
    texts = (rule, route, SUBSETS, REVIEWS, CALLER, WEB)

    loaded = load({f"{index}.yaml": BlobId(text) for index, text in enumerate(texts)}, str.encode, Memo())

    assert [each.code for each in errors(loaded.problems)] == ["E-VS-SUBSET-UNDEFINED"]


@pytest.mark.spec("C-GEN-02")
@pytest.mark.parametrize(
    "spec",
    [
        "{http: [{name: r, route: [{destination: {host: reviews}}]}]}",
        "{hosts: [reviews], http: [{name: r, delegate: {name: other}}]}",
    ],
)
def test_extras_have_no_place_where_routes_are_delegated(spec):
    text = by_hand('{"http": {"r": {"source": {"host": "caller.default.svc.cluster.local"}}}}', spec=spec)

    loaded = load({"0.yaml": BlobId(text), "1.yaml": BlobId(REVIEWS)}, str.encode, Memo())

    assert "E-VALUE" in {each.code for each in loaded.problems}


@pytest.mark.spec("W-RR-NEVER")
def test_an_address_is_no_source():
    source = "source: {service: 10.0.0.1}"
    rule = a_rule(spec=f"destination: {{name: ratings}}, match: {{{source}}}, route: [{{labels: {{version: v1}}}}]")
    policy = a_policy("p", f"destination: {{name: ratings}}, {source}, loadBalancing: {{name: RANDOM}}")

    made = conftest.converted(rule, policy, conftest.REVIEWS, conftest.RATINGS)

    told = {(problem.code, problem.at.path) for problem in made.older.problems if "an address" in problem.message}
    assert told == {("W-RR-NEVER", "spec.match.source.service"), ("W-RR-NEVER", "spec.source.service")}
    assert made.objects == []
