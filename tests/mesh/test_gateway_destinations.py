"""Destinations of routes at gateways and of connections: judged for those, and only those, who go there."""

from __future__ import annotations

from typing import Any

import pytest

from meshd.memo import Memo
from meshd.mesh.assemble import assemble
from meshd.mesh.checks.destinations import destinations
from meshd.mesh.survey import survey
from meshd.problems import Problem
from meshd.resources.destination import Destination
from meshd.resources.destination_rule import LabelSelector, ProxyProtocol, TrafficPolicy
from meshd.resources.gateway import Gateway, GatewayPort, Server
from meshd.resources.l4_routes import L4MatchAttributes, RouteDestination, TCPRoute, TLSMatchAttributes, TLSRoute
from meshd.resources.resource import Resource
from meshd.resources.virtual_service import Delegate
from tests.builders import (
    a_destination,
    a_destination_rule,
    a_match,
    a_port,
    a_route,
    a_service_entry,
    a_virtual_service,
    a_workload_entry,
    an_origin,
)


def found(*resources: Resource) -> list[Problem]:
    memo = Memo()
    seen = survey(assemble(resources, memo).mesh, memo)
    return list(destinations(seen))


def codes(*resources: Resource) -> list[str]:
    return [problem.code for problem in found(*resources)]


def a_gateway(name: str = "edge", namespace: str = "default", **selector: str) -> Gateway:
    server = Server(port=GatewayPort(number=80, protocol="HTTP", name="http"), hosts=("*",))
    metadata = a_workload_entry(name, namespace=namespace).metadata
    return Gateway(metadata=metadata, servers=(server,), selector=selector, origin=an_origin("Gateway", name))


def a_tls_route(*destinations: Destination, **match: Any) -> TLSRoute:
    to = tuple(RouteDestination(destination=each) for each in destinations)
    return TLSRoute(match=(TLSMatchAttributes(sni_hosts=("reviews.shop",), **match),), route=to)


def a_tcp_route(*destinations: Destination, **match: Any) -> TCPRoute:
    to = tuple(RouteDestination(destination=each) for each in destinations)
    return TCPRoute(match=(L4MatchAttributes(**match),) if match else (), route=to)


REVIEWS = a_service_entry("reviews")
EDGE = a_gateway("edge", istio="edge")
EDGE_VM = a_workload_entry("edge-1", "10.0.0.9", namespace="edge", labels={"istio": "edge"})
WEB_VM = a_workload_entry("web-1", "10.0.0.1", namespace="web")

# --- tls and tcp routes ---------------------------------------------------------------------------------------

TCP = a_service_entry("db", ports=(a_port(5432, "tcp-db", protocol="TCP"),))
TLS = a_service_entry("vault", ports=(a_port(443, "tls", protocol="TLS"),))


@pytest.mark.spec("V-104", "V-114", "V-50", "E-VS-DEST-UNKNOWN")
def test_destinations_of_connections_must_be_there():
    tcp = a_virtual_service("db", http=(), tcp=(a_tcp_route(a_destination("nowhere.shop")),))
    tls = a_virtual_service("vault", http=(), tls=(a_tls_route(a_destination("nowhere.shop")),))

    assert codes(TCP, TLS, tcp, tls) == ["E-VS-DEST-UNKNOWN", "E-VS-DEST-UNKNOWN"]


@pytest.mark.spec("V-104", "V-114", "V-51", "E-VS-SUBSET-UNDEFINED")
def test_subsets_of_connections_must_be_defined():
    tcp = a_virtual_service("db", http=(), tcp=(a_tcp_route(a_destination("db.shop", "v1")),))
    tls = a_virtual_service("vault", http=(), tls=(a_tls_route(a_destination("vault.shop", "v1")),))

    assert codes(TCP, TLS, tcp, tls) == ["E-VS-SUBSET-UNDEFINED", "E-VS-SUBSET-UNDEFINED"]


@pytest.mark.spec("V-52")
def test_ports_of_connections_must_be_there():
    several = a_service_entry("several", ports=(a_port(1, "tcp-a"), a_port(2, "tcp-b")))

    def to(destination: Destination, **match: Any) -> list[str]:
        return codes(TCP, several, a_virtual_service("db", http=(), tcp=(a_tcp_route(destination, **match),)))

    assert to(a_destination("db.shop", port=80)) == ["E-VALUE"]
    assert to(a_destination("several.shop")) == ["E-VALUE"]
    assert to(a_destination("several.shop"), port=2) == []
    assert to(a_destination("several.shop", port=2)) == []


