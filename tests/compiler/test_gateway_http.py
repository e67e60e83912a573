"""HTTP and HTTPS servers of a gateway: listeners, tables, and whose routes a host has (spec 4.3, 4.4, V-8)."""

from __future__ import annotations

from typing import Any

import pytest

from meshd.compiler import compile_plan
from meshd.memo import Memo
from meshd.plan import Forward, Redirect, Respond, SocketBind, UnixBind
from meshd.resources.answers import HTTPRedirect
from meshd.resources.destination import Destination
from meshd.resources.destination_rule import TrafficPolicy
from meshd.resources.resource import WorkloadSelector
from meshd.resources.server_tls import ServerTLSSettings
from meshd.resources.service_entry import ServiceEntry
from meshd.resources.traffic_policy import ClientTLSSettings, LoadBalancerSettings
from meshd.resources.virtual_service import VirtualService
from tests.builders import (
    a_destination,
    a_destination_rule,
    a_gateway,
    a_match,
    a_mesh,
    a_port,
    a_route,
    a_server,
    a_service_entry,
    a_sidecar,
    a_subset,
    a_virtual_service,
    a_workload_entry,
    an_endpoint,
)
from tests.compiler.gateways import (
    EDGE,
    HOST,
    REVIEWS,
    a_gateway_plan,
    chains,
    compiled_gateway,
    hosts,
    http_chain,
    names,
    the_listener,
)
from tests.compiler.plans import REACH, codes, forwarded

CREDENTIAL = ServerTLSSettings(mode="SIMPLE", credential_name="shop")


def bound(name: str = "web", *http: Any, **given: Any) -> VirtualService:
    """For `<name>.example` at Gateway `default/front`."""
    return a_virtual_service(
        name, *(http or (a_route(),)), **{"hosts": (f"{name}.example",), "gateways": ("front",), **given}
    )


def redirects_only_tls() -> ServerTLSSettings:
    return ServerTLSSettings(https_redirect=True)


# --- listeners ------------------------------------------------------------------------------------------------


@pytest.mark.spec("G-3", "G-3.2", "G-3.3", "V-3")
def test_http_servers_of_one_port_are_one_listener_with_one_table():
    plan = a_gateway_plan(
        REVIEWS,
        a_gateway("front", a_server(80, "HTTP", "web.example"), a_server(80, "GRPC", "api.example")),
        a_gateway("back", a_server(80, "HTTP2", "*.back.example")),
        bound("web"),
        bound("api"),
        bound("x", hosts=("x.back.example",), gateways=("back",)),
    )

    listener = the_listener(plan)
    assert (listener.name, listener.bind, listener.side) == (
        "0.0.0.0_80",
        SocketBind(ip="0.0.0.0", port=80),
        "gateway",
    )
    chain = http_chain(plan, "0.0.0.0_80")
    assert (chain.route_table, chain.tls, chain.side, chain.keep_timeout_header) == ("http.80", None, "gateway", False)
    assert list(hosts(plan, "http.80")) == ["api.example", "web.example", "x.back.example"]


@pytest.mark.spec("G-1", "G-3.1", "G-3.4")
def test_https_servers_have_a_chain_and_a_table_each():
    plan = a_gateway_plan(
        REVIEWS,
        a_gateway(
            "front",
            a_server(443, "HTTPS", "web.example", port_name="web", name="shop", tls=CREDENTIAL),
            a_server(443, "HTTPS", "*", port_name="rest", tls=CREDENTIAL),
        ),
        bound("web"),
    )

    web, rest = chains(plan, "0.0.0.0_443")
    assert (web.route_table, web.stat_prefix, web.match.server_names) == (
        "https.443.web.front.default",
        "shop",
        ("web.example",),
    )
    assert (rest.route_table, rest.stat_prefix, rest.match.server_names) == (
        "https.443.rest.front.default",
        "outbound_0.0.0.0_443",
        (),
    )
    assert web.tls.alpn == ("h2", "http/1.1")
    assert list(hosts(plan, "https.443.rest.front.default")) == ["web.example"]


