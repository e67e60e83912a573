"""What is wrong between resources: each check, with the place it points at and the other end it names."""

from __future__ import annotations

import pytest

from meshd.memo import Memo
from meshd.mesh.assemble import assemble
from meshd.mesh.checks import CHECKS
from meshd.mesh.survey import survey
from meshd.problems import Problem
from meshd.resources.destination import PortSelector
from meshd.resources.destination_rule import LabelSelector, PortTrafficPolicy, TrafficPolicy
from meshd.resources.resource import Resource, WorkloadSelector
from meshd.resources.traffic_policy import ClientTLSSettings
from meshd.resources.virtual_service import HTTPMirrorPolicy
from tests.builders import (
    a_destination,
    a_destination_rule,
    a_port,
    a_route,
    a_service_entry,
    a_sidecar,
    a_virtual_service,
    a_workload_entry,
    an_endpoint,
)


def found(*resources: Resource, memo: Memo | None = None) -> list[Problem]:
    memo = memo or Memo()
    seen = survey(assemble(resources, memo).mesh, memo)
    return [problem for check in CHECKS for problem in check(seen)]


def codes(*resources: Resource) -> list[str]:
    return [problem.code for problem in found(*resources)]


def the_problem(*resources: Resource) -> Problem:
    (problem,) = found(*resources)
    return problem


REVIEWS = a_service_entry("reviews")


def test_a_mesh_without_faults_has_no_problem():
    assert found(REVIEWS, a_virtual_service("reviews"), a_destination_rule("reviews", "v1")) == []


# --- where a destination leads --------------------------------------------------------------------------------


def to(*destinations, **given) -> Resource:
    return a_virtual_service("reviews", a_route(*destinations), **given)


@pytest.mark.spec("V-50", "E-VS-DEST-UNKNOWN")
def test_a_destination_that_no_entry_has_is_unknown_and_a_near_one_is_proposed():
    problem = the_problem(REVIEWS, to(a_destination("reviws.shop")))

    assert problem.code == "E-VS-DEST-UNKNOWN"
    assert "'reviws.shop'" in problem.message
    assert problem.hint == "did you mean 'reviews.shop'?"


@pytest.mark.spec("V-50", "E-VS-DEST-UNKNOWN")
def test_a_host_that_only_a_wildcard_covers_is_no_destination_and_the_wildcard_is_proposed():
    wide = a_service_entry("wide", hosts=("*.shop",), resolution="NONE")

    problem = the_problem(wide, REVIEWS, to(a_destination("ratings.shop")))

    assert problem.code == "E-VS-DEST-UNKNOWN"
    assert problem.hint.startswith("one has '*.shop'")
    assert codes(wide, REVIEWS, to(a_destination("*.shop"))) == []


@pytest.mark.spec("V-20", "V-21")
def test_a_mirror_leads_somewhere_too():
    mirrors = (HTTPMirrorPolicy(destination=a_destination("a.shop")),)
    virtual_service = a_virtual_service("reviews", a_route(mirror=a_destination("b.shop"), mirrors=mirrors))

    assert codes(REVIEWS, virtual_service) == ["E-VS-DEST-UNKNOWN", "E-VS-DEST-UNKNOWN"]


def test_a_short_destination_is_completed_by_the_namespace_of_its_virtual_service():
    entry = a_service_entry(hosts=("reviews.shop.svc.cluster.local",))

    assert codes(entry, to(a_destination("reviews"), namespace="shop", hosts=("reviews",))) == []
    assert codes(entry, to(a_destination("reviews"), namespace="web")) == ["E-VS-DEST-UNKNOWN"]


def test_a_destination_hidden_from_all_who_see_the_route_is_unknown():
    hidden = a_service_entry(namespace="shop", export_to=(".",))

    problem = the_problem(hidden, to(namespace="web"), a_workload_entry(namespace="web"))

    assert problem.code == "E-VS-DEST-UNKNOWN"
    assert "serviceentry-reviews.yaml:1" in problem.message
    assert codes(hidden, to(namespace="web"), a_workload_entry(namespace="shop")) == []


@pytest.mark.spec("V-52")
def test_a_port_that_the_service_does_not_have_is_wrong():
    problem = the_problem(REVIEWS, to(a_destination(port=81)))

    assert (problem.code, problem.hint) == ("E-VALUE", "its ports are 80")


@pytest.mark.spec("V-52")
def test_which_of_several_ports_is_meant_must_be_clear():
    several = a_service_entry("several", ports=(a_port(8080, "http"), a_port(8081, "http-b")))

    assert codes(REVIEWS, several, to(a_destination("several.shop"))) == ["E-VALUE"]
    assert codes(REVIEWS, several, to(a_destination("several.shop", port=8081))) == []
    assert codes(several, a_virtual_service("several")) == []