@pytest.mark.spec("E-VS-PORT-PROTOCOL")
def test_connections_may_lead_to_any_port():
    assert codes(TCP, REVIEWS, a_virtual_service("db", http=(), tcp=(a_tcp_route(a_destination()),))) == []


def test_rules_for_connections_that_no_port_uses_are_doubtful():
    (problem,) = found(REVIEWS, a_virtual_service("reviews", http=(), tcp=(a_tcp_route(a_destination()),)))

    assert (problem.code, problem.at.path) == ("W-VALUE", "spec.tcp")
    assert "80 is HTTP" in problem.message


def test_each_kind_of_rule_is_for_ports_of_its_own():
    ports = (a_port(80), a_port(443, "tls"), a_port(5000, "tcp"))
    entry = a_service_entry("mixed", ports=ports)
    to = a_destination("mixed.shop")

    given = {"http": (a_route(to),), "tls": (a_tls_route(to),), "tcp": (a_tcp_route(to),)}

    assert codes(entry, a_virtual_service("mixed", **given)) == []


# --- who goes through a gateway -------------------------------------------------------------------------------

PRIVATE = a_service_entry("private", namespace="edge", export_to=(".",))


def through(*gateways: str, to: Destination, **given: Any) -> Resource:
    return a_virtual_service("reviews", a_route(to, **given), gateways=gateways)


@pytest.mark.spec("G-2", "V-2")
def test_a_route_for_gateways_is_seen_by_gateways_only():
    route = through("edge", to=a_destination("private.shop"))

    assert codes(PRIVATE, REVIEWS, EDGE, EDGE_VM, WEB_VM, route) == []
    assert codes(PRIVATE, REVIEWS, EDGE, a_workload_entry(labels={"istio": "edge"}), WEB_VM, route) == [
        "E-VS-DEST-UNKNOWN"
    ]


@pytest.mark.spec("V-2")
def test_a_route_for_the_mesh_is_not_seen_by_gateways():
    hidden = a_service_entry("hidden", namespace="web", export_to=(".",))
    route = through("mesh", "edge", to=a_destination("hidden.shop"), match=(a_match(gateways=("mesh",)),))

    assert codes(hidden, REVIEWS, EDGE, EDGE_VM, WEB_VM, route) == []


@pytest.mark.spec("V-40")
def test_the_gateways_of_a_match_stand_in_for_those_of_the_virtual_service():
    to_edge = through("mesh", "edge", to=a_destination("private.shop"), match=(a_match(gateways=("edge",)),))
    to_all = through("mesh", "edge", to=a_destination("private.shop"), match=(a_match(),))
    web = a_service_entry("private", namespace="web", hosts=("x.shop",))

    assert codes(PRIVATE, web, REVIEWS, EDGE, EDGE_VM, WEB_VM, to_edge) == []
    assert codes(PRIVATE, web, REVIEWS, EDGE, WEB_VM, to_all) == ["E-VS-DEST-UNKNOWN"]


@pytest.mark.spec("V-51", "D-6")
def test_a_subset_must_be_defined_for_the_gateway_itself():
    route = through("edge", to=a_destination(subset="v1"))
    at_edge = a_destination_rule("edge", "v2", host="reviews.shop", namespace="edge")
    for_some = a_destination_rule(
        "some", "v1", host="reviews.shop", namespace="edge", workload_selector=LabelSelector(match_labels={"a": "b"})
    )
    general = a_destination_rule("reviews", "v1")

    def errors(*rules: Resource) -> list[str]:
        return codes(REVIEWS, EDGE, EDGE_VM, WEB_VM, route, *rules)

    assert errors(general) == []
    assert errors(general, at_edge) == ["E-VS-SUBSET-UNDEFINED"]
    assert errors(at_edge, for_some) == ["E-VS-SUBSET-UNDEFINED"]