@pytest.mark.spec("G-3.6")
def test_a_bind_is_part_of_the_names():
    plan = a_gateway_plan(
        a_gateway(
            "front",
            a_server(80, bind="10.0.0.9"),
            a_server(0, bind="unix:///run/edge.sock"),
            a_server(443, "HTTPS", port_name="https", bind="10.0.0.9", tls=CREDENTIAL),
        )
    )

    assert names(plan) == ["10.0.0.9_443", "10.0.0.9_80", "unix:///run/edge.sock_0"]
    assert {each.bind for each in plan.listeners} >= {UnixBind(path="/run/edge.sock")}
    assert [each.name for each in plan.route_tables] == [
        "http.0.unix:///run/edge.sock",
        "http.80.10.0.0.9",
        "https.443.https.front.default.10.0.0.9",
    ]


@pytest.mark.spec("G-3.8", "V-26")
def test_a_server_to_which_nothing_is_bound_answers_404():
    (virtual_host,) = hosts(a_gateway_plan(a_gateway()), "http.80").values()

    assert (virtual_host.domains, virtual_host.routes) == (("*",), ())


@pytest.mark.spec("G-3.3")
def test_grpc_web_is_spoken_where_a_server_says_so():
    web = a_server(81, "GRPC-WEB")

    plan = a_gateway_plan(a_gateway("front", a_server(80), web))

    assert http_chain(plan, "0.0.0.0_81").grpc_web
    assert not http_chain(plan, "0.0.0.0_80").grpc_web


def its_service(**given: Any) -> ServiceEntry:
    """The gateway's own: port 80 is answered at 8080."""
    return a_service_entry(
        "edge", namespace="edge", ports=(a_port(80, target_port=8080),), hosts=("edge.example",), **given
    )


@pytest.mark.spec("G-3.2", "V-37", "V-63")
@pytest.mark.parametrize(
    "given",
    [{"workload_selector": WorkloadSelector(labels=EDGE)}, {"endpoints": (an_endpoint("10.0.0.9"),)}],
    ids=["selected", "inline"],
)
def test_a_server_listens_where_the_gateways_service_answers_but_keeps_its_number(given: dict[str, Any]):
    here = HTTPRedirect(uri="/", derive_port="FROM_REQUEST_PORT", authority="x.example", scheme="https")
    web = bound("web", a_route(match=(a_match(uri="/a", port=80),)), a_route(route=(), redirect=here))

    plan = a_gateway_plan(REVIEWS, its_service(**given), a_gateway(), web)

    assert names(plan) == ["0.0.0.0_8080"]
    first, second = hosts(plan, "http.8080")["web.example"].routes
    assert isinstance(first.action, Forward)
    assert isinstance(second.action, Redirect)
    assert second.action.port == 80


@pytest.mark.spec("G-3.2")
def test_what_an_application_on_the_same_host_answers_moves_no_server():
    app = a_workload_entry("web", "10.0.0.9", labels={"app": "web"}, namespace="edge")
    its = its_service(workload_selector=WorkloadSelector(labels={"app": "web"}))

    plans = compiled_gateway(its, a_gateway(), app).plans

    assert [plan.proxy for plan in plans] == ["sidecar", "gateway"]
    assert names(plans[1]) == ["0.0.0.0_80"]


def test_servers_that_meet_on_one_port_of_the_machine_are_a_problem_of_this_host():
    both = a_gateway("front", a_server(80), a_server(8080, "TCP"))

    result = compiled_gateway(its_service(workload_selector=WorkloadSelector(labels=EDGE)), both)

    assert codes(result) == ["E-GW-PORT-CONFLICT"]


# --- hosts ----------------------------------------------------------------------------------------------------


@pytest.mark.spec("G-4.1")
def test_plain_text_is_redirected_for_all_hosts_of_the_server_bound_or_not():
    front = a_gateway(
        "front",
        a_server(80, "HTTP", "shop/*.example", "other.com", tls=redirects_only_tls()),
        a_server(80, "HTTP", "plain.com"),
    )
    plain = bound("plain", hosts=("plain.com",))

    found = hosts(
        a_gateway_plan(REVIEWS, front, bound("web", namespace="shop", gateways=("default/front",)), plain), "http.80"
    )

    assert {domain: (each.requires_tls, len(each.routes)) for domain, each in found.items()} == {
        "*.example": (True, 0),
        "other.com": (True, 0),
        "plain.com": (False, 1),
        "web.example": (True, 1),
    }