@pytest.mark.spec("E-VS-PORT-PROTOCOL", "V-3")
def test_an_http_route_of_a_tcp_service_never_acts():
    tcp = a_service_entry(ports=(a_port(80, "web"),))

    problem = the_problem(tcp, to())

    assert problem.code == "E-VS-PORT-PROTOCOL"
    assert "80 is TCP" in problem.message


@pytest.mark.spec("E-VS-PORT-PROTOCOL")
def test_an_http_route_does_not_lead_to_a_tcp_port_but_it_may_lead_to_a_tls_one():
    ports = (a_port(80), a_port(5000, "tcp"), a_port(443, "https"))
    entry = a_service_entry(ports=ports)

    assert codes(entry, to(a_destination(port=5000))) == ["E-VS-PORT-PROTOCOL"]
    assert codes(entry, to(a_destination(port=443))) == []


def test_resolution_none_is_an_end_of_routes_for_sidecars_as_the_agent_may_capture():
    assert codes(a_service_entry(resolution="NONE"), to()) == []


@pytest.mark.spec("V-51", "D-3", "E-VS-SUBSET-UNDEFINED")
def test_a_subset_must_be_defined():
    rule = a_destination_rule("reviews", "v1", "v2")

    problem = the_problem(REVIEWS, rule, to(a_destination(subset="v3")))

    assert problem.code == "E-VS-SUBSET-UNDEFINED"
    assert "destinationrule-reviews.yaml:1" in problem.message
    assert problem.hint == "its subsets are v1, v2"
    assert codes(REVIEWS, rule, to(a_destination(subset="v2"))) == []


@pytest.mark.spec("E-VS-SUBSET-UNDEFINED")
def test_a_subset_needs_a_rule_in_force():
    problem = the_problem(REVIEWS, to(a_destination(subset="v1")))

    assert problem.code == "E-VS-SUBSET-UNDEFINED"
    assert "no DestinationRule" in problem.message


def test_a_subset_must_be_defined_for_every_vm_that_sees_the_route():
    rule = a_destination_rule("reviews", "v1", export_to=(".",))
    own = a_destination_rule("own", "v2", host="reviews.shop", namespace="web")
    route = to(a_destination(subset="v1"))
    at_home, in_web, in_billing = (a_workload_entry(ns, namespace=ns) for ns in ("default", "web", "billing"))

    assert codes(REVIEWS, rule, route, at_home) == []
    assert codes(REVIEWS, rule, route, at_home, in_billing) == ["E-VS-SUBSET-UNDEFINED"]
    assert codes(REVIEWS, a_destination_rule("reviews", "v1"), own, route, at_home, in_billing) == []
    assert "clients in web" in the_problem(REVIEWS, a_destination_rule("reviews", "v1"), own, route, in_web).message


@pytest.mark.spec("D-6")
def test_a_rule_for_some_workloads_must_define_the_subset_for_them():
    selecting = a_destination_rule(
        "cart", host="reviews.shop", workload_selector=LabelSelector(match_labels={"app": "cart"})
    )
    general, route = a_destination_rule("reviews", "v1"), to(a_destination(subset="v1"))

    def errors_with(app: str) -> list[str]:
        found = codes(REVIEWS, general, selecting, route, a_workload_entry(labels={"app": app}))
        return [code for code in found if code.startswith("E")]

    assert errors_with("other") == []
    assert errors_with("cart") == ["E-VS-SUBSET-UNDEFINED"]


def test_a_thousand_unknown_destinations_are_all_told():
    routes = [a_route(a_destination(f"s{number}.nowhere")) for number in range(1000)]

    assert len(found(REVIEWS, a_virtual_service("reviews", *routes))) == 1000


# --- who has the word -----------------------------------------------------------------------------------------


@pytest.mark.spec("V-8", "E-VS-DUP-HOST")
def test_a_host_is_routed_by_one_virtual_service_only():
    problem = the_problem(REVIEWS, a_virtual_service("reviews"), to(hosts=("reviews.shop",)))

    assert problem.code == "E-VS-DUP-HOST"
    assert "virtualservice-reviews.yaml:1" in problem.message


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((), (), ["E-VS-DUP-HOST"]),
        (("a",), ("b",), []),
        (("a", "b"), ("b",), ["E-VS-DUP-HOST"]),
        (("a",), ("*",), ["E-VS-DUP-HOST"]),
        (("*",), ("a",), ["E-VS-DUP-HOST"]),
    ],
)
def test_virtual_services_of_one_host_may_be_exported_apart(first, second, expected: list[str]):
    pair = (
        a_virtual_service(name, hosts=("x.shop",), export_to=exported, namespace=name)
        for name, exported in (("one", first), ("two", second))
    )

    assert [code for code in codes(*pair) if code == "E-VS-DUP-HOST"] == expected


