"""What is wrong about Gateways and who binds to them: each check, with the place it points at and the other end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from meshd.memo import Memo
from meshd.mesh.assemble import assemble
from meshd.mesh.checks.egress_loops import egress_loops
from meshd.mesh.checks.gateways import bound_virtual_services, conflicting_servers, idle_gateways
from meshd.mesh.survey import survey
from meshd.problems import Problem
from meshd.resources.l4_routes import L4MatchAttributes, RouteDestination, TCPRoute, TLSMatchAttributes, TLSRoute
from meshd.resources.resource import Resource, WorkloadSelector
from meshd.resources.server_tls import ServerTLSSettings
from tests.builders import (
    a_destination,
    a_gateway,
    a_match,
    a_port,
    a_route,
    a_server,
    a_service_entry,
    a_virtual_service,
    a_workload_entry,
    an_endpoint,
)

CHECKS = (bound_virtual_services, conflicting_servers, idle_gateways, egress_loops)
EDGE = a_workload_entry("edge", labels={"istio": "ingressgateway"})


def problems(*resources: Resource) -> Iterator[Problem]:
    memo = Memo()
    seen = survey(assemble(resources, memo).mesh, memo)
    yield from (problem for check in CHECKS for problem in check(seen))


def found(*resources: Resource) -> list[Problem]:
    return list(problems(EDGE, *resources))


def codes(*resources: Resource) -> list[str]:
    return [problem.code for problem in found(*resources)]


# --- unknown and unfit gateways -------------------------------------------------------------------------------


def test_gateways_without_fault_have_no_problem():
    secure = a_server(443, "HTTPS", "shop/*.shop.example", tls="SIMPLE")
    route = a_virtual_service(hosts=("web.shop.example",), gateways=("default/front",), namespace="shop")

    assert found(a_gateway("front", a_server(), secure), route) == []


@pytest.mark.spec("V-2", "V-40")
def test_a_gateway_that_is_not_there_is_an_error_wherever_it_is_named():
    at_top = a_virtual_service(gateways=("frnt",))
    in_match = a_virtual_service(http=(a_route(match=(a_match(gateways=("elsewhere/front",)),)),))

    (top,) = found(a_gateway("front"), at_top)
    (match,) = found(a_gateway("front"), in_match)

    place = "gateway-front.yaml:1:1"
    assert (top.code, top.at.path) == ("E-VS-GATEWAY-UNKNOWN", "spec.gateways[0]")
    assert top.hint == f"did you mean 'front' ({place})?"
    assert (match.code, match.hint) == ("E-VS-GATEWAY-UNKNOWN", f"did you mean 'default/front' ({place})?")
    assert match.message == "no Gateway elsewhere/front"


def test_mesh_is_near_to_a_name_too_and_has_no_place():
    (problem,) = found(a_virtual_service(gateways=("mehs",)))

    assert problem.hint == "did you mean 'mesh'?"


@pytest.mark.spec("V-40")
def test_a_match_that_names_a_gateway_of_which_its_virtual_service_knows_nothing_has_no_effect():
    of_mesh = a_virtual_service(http=(a_route(match=(a_match(gateways=("front",)),)),))
    match = a_match(gateways=("mesh",))
    of_front = a_virtual_service(hosts=("web.shop.example",), gateways=("front",), http=(a_route(match=(match,)),))

    (front,) = found(a_gateway("front"), of_mesh)
    (mesh,) = found(a_gateway("front", a_server(80, "HTTP", "*")), of_front)

    assert front.code == mesh.code == "W-VALUE"
    assert "default/front is none of this VirtualService's gateways" in front.message
    assert "mesh is none of this VirtualService's gateways" in mesh.message


@pytest.mark.spec("V-103", "V-113")
def test_matches_of_connections_name_gateways_that_are_there():
    to = (RouteDestination(destination=a_destination()),)
    stray = a_virtual_service(
        tls=(TLSRoute(match=(TLSMatchAttributes(sni_hosts=("reviews.shop",), gateways=("gone",)),), route=to),),
        tcp=(TCPRoute(match=(L4MatchAttributes(gateways=("gone",)),), route=to),),
    )

    assert codes(stray) == ["E-VS-GATEWAY-UNKNOWN", "E-VS-GATEWAY-UNKNOWN"]


@pytest.mark.spec("G-3.7")
def test_a_host_that_no_server_has_is_told_with_both_ends():
    front = a_gateway("front", a_server(80, "HTTP", "shop/a.com"))
    route = a_virtual_service(hosts=("a.com", "b.com"), gateways=("front",))

    a, b = found(front, route)

    assert a.code == b.code == "W-VALUE"
    assert a.at.path == "spec.hosts[0]"
    assert "for this namespace" in a.message
    assert "default/a.com" in a.hint
    assert b.at.path == "spec.hosts[1]"
    assert "Gateway default/front (gateway-front.yaml:1:1)" in b.message


def test_a_host_for_sidecars_need_not_be_at_the_gateway_too():
    front = a_gateway("front", a_server(80, "HTTP", "a.com"))

    assert codes(front, a_virtual_service(hosts=("a.com", "b.com"), gateways=("front", "mesh"))) == []
    assert codes(front, a_virtual_service(hosts=("b.com",), gateways=("front", "mesh"))) == ["W-VALUE"]


@pytest.mark.parametrize(
    ("server", "fits"),
    [
        (a_server(80), "http"),
        (a_server(443, "HTTPS", tls="SIMPLE"), "http"),
        (a_server(443, "TLS", tls="SIMPLE"), "tcp"),
        (a_server(443, "TLS", tls="PASSTHROUGH"), "tls"),
        (a_server(443, "HTTPS", tls="PASSTHROUGH"), "tls"),
        (a_server(5432, "TCP"), "tcp"),
    ],
)
@pytest.mark.spec("V-3", "V-4", "V-5")
def test_rules_for_other_traffic_than_what_comes_in_are_told(server, fits: str):
    to = (RouteDestination(destination=a_destination()),)
    rules = {
        "http": a_virtual_service(gateways=("front",)),
        "tls": a_virtual_service(
            gateways=("front",),
            http=(),
            tls=(TLSRoute(match=(TLSMatchAttributes(sni_hosts=("reviews.shop",)),), route=to),),
        ),
        "tcp": a_virtual_service(gateways=("front",), http=(), tcp=(TCPRoute(route=to),)),
    }

    for kind, rule in rules.items():
        told = found(a_gateway("front", server), rule)
        assert [problem.at.path for problem in told] == ([] if kind == fits else [f"spec.{kind}"])
        assert all(f"take {fits} routes" in problem.hint for problem in told)


# --- servers in each other's way ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (a_server(80), a_server(80, "TCP")),
        (a_server(80, "TCP"), a_server(80, "TCP")),
        (a_server(80), a_server(80, "HTTPS", tls="SIMPLE")),
        (a_server(80, "TLS", tls="PASSTHROUGH"), a_server(80, "MONGO")),
    ],
)
def test_servers_that_cannot_share_a_port_are_an_error_that_names_both(one, other):
    (problem,) = found(a_gateway("front", one), a_gateway("late", other))

    assert problem.code == "E-GW-PORT-CONFLICT"
    assert problem.at.file == "gateway-late.yaml"
    assert "Gateway default/front (gateway-front.yaml:2:1)" in problem.message


def test_servers_that_can_share_a_port_are_no_conflict():
    assert codes(a_gateway("front", a_server(80), a_server(80, "GRPC"), a_server(80, "TCP", bind="10.0.0.1"))) == []


@pytest.mark.spec("G-2")
def test_servers_conflict_only_where_one_host_has_both():
    front = a_gateway("front", a_server(80), selector={"istio": "ingressgateway"})
    other = a_gateway("other", a_server(80, "TCP"), selector={"app": "edge"})
    only_other = a_workload_entry("only", labels={"app": "edge"})
    both = a_workload_entry("both", labels={"app": "edge", "istio": "ingressgateway"})

    assert codes(front, other, only_other) == []
    assert codes(front, other, both) == ["E-GW-PORT-CONFLICT"]


def test_servers_conflict_before_there_is_a_host_for_them():
    nobody = {"app": "nobody"}

    told = [*problems(a_gateway("a", a_server(80), a_server(80, "TCP"), selector=nobody))]

    assert [problem.code for problem in told] == ["E-GW-PORT-CONFLICT", "W-VALUE"]


def test_two_tls_servers_with_one_name_are_an_error_whoever_ends_the_tls():
    front = a_gateway(
        "front",
        a_server(443, "HTTPS", "a.com", "b.com", tls="SIMPLE"),
        a_server(443, "TLS", "shop/b.com", "c.com", tls="PASSTHROUGH"),
        a_server(8443, "TLS", "b.com", tls="PASSTHROUGH"),
    )

    (problem,) = found(front)

    assert (problem.code, problem.at.line) == ("E-GW-DUP-SNI", 3)
    assert "'b.com'" in problem.message
    assert "gateway-front.yaml:2:1" in problem.message


def test_one_host_for_two_namespaces_is_no_conflict():
    tls = ServerTLSSettings(mode="SIMPLE", credential_name="shop")

    assert codes(a_gateway("front", a_server(443, "HTTPS", "a/a.com", "b/a.com", "*.a.com", tls=tls))) == []


@pytest.mark.spec("G-2")
def test_a_gateway_that_selects_nobody_is_told():
    (problem,) = found(a_gateway("front", selector={"istio": "gone"}))

    assert (problem.code, problem.at.path) == ("W-VALUE", "spec.selector")
    assert "istio=gone" in problem.message


def test_a_gateway_for_all_gateways_is_told_when_there_is_none():
    (problem,) = problems(a_gateway("front", selector={}))

    assert "no workload is a gateway" in problem.message


# --- loops ----------------------------------------------------------------------------------------------------

EGRESS = a_workload_entry("egress", "10.0.0.9", labels={"istio": "egressgateway"})
OUT = a_gateway("out", a_server(80), selector={"istio": "egressgateway"})
BY_LABEL = a_service_entry(
    "egress",
    ports=(a_port(80, target_port=8080),),
    workload_selector=WorkloadSelector(labels={"istio": "egressgateway"}),
)
BY_ADDRESS = a_service_entry("egress", endpoints=(an_endpoint("10.0.0.9"),))


def through(gateways: tuple[str, ...], *, match: tuple[str, ...] = ()):
    matches = (a_match(gateways=match),) if match else ()
    return a_virtual_service(
        "foo", a_route(a_destination("egress.shop"), match=matches), hosts=("foo.com",), gateways=gateways
    )


@pytest.mark.parametrize("service", [BY_LABEL, BY_ADDRESS], ids=["workload", "address"])
def test_a_route_of_a_gateway_that_leads_back_to_it_is_an_error(service):
    (problem,) = found(EGRESS, OUT, service, through(("mesh", "out")))

    assert (problem.code, problem.at.path) == ("E-EGRESS-LOOP", "host")
    assert "egress.shop" in problem.message
    assert "default/out" in problem.message


@pytest.mark.spec("X-5")
def test_a_route_of_the_mesh_to_the_gateway_is_no_loop():
    assert codes(EGRESS, OUT, BY_LABEL, through(("mesh", "out"), match=("mesh",))) == []
    assert codes(EGRESS, OUT, BY_LABEL, through(())) == []


def test_another_port_of_the_gateways_machine_is_no_loop():
    admin = a_service_entry("egress", ports=(a_port(9901),), endpoints=(an_endpoint("10.0.0.9"),))

    assert codes(EGRESS, OUT, admin, through(("out",))) == []