def test_https_is_not_redirected_to_itself():
    tls = ServerTLSSettings(mode="SIMPLE", credential_name="shop", https_redirect=True)
    plan = a_gateway_plan(REVIEWS, a_gateway("front", a_server(443, "HTTPS", port_name="s", tls=tls)), bound())

    assert not hosts(plan, "https.443.s.front.default")["web.example"].requires_tls


@pytest.mark.spec("V-8")
def test_virtual_services_of_one_host_are_one_after_the_other_with_catch_alls_at_the_end():
    first = bound("a", a_route(name="a1", match=(a_match(uri="/a"),)), a_route(name="a2"), hosts=("web.example",))
    second = bound("b", a_route(name="b1", match=(a_match(uri="/b"),)), hosts=("web.example",))

    found = hosts(a_gateway_plan(REVIEWS, a_gateway(), second, first), "http.80")["web.example"]

    assert [route.name for route in found.routes] == ["a1", "b1", "a2"]


@pytest.mark.spec("V-8", "V-9")
def test_of_two_catch_alls_the_first_counts_and_the_other_is_told():
    first = bound("a", a_route(name="a"), hosts=("web.example",))
    second = bound("b", a_route(name="b"), hosts=("web.example",))

    result = compiled_gateway(REVIEWS, a_gateway(), first, second)

    assert codes(result) == ["W-VS-UNREACHABLE"]
    (plan,) = result.plans
    assert [route.name for route in hosts(plan, "http.80")["web.example"].routes] == ["a"]


@pytest.mark.spec("V-8")
def test_the_gateways_own_namespace_comes_first():
    private = bound(
        "z",
        a_route(name="z", match=(a_match(uri="/z"),)),
        hosts=("web.example",),
        namespace="edge",
        export_to=(".",),
        gateways=("default/front",),
    )
    public = bound("a", a_route(name="a", match=(a_match(uri="/a"),)), hosts=("web.example",))

    found = hosts(a_gateway_plan(REVIEWS, a_gateway(), public, private), "http.80")["web.example"]

    assert [route.name for route in found.routes] == ["z", "a"]


def test_one_that_is_bound_by_two_gateways_of_a_port_has_its_routes_once():
    web = bound("web", a_route(name="one"), gateways=("front", "back"))

    found = hosts(a_gateway_plan(REVIEWS, a_gateway("front"), a_gateway("back"), web), "http.80")["web.example"]

    assert [route.name for route in found.routes] == ["one"]


@pytest.mark.spec("V-6")
def test_what_is_not_exported_to_the_gateways_namespace_is_not_there():
    hidden = bound("web", export_to=(".",))
    shown = bound("api", export_to=("edge",))

    assert list(hosts(a_gateway_plan(REVIEWS, a_gateway(), hidden, shown), "http.80")) == ["api.example"]


def test_a_host_of_which_no_rule_applies_is_left_to_a_wider_one():
    only_mesh = bound("web", a_route(match=(a_match(gateways=("mesh",)),)))
    wide = bound("all", hosts=("*.example",))

    assert list(hosts(a_gateway_plan(REVIEWS, a_gateway(), only_mesh, wide), "http.80")) == ["*.example"]


def test_an_ipv6_host_is_in_brackets():
    assert list(hosts(a_gateway_plan(REVIEWS, a_gateway(), bound(hosts=("fd00::1",))), "http.80")) == ["[fd00::1]"]


# --- conditions -----------------------------------------------------------------------------------------------