def test_of_several_that_have_a_host_already_the_same_one_is_named_each_time():
    """Whatever order a set has today."""
    namespaces = ("a", "b", "c", "d", "e")
    those = [a_virtual_service(each, hosts=("x.shop",), export_to=(each,), namespace=each) for each in namespaces]
    other = a_virtual_service("other", hosts=("x.shop",), export_to=namespaces, namespace="z")

    (problem,) = (each for each in found(*those, other) if each.code == "E-VS-DUP-HOST")
    assert "virtualservice-a.yaml" in problem.message


@pytest.mark.spec("V-1", "V-8")
@pytest.mark.parametrize(
    ("one", "same"), [("::1", "0:0::1"), ("10.7.0.1", "10.7.0.1/32"), ("10.7.0.1/8", "10.0.0.0/8")]
)
def test_an_address_is_the_same_host_however_it_is_written(one: str, same: str):
    pair = (a_virtual_service("one", a_route(), hosts=(one,)), a_virtual_service("two", a_route(), hosts=(same,)))

    assert codes(REVIEWS, *pair) == ["E-VS-DUP-HOST"]


@pytest.mark.spec("V-8")
def test_a_wildcard_and_a_host_in_it_may_coexist():
    wide = a_virtual_service("wide", a_route(), hosts=("*.shop",))

    assert codes(REVIEWS, wide, a_virtual_service("reviews")) == []


def test_a_vm_has_one_address():
    problem = the_problem(
        a_workload_entry("web-1", "10.0.0.1"),
        a_workload_entry("other", "10.0.0.2", annotations={"meshd.io/host": "web-1"}),
    )

    assert problem.code == "E-HOST-AMBIGUOUS"
    assert "10.0.0.1" in problem.message
    assert "10.0.0.2" in problem.message


def test_a_vm_may_have_an_address_of_each_family_but_not_two_of_one():
    def six(name: str, address: str):
        return a_workload_entry(name, address, annotations={"meshd.io/host": "web-1"})

    four = a_workload_entry("web-1", "10.0.0.1")

    assert codes(four, six("six", "fd00::1")) == []
    assert codes(four, six("six", "fd00::1"), six("seven", "fd00::2")) == ["E-HOST-AMBIGUOUS"]
    assert codes(four, six("six", "web-1.example.com")) == ["E-HOST-AMBIGUOUS"]
    assert codes(a_workload_entry("web-1", "web-1.example.com"), six("six", "fd00::1")) == ["E-HOST-AMBIGUOUS"]


def test_two_workloads_of_one_vm_at_one_address_are_well():
    other = a_workload_entry("other", "10.0.0.1", annotations={"meshd.io/host": "web-1"})

    assert codes(a_workload_entry("web-1", "10.0.0.1"), other) == []


@pytest.mark.spec("SC-1", "E-SC-AMBIGUOUS")
def test_a_namespace_has_one_sidecar_for_everybody():
    problem = the_problem(a_sidecar("a", "./*"), a_sidecar("b", "./*"))

    assert problem.code == "E-SC-AMBIGUOUS"
    assert problem.at.file == "sidecar-b.yaml"
    assert "sidecar-a.yaml:1" in problem.message
    assert codes(a_sidecar("a", "./*"), a_sidecar("a", "./*", namespace="web")) == []


TIER = {"tier": "web"}


@pytest.mark.spec("SC-1", "E-SC-AMBIGUOUS")
def test_a_vm_is_selected_by_one_sidecar():
    app = a_sidecar("app", "./*", workload_selector=WorkloadSelector(labels={"app": "cart"}))
    tier = a_sidecar("tier", "./*", workload_selector=WorkloadSelector(labels={"tier": "web"}))
    everything = a_sidecar("all", "./*", workload_selector=WorkloadSelector())
    both = a_workload_entry("a", labels={"app": "cart", "tier": "web"})

    assert codes(app, tier, both, a_workload_entry("b", labels=both.workload.labels)) == ["E-SC-AMBIGUOUS"]
    assert codes(app, tier, a_workload_entry("a", labels={"app": "cart"}), a_workload_entry("b", labels=TIER)) == []
    assert codes(app, everything, a_workload_entry(labels={"app": "cart"})) == ["E-SC-AMBIGUOUS"]


