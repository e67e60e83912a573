"""`tls` and `tcp` rules: whose connections they take, in which order, and what is left for the service itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from meshd.compiler import Reach
from meshd.plan import ChainMatch, TcpChain
from meshd.resources.sidecar import Sidecar
from tests.builders import a_port, a_service_entry, a_sidecar, a_virtual_service
from tests.compiler.outbound import CAPTURE, egress, led, sni, tcp, tcp_rules, tls_rules
from tests.compiler.plans import a_plan, codes, compiled, listener

BOUND: Sidecar = a_sidecar(egress=(egress(protocol=""),))

NETWORK = ("10.1.0.0/16",)


def tls_services(*names: str):
    return [a_service_entry(name, ports=(a_port(443, "tls"),)) for name in names]


def tcp_services(*names: str, **more):
    return [a_service_entry(name, ports=(a_port(5432, "tcp"),), **more) for name in names]


def on(port: int, *resources, **workload) -> list[tuple[object, str]]:
    """What an unprivileged host does with connections to its loopback address."""
    return led(listener(a_plan(BOUND, *resources, **workload), f"127.0.0.1_{port}"))


def captured(name: str, *resources, **workload) -> list[tuple[object, str]]:
    return led(listener(a_plan(*resources, reach=CAPTURE, **workload), name))


# --- tls ------------------------------------------------------------------------------------------------------


@pytest.mark.spec("V-4", "V-100", "V-101", "V-104")
def test_tls_is_routed_by_server_name():
    rules = tls_rules(
        "a",
        sni("a.shop", to="b.shop"),
        sni("*.apps.shop", "x.a.shop", to="a.shop"),
        hosts=("a.shop", "*.apps.shop", "x.a.shop"),
    )

    assert on(443, *tls_services("a", "b"), rules) == [
        ("a.shop", "outbound|443||b.shop"),
        ("*.apps.shop x.a.shop", "outbound|443||a.shop"),
        ("b.shop", "outbound|443||b.shop"),
    ]


@pytest.mark.spec("V-101")
def test_a_star_takes_any_server_name_but_only_tls():
    rules = tls_rules("a", sni("*", to="b.shop"))
    raw = a_service_entry("raw", ports=(a_port(443, "tcp"),))

    assert on(443, *tls_services("a"), raw, rules, a_service_entry("b", ports=(a_port(443, "tls"),))) == [
        ("tls", "outbound|443||b.shop"),
        ("b.shop", "outbound|443||b.shop"),
        ("*", "outbound|443||raw.shop"),
    ]


@pytest.mark.spec("V-101")
def test_a_server_name_given_twice_is_one_name():
    rules = tls_rules("a", sni("a.shop", "A.shop", "a.shop", to="b.shop"))

    assert on(443, *tls_services("a", "b"), rules)[0] == ("a.shop", "outbound|443||b.shop")


@pytest.mark.spec("V-103")
@pytest.mark.parametrize(
    "condition",
    [
        {"port": 8443},
        {"source_labels": {"app": "web"}},
        {"source_namespace": "elsewhere"},
        {"gateways": ("shop/edge",)},
        {"gateways": ("mesh",), "source_labels": {"app": "web"}},
    ],
)
def test_all_conditions_of_a_match_must_hold(condition):
    rules = tls_rules("a", sni("a.shop", to="b.shop", **condition))

    assert on(443, *tls_services("a", "b"), rules)[0] == ("a.shop", "outbound|443||a.shop")


@pytest.mark.spec("V-103")
def test_conditions_that_hold_here_let_a_match_apply():
    here = {"port": 443, "source_labels": {"app": "web"}, "source_namespace": "default", "gateways": ("mesh",)}
    rules = tls_rules("a", sni("a.shop", to="b.shop", **here))

    assert on(443, *tls_services("a", "b"), rules, labels={"app": "web"})[0] == ("a.shop", "outbound|443||b.shop")


@pytest.mark.spec("V-102")
def test_subnets_of_a_match_stand_for_the_services_own_addresses():
    rules = tls_rules("a", sni("a.shop", to="b.shop", destination_subnets=("10.1.0.0/16", "10.9.9.9")))
    services = [a_service_entry("a", ports=(a_port(443, "tls"),), addresses=("10.2.0.0/16",)), *tls_services("b")]

    assert captured("0.0.0.0_443", *services, rules)[:1] == [
        ("10.1.0.0/16 10.9.9.9/32 a.shop", "outbound|443||b.shop"),
    ]


@pytest.mark.spec("V-100")
def test_the_same_conditions_twice_are_the_first_rules():
    rules = tls_rules(
        "a", sni("a.shop", to="b.shop"), sni("a.shop", "x.a.shop", to="a.shop"), sni("a.shop", to="a.shop")
    )
    rules = replace(rules, hosts=("a.shop", "x.a.shop"))

    assert on(443, *tls_services("a", "b"), rules)[:2] == [
        ("a.shop", "outbound|443||b.shop"),
        ("x.a.shop", "outbound|443||a.shop"),
    ]


def test_rules_for_hosts_that_no_service_has_stand_on_the_ports_that_they_name():
    """V-1, where http has its rules on port 80."""
    rules = tls_rules("ext", sni("api.ext.com", to="b.shop", port=443), hosts=("api.ext.com",))

    assert on(443, *tls_services("b"), rules) == [
        ("b.shop", "outbound|443||b.shop"),
        ("api.ext.com", "outbound|443||b.shop"),
    ]


@pytest.mark.spec("SC-10", "V-1")
@pytest.mark.parametrize(("protocol", "there"), [("TLS", True), ("HTTP", False)])
@pytest.mark.parametrize("reach", [Reach(http_proxy_port=0), CAPTURE])
def test_also_on_a_port_that_a_sidecar_names_if_it_speaks_tls(protocol, there, reach):
    rules = tls_rules("ext", sni("api.ext.com", to="b.shop", port=443), hosts=("api.ext.com",))
    http = a_service_entry("web", ports=(a_port(443),), addresses=("10.1.1.1",))
    sidecar = a_sidecar(egress=(egress(443, protocol),))

    (plan,) = compiled(*tls_services("b"), http, rules, sidecar, reach=reach).plans

    here = next(each for each in plan.listeners if each.name in {"127.0.0.1_443", "0.0.0.0_443"})
    assert (("api.ext.com", "outbound|443||b.shop") in led(here)) == there


@pytest.mark.spec("V-8", "SC-14")
def test_the_most_specific_virtual_service_that_has_such_rules_counts():
    wide = tls_rules("wide", sni("*.shop", to="c.shop"), hosts=("*.shop",))
    narrow = tls_rules("a", sni("a.shop", to="b.shop"))
    http_only = a_virtual_service("c")

    assert on(443, *tls_services("a", "b", "c"), wide, narrow, http_only) == [
        ("a.shop", "outbound|443||b.shop"),
        ("*.shop", "outbound|443||c.shop"),
    ]


# --- tcp ------------------------------------------------------------------------------------------------------


@pytest.mark.spec("V-5", "V-110", "V-114", "S-2")
def test_tcp_is_routed_by_address_and_the_service_has_the_rest():
    rules = tcp_rules("a", tcp(to="b.shop", destination_subnets=("10.1.0.0/16",)))

    assert captured("0.0.0.0_5432", *tcp_services("a"), a_service_entry("b", ports=(a_port(1, "tcp"),)), rules) == [
        ("10.1.0.0/16", "outbound|1||b.shop"),
        ("*", "outbound|5432||a.shop"),
    ]


@pytest.mark.spec("S-8", "X-10")
def test_rules_lead_connections_away_from_a_service_that_only_capture_could_call():
    """The service itself gets none: nobody knows which of its addresses was meant."""
    none = a_service_entry("a", ports=(a_port(5432, "tcp"), a_port(443, "tls")), resolution="NONE", addresses=NETWORK)
    b = a_service_entry("b", ports=(a_port(1, "tcp"),))
    some = tcp_rules("a", tcp(to="b.shop", destination_subnets=("10.1.0.0/16",)))
    by_name = tls_rules("a", sni("a.shop", to="b.shop"))

    assert on(5432, none, b, some) == [("10.1.0.0/16", "outbound|1||b.shop")]
    assert on(443, none, b, by_name) == [("a.shop", "outbound|1||b.shop")]
    assert {each.name for each in a_plan(BOUND, none, b).listeners} == {
        each.name for each in a_plan(BOUND, b).listeners
    }


@pytest.mark.spec("V-111", "V-113")
def test_a_rule_without_subnets_takes_all_and_is_the_last_looked_at():
    b, c = (a_service_entry(name, ports=(a_port(number, "tcp"),)) for name, number in (("b", 1), ("c", 2)))
    elsewhere = tcp(to="c.shop", port=9999)
    rules = tcp_rules("a", elsewhere, tcp(to="b.shop", port=5432), tcp(to="c.shop", match=False))

    assert on(5432, *tcp_services("a"), b, c, rules) == [("*", "outbound|1||b.shop")]


@pytest.mark.spec("V-114")
def test_a_rule_for_exactly_the_services_own_networks_leaves_nothing_for_it():
    own = tcp_services("a", addresses=("10.2.0.0/16",))
    b = a_service_entry("b", ports=(a_port(1, "tcp"),))

    exactly = captured("0.0.0.0_5432", *own, b, tcp_rules("a", tcp(to="b.shop", destination_subnets=("10.2.0.0/16",))))
    partly = captured("0.0.0.0_5432", *own, b, tcp_rules("a", tcp(to="b.shop", destination_subnets=("10.2.1.0/24",))))

    assert exactly == [("10.2.0.0/16", "outbound|1||b.shop"), ("*", "BlackHoleCluster")]
    assert partly[:2] == [("10.2.1.0/24", "outbound|1||b.shop"), ("10.2.0.0/16", "outbound|5432||a.shop")]


@pytest.mark.spec("V-112")
def test_connections_are_told_by_where_they_come_from():
    b = a_service_entry("b", ports=(a_port(1, "tcp"),))
    rules = tcp_rules("a", tcp(to="b.shop", source_subnet="10.0.0.7"))

    assert on(5432, *tcp_services("a"), b, rules) == [
        ("from 10.0.0.7/32", "outbound|1||b.shop"),
        ("*", "outbound|5432||a.shop"),
    ]


@pytest.mark.spec("V-1")
def test_a_network_may_be_the_host_of_a_rule():
    b = a_service_entry("b", ports=(a_port(1, "tcp"),))
    rules = tcp_rules("block", tcp(to="b.shop", port=111), hosts=("92.198.174.192/27",))

    assert captured("0.0.0.0_111", b, rules) == [
        ("92.198.174.192/27", "outbound|1||b.shop"),
        ("*", "BlackHoleCluster"),
    ]


def test_a_rule_whose_destination_is_out_of_reach_closes_its_connections():
    rules = tcp_rules("a", tcp(to="c.shop"))
    hidden = a_service_entry("c", ports=(a_port(1, "tcp"),), namespace="other", export_to=(".",))

    result = compiled(BOUND, *tcp_services("a"), hidden, rules)

    assert codes(result) == ["W-VS-DEST-HIDDEN"]
    assert led(listener(result.plans[0], "127.0.0.1_5432")) == [("*", "")]


# --- order ----------------------------------------------------------------------------------------------------


def ordered(*rules, services) -> bool:
    return listener(a_plan(*services, *rules, reach=CAPTURE), "0.0.0.0_5432").ordered


@pytest.mark.spec("V-110")
def test_the_order_of_rules_is_kept_where_envoy_would_choose_another():
    """Spec 5.11, the order trap."""
    services = (*tcp_services("a"), a_service_entry("b", ports=(a_port(1, "tcp"),)))
    wide = tcp(to="b.shop", destination_subnets=("10.0.0.0/8",))
    narrow = tcp(to="a.shop", destination_subnets=("10.1.0.0/16",))
    other = tcp(to="a.shop", destination_subnets=("11.0.0.0/8",))

    assert ordered(tcp_rules("a", wide, narrow), services=services)
    assert not ordered(tcp_rules("a", narrow, wide), services=services)
    assert not ordered(tcp_rules("a", wide, other), services=services)
    assert captured("0.0.0.0_5432", *services, tcp_rules("a", wide, narrow)) == [
        ("10.0.0.0/8", "outbound|1||b.shop"),
        ("10.1.0.0/16", "outbound|5432||a.shop"),
        ("*", "outbound|5432||a.shop"),
    ]


@pytest.mark.spec("V-112")
def test_envoy_never_turns_back_so_rules_it_would_lose_sight_of_are_kept_in_order():
    services = (*tcp_services("a"), a_service_entry("b", ports=(a_port(1, "tcp"),)))
    narrow = tcp(to="b.shop", destination_subnets=("10.1.0.0/16",), source_subnet="10.0.0.7")
    wide = tcp(to="a.shop", destination_subnets=("10.0.0.0/8",))

    assert ordered(tcp_rules("a", narrow, wide), services=services)


@pytest.mark.spec("V-101")
def test_a_wider_server_name_first_keeps_the_order_too():
    rules = tls_rules("wide", sni("*.shop", to="b.shop"), sni("a.shop", to="a.shop"), hosts=("*.shop",))

    plan = a_plan(*tls_services("a", "b"), rules, reach=CAPTURE)

    assert listener(plan, "0.0.0.0_443").ordered
    assert led(listener(plan, "0.0.0.0_443"))[:2] == [
        ("*.shop", "outbound|443||b.shop"),
        ("a.shop", "outbound|443||a.shop"),
    ]


def test_a_rule_by_address_and_name_does_not_hide_other_services():
    rules = tls_rules("a", sni("a.shop", to="a.shop", destination_subnets=("10.0.0.0/8",)))

    plan = a_plan(*tls_services("a", "b"), rules, reach=CAPTURE)

    assert listener(plan, "0.0.0.0_443").ordered
    assert [chain.match for chain in listener(plan, "0.0.0.0_443").chains if isinstance(chain, TcpChain)] == [
        ChainMatch(prefix_ranges=("10.0.0.0/8",), server_names=("a.shop",)),
        ChainMatch(server_names=("b.shop",)),
        ChainMatch(),
    ]