@pytest.mark.spec("V-38", "V-39", "V-40", "V-37")
@pytest.mark.parametrize(
    ("match", "taken"),
    [
        ({"gateways": ("front",)}, True),
        ({"gateways": ("default/front", "mesh")}, True),
        ({"gateways": ("mesh",)}, False),
        ({"gateways": ("other",)}, False),
        ({"source_labels": EDGE}, True),
        ({"source_labels": {"app": "web"}}, False),
        ({"source_labels": {"app": "web"}, "gateways": ("front",)}, True),
        ({"source_namespace": "edge"}, True),
        ({"source_namespace": "default"}, False),
        ({"port": 80}, True),
        ({"port": 443}, False),
    ],
)
def test_at_a_gateway_the_gateway_is_the_source(match: dict[str, Any], taken: bool):
    web = bound("web", a_route(name="it", match=(a_match(uri="/", **match),)), gateways=("front", "mesh"))

    found = hosts(a_gateway_plan(REVIEWS, a_gateway(), web), "http.80")

    assert [route.name for each in found.values() for route in each.routes] == (["it"] if taken else [])


@pytest.mark.spec("V-62", "V-63")
@pytest.mark.parametrize(
    ("asked", "behind_tls", "in_plain_text"),
    [
        (HTTPRedirect(uri="/x", port=443, authority="a.com"), None, 443),
        (HTTPRedirect(uri="/x", port=80, authority="a.com"), 80, None),
        (HTTPRedirect(uri="/x", port=443, authority="a.com", scheme="http"), 443, 443),
        (HTTPRedirect(uri="/x", derive_port="FROM_REQUEST_PORT", authority="a.com"), None, None),
        (HTTPRedirect(uri="/x", derive_port="FROM_PROTOCOL_DEFAULT"), None, None),
    ],
)
def test_the_port_that_a_redirects_scheme_implies_is_not_written(
    asked: HTTPRedirect, behind_tls: int | None, in_plain_text: int | None
):
    front = a_gateway("front", a_server(80), a_server(443, "HTTPS", port_name="s", tls=CREDENTIAL))
    plan = a_gateway_plan(front, bound("web", a_route(route=(), redirect=asked)))

    ports = []
    for table in ("https.443.s.front.default", "http.80"):
        (route,) = hosts(plan, table)["web.example"].routes
        assert isinstance(route.action, Redirect)
        ports.append(route.action.port)
    assert ports == [behind_tls, in_plain_text]


# --- where it leads -------------------------------------------------------------------------------------------


def only(destination: Destination, **given: Any) -> VirtualService:
    return bound("web", a_route(destination), **given)


@pytest.mark.spec("V-52")
def test_only_the_clusters_that_something_leads_to_are_in_the_plan():
    two = a_service_entry("two", ports=(a_port(80), a_port(81, "http-b")), endpoints=(an_endpoint(),))
    rule = a_destination_rule("two", "v1")

    plan = a_gateway_plan(REVIEWS, two, rule, a_gateway(), only(a_destination("two.shop", "v1", 81)))

    assert [each.name for each in plan.clusters] == ["outbound|81|v1|two.shop"]
    assert [each.cluster for each in plan.endpoints] == ["outbound|81|v1|two.shop"]


def test_a_service_of_the_virtual_services_namespace_comes_first():
    def reviews(namespace: str, address: str) -> ServiceEntry:
        return a_service_entry("reviews", namespace=namespace, endpoints=(an_endpoint(address),))

    plan = a_gateway_plan(
        reviews("edge", "10.1.0.1"),
        reviews("shop", "10.2.0.1"),
        a_gateway(),
        bound("web", namespace="shop", gateways=("default/front",)),
    )

    (assigned,) = plan.endpoints
    assert [each.address.ip for each in assigned.endpoints] == ["10.2.0.1"]


def test_of_two_services_of_one_host_a_gateway_has_the_first_and_tells_of_the_other():
    def of(namespace: str) -> tuple[ServiceEntry, VirtualService]:
        service = a_service_entry("reviews", namespace=namespace, endpoints=(an_endpoint(f"10.{len(namespace)}.0.1"),))
        return service, bound(namespace, namespace=namespace, gateways=("default/front",))

    result = compiled_gateway(a_gateway(), *of("shop"), *of("store"))

    assert codes(result) == ["W-GW-NAMESAKE"]
    (assigned,) = result.plans[0].endpoints
    assert [each.address.ip for each in assigned.endpoints] == ["10.4.0.1"]