@pytest.mark.spec("V-51")
def test_at_a_gateway_the_service_of_the_virtual_services_namespace_comes_first():
    own = a_service_entry("own", hosts=("x.shop",), namespace="default", ports=(a_port(80),))
    other = a_service_entry("a", hosts=("x.shop",), namespace="edge", ports=(a_port(81),))
    route = through("edge", to=a_destination("x.shop", port=80))

    assert codes(own, other, REVIEWS, EDGE, EDGE_VM, route) == []


@pytest.mark.spec("E-VS-SUBSET-UNDEFINED")
def test_where_no_gateway_runs_a_route_is_judged_as_from_home():
    assert codes(REVIEWS, EDGE, through("edge", to=a_destination(subset="v1"))) == ["E-VS-SUBSET-UNDEFINED"]


@pytest.mark.spec("V-52")
def test_which_port_a_gateway_asks_for_is_not_known_here():
    several = a_service_entry("several", ports=(a_port(8080, "http"), a_port(8081, "http-b")))

    assert codes(REVIEWS, several, EDGE, EDGE_VM, through("edge", to=a_destination("several.shop"))) == []
    assert codes(REVIEWS, several, through("edge", to=a_destination("several.shop"), match=(a_match(port=80),))) == [
        "E-VALUE"
    ]


@pytest.mark.spec("E-VS-PORT-PROTOCOL")
def test_http_routes_of_a_gateway_act_on_its_servers_whatever_the_ports_of_the_host():
    tls = a_service_entry("reviews", ports=(a_port(443, "tls"),))

    assert codes(tls, EDGE, EDGE_VM, through("edge", to=a_destination())) == []
    assert codes(tls, EDGE, EDGE_VM, through("mesh", to=a_destination())) == ["E-VS-PORT-PROTOCOL"]


@pytest.mark.spec("E-SE-NONE-NOCAPTURE", "S-8")
def test_resolution_none_is_no_end_of_a_route_at_a_gateway():
    none = a_service_entry("none", resolution="NONE")
    route = through("mesh", "edge", to=a_destination("none.shop"))

    (problem,) = found(none, REVIEWS, EDGE, EDGE_VM, route)

    assert problem.code == "E-SE-NONE-NOCAPTURE"
    assert "serviceentry-none.yaml:1" in problem.message
    assert codes(none, REVIEWS, WEB_VM, through("mesh", to=a_destination("none.shop"))) == []


def test_a_proxy_header_may_restore_the_original_destination_of_connections():
    none = a_service_entry("none", resolution="NONE", ports=(a_port(5432, "tcp"),))
    gateway = a_service_entry("gateway", ports=(a_port(5432, "tcp"),))
    rule = a_destination_rule("gateway", traffic_policy=TrafficPolicy(proxy_protocol=ProxyProtocol(version="V2")))
    route = a_virtual_service("none", http=(), gateways=("edge",), tcp=(a_tcp_route(a_destination("none.shop")),))

    assert codes(none, gateway, EDGE, EDGE_VM, rule, route) == []
    assert codes(none, gateway, EDGE, EDGE_VM, route) == ["E-SE-NONE-NOCAPTURE"]


@pytest.mark.spec("S-8", "E-VS-SUBSET-UNDEFINED")
def test_a_service_of_names_to_come_has_no_subsets():
    dynamic = a_service_entry("any", hosts=("*.any.shop",), resolution="DYNAMIC_DNS")
    rule = a_destination_rule("any", "v1", host="*.any.shop")

    (problem,) = found(dynamic, rule, REVIEWS, a_virtual_service("reviews", a_route(a_destination("*.any.shop", "v1"))))

    assert problem.code == "E-VS-SUBSET-UNDEFINED"
    assert "DYNAMIC_DNS" in problem.message


# --- delegates ------------------------------------------------------------------------------------------------


@pytest.mark.spec("V-15", "E-VS-DEST-UNKNOWN")
def test_the_destinations_of_a_delegate_are_judged_where_it_is_named():
    delegate = a_virtual_service("part", a_route(a_destination("nowhere")), hosts=(), namespace="web")
    root = a_virtual_service("reviews", a_route(), namespace="default")
    delegating = a_virtual_service(
        "reviews",
        a_route(match=(a_match(uri="/a"),)),
        a_route(route=(), delegate=Delegate(name="part", namespace="web")),
    )

    assert codes(REVIEWS, root, delegate) == []
    (problem,) = found(REVIEWS, delegating, delegate)
    assert "'nowhere.web.svc.cluster.local'" in problem.message