# --- rules ----------------------------------------------------------------------------------------------------


@pytest.mark.spec("D-1", "W-DR-UNUSED")
def test_a_rule_that_matches_no_service_is_unused():
    problem = the_problem(REVIEWS, a_destination_rule("ratings"), a_destination_rule("wide", host="*.shop"))

    assert (problem.code, problem.at.file) == ("W-DR-UNUSED", "destinationrule-ratings.yaml")


@pytest.mark.spec("W-DR-UNUSED")
def test_a_wildcard_rule_that_covers_nothing_is_unused():
    assert codes(REVIEWS, a_destination_rule("wide", host="*.example.com")) == ["W-DR-UNUSED"]


@pytest.mark.spec("W-DR-DUP-SUBSET")
def test_a_subset_that_merged_rules_define_twice_is_told():
    problem = the_problem(
        REVIEWS, a_destination_rule("a", "v1", host="reviews.shop"), a_destination_rule("b", "v1", host="reviews.shop")
    )

    assert problem.code == "W-DR-DUP-SUBSET"


SIMPLE = ClientTLSSettings(mode="SIMPLE")
PORT_80 = PortSelector(number=80)


@pytest.mark.spec("W-TLS-ON-80")
@pytest.mark.parametrize(
    ("port", "policy", "expected"),
    [
        (a_port(80), TrafficPolicy(tls=SIMPLE), ["W-TLS-ON-80"]),
        (a_port(80, target_port=443), TrafficPolicy(tls=SIMPLE), []),
        (a_port(443), TrafficPolicy(tls=SIMPLE), []),
        (a_port(80), TrafficPolicy(tls=ClientTLSSettings()), []),
        (
            a_port(80),
            TrafficPolicy(tls=SIMPLE, port_level_settings=(PortTrafficPolicy(port=PORT_80, tls=ClientTLSSettings()),)),
            [],
        ),
        (
            a_port(80),
            TrafficPolicy(port_level_settings=(PortTrafficPolicy(port=PORT_80, tls=SIMPLE),)),
            ["W-TLS-ON-80"],
        ),
    ],
)
def test_tls_to_port_80_is_doubtful(port, policy: TrafficPolicy, expected: list[str]):
    entry = a_service_entry(ports=(port,))

    assert codes(entry, a_destination_rule("reviews", traffic_policy=policy)) == expected


def test_tls_of_an_endpoint_with_a_port_of_its_own_is_well():
    entry = a_service_entry(endpoints=(an_endpoint(ports={"http": 8443}),))

    assert codes(entry, a_destination_rule("reviews", traffic_policy=TrafficPolicy(tls=SIMPLE))) == []


def test_a_rule_that_a_narrower_one_replaces_opens_no_tls():
    wide = a_destination_rule("wide", host="*.shop", traffic_policy=TrafficPolicy(tls=SIMPLE))

    assert codes(REVIEWS, wide, a_destination_rule("reviews", "v1")) == []


def test_a_second_look_at_the_same_mesh_finds_the_same():
    memo = Memo()
    resources = (REVIEWS, to(a_destination(subset="v1")), a_workload_entry())

    first = found(*resources, memo=memo)
    memo.turn()

    assert found(*resources, memo=memo) == first


@pytest.mark.spec("SC-2")
def test_sidecars_are_not_for_gateways_so_that_there_they_may_contradict_each_other():
    gateway, plain = {"istio": "ingressgateway"}, {"istio": "none"}

    def told(labels: dict[str, str]) -> bool:
        pair = (a_sidecar(name, "./*", workload_selector=WorkloadSelector(labels=labels)) for name in ("a", "b"))
        return "E-SC-AMBIGUOUS" in codes(*pair, a_workload_entry(labels=labels))

    assert told(plain)
    assert not told(gateway)


@pytest.mark.spec("SC-2")
def test_a_vm_that_is_a_gateway_has_a_sidecar_for_its_other_workloads():
    annotated = {"annotations": {"meshd.io/host": "vm-1"}}
    gateway = a_workload_entry("a", labels={"istio": "ingressgateway"}, **annotated)
    app = a_workload_entry("b", labels={"app": "cart"}, namespace="web", **annotated)
    hidden = a_service_entry("reviews", namespace="shop", export_to=("default",))

    route = a_virtual_service("reviews")

    assert codes(hidden, route, gateway, app) == ["E-VS-DEST-UNKNOWN"]
    assert codes(a_service_entry("reviews", namespace="shop", export_to=("web",)), route, gateway, app) == []