@pytest.mark.spec("V-50", "S-11")
def test_a_service_that_is_hidden_from_the_gateway_is_answered_503_and_the_world_is_not_told_why():
    hidden = a_service_entry("reviews", export_to=(".",))

    result = compiled_gateway(hidden, a_gateway(), bound())

    assert codes(result) == ["W-VS-DEST-HIDDEN"]
    (plan,) = result.plans
    assert hosts(plan, "http.80")["web.example"].routes[0].action == Respond(status=503)


@pytest.mark.spec("SC-2")
def test_a_sidecar_resource_does_not_narrow_a_gateway():
    sidecar = a_sidecar("default", "./*", namespace="edge")

    plan = a_gateway_plan(REVIEWS, a_gateway(), bound(), sidecar)

    assert [each.name for each in plan.clusters] == ["outbound|80||reviews.shop"]


@pytest.mark.spec("D-6")
def test_the_rule_in_force_is_that_for_the_gateways_namespace():
    def rule(namespace: str, simple: str):
        policy = TrafficPolicy(load_balancer=LoadBalancerSettings(simple=simple))
        return a_destination_rule("reviews", namespace=namespace, traffic_policy=policy, export_to=(".",))

    plan = a_gateway_plan(REVIEWS, a_gateway(), bound(), rule("edge", "RANDOM"), rule("default", "ROUND_ROBIN"))

    (cluster,) = plan.clusters
    assert cluster.load_balancer.policy == "RANDOM"


@pytest.mark.spec("X-9")
def test_a_table_that_leads_to_a_name_looked_up_on_the_way_says_so():
    anything = a_service_entry("any", hosts=("*.out.example",), resolution="DYNAMIC_DNS")
    front = a_gateway("front", a_server(80), a_server(81))
    out = bound("out", a_route(a_destination("*.out.example"), match=(a_match(port=81),)), hosts=("*.out.example",))

    plan = a_gateway_plan(anything, front, out)

    assert http_chain(plan, "0.0.0.0_81").dynamic_dns
    assert not http_chain(plan, "0.0.0.0_80").dynamic_dns


@pytest.mark.spec("X-5", "X-6")
def test_an_egress_gateway_opens_the_tls_that_the_sidecar_does_not():
    out = a_service_entry("foo", hosts=("foo.com",), resolution="DNS", ports=(a_port(443, "http-443"),))
    tls = a_destination_rule("foo", host="foo.com", traffic_policy=TrafficPolicy(tls=ClientTLSSettings(mode="SIMPLE")))
    foo = bound("foo", a_route(a_destination("foo.com", port=443)), hosts=("foo.com",))

    plan = a_gateway_plan(out, tls, a_gateway(), foo)

    (cluster,) = plan.clusters
    assert cluster.tls is not None
    assert [each.name for each in plan.secrets] == [cluster.tls.validation]
    assert forwarded(hosts(plan, "http.80")["foo.com"].routes[0]).destinations[0].cluster == "outbound|443||foo.com"


@pytest.mark.spec("X-7")
def test_a_sidecar_goes_to_the_egress_gateway_in_tls_of_the_mesh_under_the_name_of_the_outside():
    bank_tls = ClientTLSSettings(mode="ISTIO_MUTUAL", sni="bank.example")
    its = a_service_entry(
        "edge",
        namespace="edge",
        hosts=("edge.example",),
        ports=(a_port(443, "http-443"),),
        workload_selector=WorkloadSelector(labels=EDGE),
    )
    resources = (
        its,
        a_service_entry("bank", hosts=("bank.example",), endpoints=(an_endpoint(),)),
        a_destination_rule(
            "edge", a_subset("bank", TrafficPolicy(tls=bank_tls)), host="edge.example", namespace="edge"
        ),
        a_gateway("front", a_server(443, "HTTPS", "bank.example", port_name="mesh", tls="ISTIO_MUTUAL")),
        bound(
            "bank",
            a_route(a_destination("edge.example", "bank", 443), match=(a_match(gateways=("mesh",)),)),
            a_route(a_destination("bank.example", port=80), match=(a_match(gateways=("front",)),)),
            gateways=("mesh", "front"),
        ),
    )

    (gateway,) = compiled_gateway(*resources).plans
    (sidecar,) = compiled_gateway(*resources, labels={"app": "web"}).plans

    hop = next(each for each in sidecar.clusters if each.subset == "bank")
    assert hop.tls is not None
    assert hop.tls.sni == "bank.example"
    chain = http_chain(gateway, "0.0.0.0_443")
    assert chain.tls is not None
    assert (chain.match.server_names, chain.tls.requires_client_certificate) == (("bank.example",), True)
    assert (hop.tls.certificate, hop.tls.validation) == (chain.tls.certificates[0], chain.tls.validation)
    assert [each.name for each in gateway.clusters] == ["outbound|80||bank.example"]


