"""Which endpoints would be the very proxy that calls them."""

from __future__ import annotations

from dataclasses import replace

from meshd.compiler import Reach, compile_plan
from meshd.memo import Memo
from meshd.plan import ClusterEndpoints, ProxyPlan
from meshd.resources.sidecar import IstioEgressListener, IstioIngressListener
from tests.builders import (
    a_destination,
    a_gateway,
    a_match,
    a_mesh,
    a_port,
    a_route,
    a_server,
    a_service_entry,
    a_sidecar,
    a_virtual_service,
    a_workload_entry,
    an_endpoint,
)
from tests.compiler.gateways import a_gateway_plan, compiled_gateway
from tests.compiler.plans import HOST, codes, compiled

PROXY = Reach(http_proxy_port=15080)


def assigned(plan: ProxyPlan, cluster: str) -> ClusterEndpoints:
    return next(each for each in plan.endpoints if each.cluster == cluster)


def circles(plan: ProxyPlan, cluster: str = "outbound|80||reviews.shop") -> list[tuple[str, int]]:
    return [(each.listener, each.port) for each in assigned(plan, cluster).circles]


def reviews(address: str, port: int, **more: object):
    return a_service_entry("reviews", endpoints=(an_endpoint(address, ports={"http": port}),), **more)


def test_an_address_that_is_the_http_proxy_is_told_once_for_all_its_clusters():
    both = a_service_entry(
        "reviews",
        ports=(a_port(80, "http"), a_port(81, "other")),
        endpoints=(an_endpoint("127.0.0.1", ports={"http": 15080, "other": 15080}),),
    )

    result = compiled(both, reach=PROXY)

    assert codes(result) == ["W-ENDPOINT-LOOP"]
    assert "127.0.0.1 at port 15080 is this very proxy (127.0.0.1_15080)" in result.problems[0].message
    (plan,) = result.plans
    assert circles(plan) == [("127.0.0.1_15080", 15080)]


def test_another_address_or_another_port_is_nobodys_business():
    for endpoint in (reviews("10.0.0.7", 15080), reviews("127.0.0.1", 8080), reviews("unix:///run/x", 0)):
        result = compiled(endpoint, reach=PROXY)

        assert codes(result) == []
        assert circles(result.plans[0]) == []


def test_what_a_name_at_such_a_port_stands_for_is_to_be_looked_at():
    (plan,) = compiled(reviews("db.example", 15080, resolution="DNS"), reach=PROXY).plans

    assert circles(plan) == [("127.0.0.1_15080", 15080)]
    (plan,) = compiled(reviews("db.example", 8080, resolution="DNS"), reach=PROXY).plans
    assert circles(plan) == []


def test_the_ports_of_the_capture_are_for_nobody():
    captured = replace(PROXY, capture="nftables")
    for port in (15001, 15006):
        assert "W-ENDPOINT-LOOP" in codes(compiled(reviews("10.0.0.1", port), reach=captured))
        assert "W-ENDPOINT-LOOP" not in codes(compiled(reviews("10.0.0.2", port), reach=captured))


def test_what_others_call_to_reach_an_application_here_leads_out_of_the_proxy():
    ingress = IstioIngressListener(port=a_port(8080), default_endpoint="127.0.0.1:9090")
    sidecar = a_sidecar(ingress=(ingress,), egress=(IstioEgressListener(hosts=("*/*",)),))

    result = compiled(reviews("10.0.0.1", 8080), sidecar, reach=PROXY)

    assert codes(result) == []
    assert circles(result.plans[0]) == []


def test_a_gateway_that_passes_on_to_its_own_other_listener_goes_round_no_circle():
    """Only one that leads to the same cluster again does."""
    outer, inner = a_server(80, "HTTP", "*"), a_server(8080, "HTTP", "*")
    gateways = (a_gateway("outer", outer, namespace="edge"), a_gateway("inner", inner, namespace="edge"))
    front, back = reviews("127.0.0.1", 8080), a_service_entry("store", endpoints=(an_endpoint("10.0.0.2"),))
    to_inner = a_virtual_service(
        "a", a_route(a_destination("reviews.shop")), hosts=("*",), gateways=("outer",), namespace="edge"
    )
    to_store = a_virtual_service(
        "b", a_route(a_destination("store.shop")), hosts=("*",), gateways=("inner",), namespace="edge"
    )
    to_itself = a_virtual_service(
        "b",
        a_route(a_destination("reviews.shop"), match=(a_match(),)),
        hosts=("*",),
        gateways=("inner",),
        namespace="edge",
    )

    plan = a_gateway_plan(*gateways, front, back, to_inner, to_store)
    assert circles(plan) == []

    result = compiled_gateway(*gateways, front, back, to_inner, to_itself)
    assert codes(result) == ["W-ENDPOINT-LOOP"]
    assert circles(result.plans[0]) == [("0.0.0.0_8080", 8080)]


def test_what_has_not_changed_is_the_very_same_on_the_next_pass():
    memo = Memo()
    resources = (a_workload_entry(), reviews("db.example", 15080, resolution="DNS"))
    mesh = a_mesh(*resources, memo=memo)
    first, _ = compile_plan(mesh, HOST, PROXY, memo), memo.turn()

    second = compile_plan(mesh, HOST, PROXY, memo)

    cluster = "outbound|80||reviews.shop"
    assert assigned(first.plans[0], cluster).circles
    assert assigned(first.plans[0], cluster) is assigned(second.plans[0], cluster)
