"""Resources that do nothing, hide each other, or hardly mean what they say: each check, with both places."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from meshd.memo import Memo
from meshd.mesh.assemble import assemble
from meshd.mesh.checks.duplicate_hosts import duplicate_hosts
from meshd.mesh.checks.egress_proxies import egress_proxies
from meshd.mesh.checks.namesakes import namesakes
from meshd.mesh.checks.networks import unreachable_networks
from meshd.mesh.checks.selectors import idle_selectors
from meshd.mesh.checks.tls import doubtful_tls
from meshd.mesh.checks.tunnels import idle_tunnels
from meshd.mesh.survey import Survey, survey
from meshd.problems import Problem
from meshd.resources.destination_rule import LabelSelector, TrafficPolicy, TunnelSettings
from meshd.resources.gateway import Gateway, GatewayPort, Server
from meshd.resources.l4_routes import RouteDestination, TCPRoute
from meshd.resources.mesh_config import Network, NetworkGateway
from meshd.resources.resource import Resource, WorkloadSelector
from meshd.resources.sidecar import OutboundTrafficPolicy
from meshd.resources.traffic_policy import ClientTLSSettings
from tests.builders import (
    a_destination,
    a_destination_rule,
    a_match,
    a_mesh_config,
    a_port,
    a_route,
    a_service_entry,
    a_sidecar,
    a_subset,
    a_virtual_service,
    a_workload_entry,
    an_endpoint,
    an_origin,
)

Check = Callable[[Survey], Iterator[Problem]]


def found(check: Check, *resources: Resource) -> list[Problem]:
    memo = Memo()
    return list(check(survey(assemble(resources, memo).mesh, memo)))


def codes(check: Check, *resources: Resource) -> list[str]:
    return [problem.code for problem in found(check, *resources)]


REVIEWS = a_service_entry("reviews")

# --- hosts that two VirtualServices route ---------------------------------------------------------------------


@pytest.mark.spec("V-8", "E-VS-DUP-HOST")
@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((), ("mesh",), ["E-VS-DUP-HOST"]),
        ((), ("edge", "mesh"), ["E-VS-DUP-HOST"]),
        ((), ("edge",), []),
        (("edge",), ("edge",), []),
    ],
)
def test_gateways_merge_what_sidecars_may_have_but_once(
    one: tuple[str, ...], other: tuple[str, ...], expected: list[str]
):
    pair = (a_virtual_service(name, hosts=("x.shop",), gateways=given) for name, given in (("a", one), ("b", other)))

    assert codes(duplicate_hosts, *pair) == expected


# --- egress proxies -------------------------------------------------------------------------------------------


def a_proxy(*args: Any) -> OutboundTrafficPolicy:
    return OutboundTrafficPolicy(mode="ALLOW_ANY", egress_proxy=a_destination(*args))


@pytest.mark.spec("SC-15", "E-VS-DEST-UNKNOWN", "E-VS-SUBSET-UNDEFINED")
@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (a_proxy("reviews.shop", None, 80), []),
        (a_proxy("reviews.shop", "v1", 80), []),
        (a_proxy("reviws.shop", None, 80), ["E-VS-DEST-UNKNOWN"]),
        (a_proxy("reviews.shop", None, 81), ["E-VALUE"]),
        (a_proxy("reviews.shop", "v2", 80), ["E-VS-SUBSET-UNDEFINED"]),
        (OutboundTrafficPolicy(mode="ALLOW_ANY"), []),
    ],
)
def test_an_egress_proxy_must_be_there(policy: OutboundTrafficPolicy, expected: list[str]):
    common = (REVIEWS, a_destination_rule("reviews", "v1"), a_workload_entry())

    assert codes(egress_proxies, *common, a_sidecar("all", outbound_traffic_policy=policy)) == expected
    assert codes(egress_proxies, *common, a_mesh_config(outbound_traffic_policy=policy)) == expected


@pytest.mark.spec("SC-15")
def test_the_egress_proxy_of_a_sidecar_is_judged_for_its_own_namespace():
    hidden = a_service_entry("hidden", namespace="web", export_to=(".",))
    sidecar = a_sidecar("all", outbound_traffic_policy=a_proxy("hidden.shop", None, 80), namespace="web")
    elsewhere = a_sidecar("all", outbound_traffic_policy=a_proxy("hidden.shop", None, 80), namespace="shop")

    vms = [a_workload_entry(name, namespace=name) for name in ("web", "shop")]

    assert codes(egress_proxies, hidden, sidecar, *vms) == []
    assert codes(egress_proxies, hidden, elsewhere, *vms) == ["E-VS-DEST-UNKNOWN"]


# --- networks -------------------------------------------------------------------------------------------------


@pytest.mark.spec("W-4", "E-WE-NETWORK")
@pytest.mark.parametrize(
    ("caller", "expected"),
    [("east", []), ("west", ["E-WE-NETWORK"]), ("", [])],
)
def test_a_network_that_others_call_needs_a_gateway(caller: str, expected: list[str]):
    entry = a_service_entry("reviews", endpoints=(an_endpoint(network="east"), an_endpoint("10.0.0.2")))
    vm = a_workload_entry("vm-1", network=caller)

    assert codes(unreachable_networks, entry, vm) == expected


@pytest.mark.spec("W-4", "E-WE-NETWORK")
def test_the_missing_gateway_is_told_once_for_each_place_with_who_needs_it():
    entry = a_service_entry(hosts=("a.shop", "b.shop"), workload_selector=WorkloadSelector(labels={"app": "a"}))
    there = a_workload_entry("there", "10.0.0.9", labels={"app": "a"}, network="easst")
    near = a_mesh_config(networks={"east": Network(gateways=(NetworkGateway(address="192.0.2.1"),))})

    (problem,) = found(unreachable_networks, entry, there, a_workload_entry("caller", network="west"), near)

    assert problem.at.file == "workloadentry-there.yaml"
    assert "'caller'" in problem.message
    assert "serviceentry-reviews.yaml:1" in problem.message
    assert problem.hint == "did you mean 'east'?"


@pytest.mark.spec("W-4")
def test_a_network_with_a_gateway_is_well_and_so_is_one_that_nobody_else_sees():
    east = a_mesh_config(networks={"east": Network(gateways=(NetworkGateway(address="192.0.2.1"),))})
    entry = a_service_entry("reviews", endpoints=(an_endpoint(network="east"),))
    private = a_service_entry("reviews", endpoints=(an_endpoint(network="east"),), export_to=("east",))
    vm = a_workload_entry("vm-1", network="west")

    assert codes(unreachable_networks, east, entry, vm) == []
    assert codes(unreachable_networks, private, vm) == []


# --- selectors ------------------------------------------------------------------------------------------------

CART = {"app": "cart"}


@pytest.mark.spec("SC-1", "D-6")
@pytest.mark.parametrize(
    ("labels", "namespace", "expected"),
    [
        ({"app": "cart", "tier": "web"}, "default", []),
        ({"app": "other"}, "default", ["W-VALUE"]),
        ({"app": "cart"}, "web", ["W-VALUE"]),
    ],
)
def test_a_selector_that_selects_nobody_is_doubtful(labels: dict[str, str], namespace: str, expected: list[str]):
    vm = a_workload_entry(labels=labels, namespace=namespace)
    sidecar = a_sidecar("cart", "./*", workload_selector=WorkloadSelector(labels=CART))
    rule = a_destination_rule("reviews", workload_selector=LabelSelector(match_labels=CART))

    assert codes(idle_selectors, vm, sidecar) == expected
    assert codes(idle_selectors, vm, rule, REVIEWS) == expected


def test_a_selector_without_labels_is_for_everybody():
    everybody = a_sidecar("all", "./*", workload_selector=WorkloadSelector())

    assert codes(idle_selectors, everybody) == []


@pytest.mark.spec("D-77")
def test_a_rule_may_be_for_gateways():
    gateway = a_workload_entry(labels={"istio": "egressgateway"})
    rule = a_destination_rule("reviews", workload_selector=LabelSelector(match_labels={"istio": "egressgateway"}))
    opened = Gateway(
        metadata=a_workload_entry("edge").metadata,
        servers=(Server(port=GatewayPort(number=80, protocol="HTTP", name="http"), hosts=("*",)),),
        selector={"istio": "egressgateway"},
        origin=an_origin("Gateway", "edge"),
    )

    assert codes(idle_selectors, gateway, rule, opened, REVIEWS) == []


@pytest.mark.spec("S-10")
@pytest.mark.parametrize(
    ("labels", "expected"), [({"app": "cart"}, "has the labels app=cart"), ({}, "no WorkloadEntry in namespace")]
)
def test_a_service_that_selects_nobody_is_doubtful(labels: dict[str, str], expected: str):
    entry = a_service_entry(workload_selector=WorkloadSelector(labels=labels), hosts=("a.shop", "b.shop"))

    problems = set(assemble([entry], Memo()).problems)

    assert [problem.code for problem in problems] == ["W-VALUE"]
    assert expected in problems.pop().message


# --- TLS inside TLS -------------------------------------------------------------------------------------------

TLS = TrafficPolicy(tls=ClientTLSSettings(mode="SIMPLE"))
RULE = a_destination_rule("reviews", traffic_policy=TLS)
HTTPS = a_service_entry("reviews", ports=(a_port(80, "http"), a_port(443, "https")))


def mode(tls_mode: Any) -> Resource:
    return a_destination_rule("reviews", traffic_policy=TrafficPolicy(tls=ClientTLSSettings(mode=tls_mode)))


def twice(*resources: Resource) -> list[str]:
    return [code for code in codes(doubtful_tls, *resources) if code != "W-TLS-ON-80"]


@pytest.mark.spec("D-72")
def test_tls_around_that_of_the_application_is_doubtful():
    problem = found(doubtful_tls, a_service_entry("reviews", ports=(a_port(443, "https"),)), RULE)[0]

    assert problem.code == "W-TLS-TWICE"
    assert "which is HTTPS" in problem.message
    assert problem.severity == "warning"


@pytest.mark.spec("D-71", "D-73", "D-74")
def test_mutual_tls_of_the_mesh_goes_around_anything():
    assert [twice(HTTPS, mode(each)) for each in ("MUTUAL", "ISTIO_MUTUAL", "DISABLE")] == [["W-TLS-TWICE"], [], []]


def test_tls_for_what_comes_in_plain_text_is_just_right():
    to_443 = a_virtual_service("reviews", a_route(a_destination("reviews.shop", port=443)))
    to_80 = a_virtual_service("reviews", a_route(a_destination("reviews.shop", port=80)))
    tcp = (TCPRoute(route=(RouteDestination(destination=a_destination("reviews.shop", port=443)),)),)
    at_gateway = a_virtual_service("reviews", http=(), tcp=tcp, gateways=("edge",))

    assert twice(HTTPS, RULE, to_443) == []
    assert twice(HTTPS, RULE, at_gateway) == []
    assert twice(HTTPS, RULE, to_80) == ["W-TLS-TWICE"]


# --- tunnels --------------------------------------------------------------------------------------------------

TUNNEL = TrafficPolicy(tunnel=TunnelSettings(target_host="proxy.shop", target_port=3128))


@pytest.mark.spec("D-90")
def test_http_requests_are_not_tunnelled():
    (problem,) = found(idle_tunnels, REVIEWS, a_destination_rule("reviews", traffic_policy=TUNNEL))

    assert problem.code == "W-VALUE"
    assert "serviceentry-reviews.yaml:1" in problem.message


@pytest.mark.spec("D-90")
def test_connections_are_tunnelled():
    tcp = a_service_entry("reviews", ports=(a_port(80), a_port(5432, "tcp")))
    route = (TCPRoute(route=(RouteDestination(destination=a_destination()),)),)
    in_subset = a_destination_rule("reviews", a_subset("v1", TUNNEL))

    assert codes(idle_tunnels, tcp, a_destination_rule("reviews", traffic_policy=TUNNEL)) == []
    assert codes(idle_tunnels, REVIEWS, in_subset, a_virtual_service("db", http=(), tcp=route)) == []
    assert codes(idle_tunnels, REVIEWS, in_subset, a_virtual_service("reviews")) == ["W-VALUE"]


# --- one host in several namespaces ---------------------------------------------------------------------------


@pytest.mark.spec("W-8")
@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((), (), ["W-VALUE"]),
        ((), (".",), []),
        ((".",), (), []),
        ((), ("b", "c"), ["W-VALUE"]),
        (("c",), ("c", "d"), ["W-VALUE"]),
        (("c",), ("d",), []),
        (("~",), (), []),
    ],
)
def test_who_is_in_neither_namespace_must_know_which_it_calls(
    one: tuple[str, ...], other: tuple[str, ...], expected: list[str]
):
    first = a_service_entry("x", namespace="a", export_to=one, endpoints=(an_endpoint("10.0.0.1"),))
    second = a_service_entry("x", namespace="b", export_to=other, endpoints=(an_endpoint("10.0.0.2"),))

    problems = found(namesakes, first, second)

    assert [problem.code for problem in problems] == expected
    assert all("of namespace a (serviceentry-x.yaml:1:1)" in problem.message for problem in problems)


def test_where_both_are_the_same_it_does_not_matter():
    pair = (a_service_entry("x", namespace=each, endpoints=(an_endpoint("10.0.0.1"),)) for each in ("a", "b"))

    assert codes(namesakes, *pair) == []


def test_a_second_look_after_a_change_elsewhere_finds_the_same():
    memo = Memo()
    resources = [HTTPS, RULE, a_virtual_service("reviews", a_route(match=(a_match(uri="/a"),)))]

    def look(*more: Resource) -> list[Problem]:
        seen = survey(assemble([*resources, *more], memo).mesh, memo)
        problems = list(doubtful_tls(seen))
        memo.turn()
        return problems

    assert look() == look(a_service_entry("other")) == look(a_virtual_service("other"))