# --- one pass after another -----------------------------------------------------------------------------------


def test_one_changed_virtual_service_changes_its_own_host_and_no_more():
    memo = Memo()
    front = a_gateway("front", a_server(80), a_server(443, "HTTPS", port_name="s", tls=CREDENTIAL))
    edge = a_workload_entry("gw-1", labels=EDGE)
    others = (REVIEWS, front, edge, bound("api"), bound("shop"))

    def one_pass(web: VirtualService):
        (plan,) = compile_plan(a_mesh(*others, web, memo=memo), HOST, REACH, memo).plans
        memo.turn()
        return plan

    before = one_pass(bound("web"))
    after = one_pass(bound("web", a_route(match=(a_match(uri="/new"),))))

    assert all(now is was for now, was in zip(after.listeners, before.listeners, strict=True))
    assert all(now is was for now, was in zip(after.clusters, before.clusters, strict=True))
    for table in ("http.80", "https.443.s.front.default"):
        was, now = hosts(before, table), hosts(after, table)
        assert [domain for domain in now if now[domain] is not was[domain]] == ["web.example"]


# --- hosts that are for clients with a certificate ------------------------------------------------------------

PARTNERS = ServerTLSSettings(mode="MUTUAL", credential_name="partners")


def answers(*servers: Any, table: str) -> dict[str, object]:
    """By domain, what becomes of requests; every server's host has the same VirtualService."""
    plan = a_gateway_plan(REVIEWS, a_gateway("front", *servers), bound(hosts=("*.example", "x.admin.example")))
    found = hosts(plan, f"https.443.{table}.front.default")
    return {domain: getattr(each.routes[0].action, "status", 200) for domain, each in found.items()}


@pytest.mark.spec("G-4.2")
def test_a_host_for_clients_with_a_certificate_is_not_reached_by_the_server_name_of_another():
    every = a_server(443, "HTTPS", "*.example", tls=CREDENTIAL, port_name="all")
    own = a_server(443, "HTTPS", "x.admin.example", tls=CREDENTIAL, port_name="own")
    admin = a_server(443, "HTTPS", "*.admin.example", tls=PARTNERS, port_name="admin")
    named = ServerTLSSettings(mode="OPTIONAL_MUTUAL", credential_name="shop", subject_alt_names=("boss.example",))
    boss = a_server(443, "HTTPS", "boss.example", tls=named, port_name="boss")

    assert answers(every, admin, boss, table="all") == {"*.example": 200, "*.admin.example": 421, "boss.example": 421}
    assert answers(own, every, admin, table="own") == {"x.admin.example": 200}
    assert answers(every, admin, boss, table="boss") == {"boss.example": 200}


@pytest.mark.spec("G-4.2")
@pytest.mark.parametrize("lenient", [CREDENTIAL, ServerTLSSettings(mode="OPTIONAL_MUTUAL", credential_name="shop")])
def test_servers_that_ask_the_same_of_clients_have_their_hosts_together(lenient: ServerTLSSettings):
    for tls in (lenient, PARTNERS):
        every = a_server(443, "HTTPS", "*.example", tls=tls, port_name="all")
        admin = a_server(443, "HTTPS", "*.admin.example", tls=tls, port_name="admin")

        assert answers(every, admin, table="all") == {"*.example": 200, "x.admin.example": 200}
